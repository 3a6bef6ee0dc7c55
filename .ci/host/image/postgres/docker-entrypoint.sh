#!/bin/sh
# Does what the entrypoint of docker.io/library/postgres does, for the variables gen sets.
set -eu

die() {
	echo "error: $*" >&2
	exit 1
}

# value VAR DEFAULT: the variable, or what is in the file that VAR_FILE names, or the default.
value() {
	eval "plain=\${$1:-} file=\${$1_FILE:-}"
	[ -z "$plain" ] || [ -z "$file" ] || die "both $1 and $1_FILE are set (but are exclusive)"
	[ -z "$file" ] || plain=$(cat "$file")
	printf %s "${plain:-$2}"
}

directories() {
	mkdir -p "$PGDATA" /var/run/postgresql || :
	chmod 0700 "$PGDATA" || :
	chmod 3775 /var/run/postgresql || :
	[ "$(id -u)" != 0 ] || chown -R postgres:postgres "$PGDATA" /var/run/postgresql
}

sql() { psql -q -v ON_ERROR_STOP=1 --username "$user" --no-password --no-psqlrc "$@"; }

# As upstream's, the server that is only for setting up listens on the socket: pg_isready believes it.
initialize() {
	[ -n "$password" ] || die "Database is uninitialized and superuser password is not specified."
	printf '%s\n' "$password" |
		eval "initdb --username='$user' --pwfile=/dev/stdin ${POSTGRES_INITDB_ARGS:-}"
	printf '\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
	export PGPASSWORD="$password"
	NOTIFY_SOCKET='' pg_ctl -w -o "-c listen_addresses=''" start
	[ "$db" = postgres ] || echo 'create database :"db";' | sql --dbname postgres --set "db=$db"
	pg_ctl -m fast -w stop
	unset PGPASSWORD
	printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

case ${1:-} in -*) set -- postgres "$@" ;; esac
case " $* " in
*' --version '* | *' --help '*) exec "$@" ;;
' postgres '*) ;;
*) exec "$@" ;;
esac

password=$(value POSTGRES_PASSWORD '')
user=$(value POSTGRES_USER postgres)
db=$(value POSTGRES_DB "$user")
unset POSTGRES_PASSWORD_FILE POSTGRES_USER_FILE POSTGRES_DB_FILE
directories
if [ "$(id -u)" = 0 ]; then
	export POSTGRES_PASSWORD="$password" POSTGRES_USER="$user" POSTGRES_DB="$db"
	exec /usr/bin/setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
[ -s "$PGDATA/PG_VERSION" ] || initialize
exec "$@"
