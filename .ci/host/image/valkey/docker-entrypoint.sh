#!/bin/sh
# As in the images of Valkey and of Redis: flags and a configuration file go to the server, which
# does not run as root, and which the network may reach without a password.
set -eu

name=valkey
[ -x "/usr/local/bin/$name-server" ] || name=redis

case ${1:-} in -* | *.conf) set -- "$name-server" "$@" ;; esac
[ "${1:-}" = "$name-server" ] || exec "$@"

if [ "$(id -u)" = 0 ]; then
	find . ! -user "$name" -exec chown "$name" {} +
	exec /bin/setpriv --reuid="$name" --regid="$name" --clear-groups "$0" "$@"
fi
shift
case ${1:-} in
'' | -*) set -- "$name-server" --protected-mode no "$@" ;;
*)
	file=$1
	shift
	set -- "$name-server" "$file" --protected-mode no "$@"
	;;
esac
for flag in ${VALKEY_EXTRA_FLAGS:-}; do
	set -- "$@" "$flag"
done
exec "$@"
