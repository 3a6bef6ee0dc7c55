#!/bin/sh
# Runs as www-data before every start.
set -eu
php /var/www/html/occ config:import /etc/nextcloud/config.json
php /var/www/html/occ config:app:set serverinfo token --value "$(cat /run/secrets/serverinfo-token)" >/dev/null
