#!/bin/sh
# As in upstream's image: flags and Traefik's own commands go to Traefik.
set -eu

case ${1:-} in
-* | healthcheck | version) set -- traefik "$@" ;;
esac
exec "$@"
