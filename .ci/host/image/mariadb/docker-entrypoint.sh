#!/bin/sh
# Does what the entrypoint of docker.io/library/mariadb does, for the variables gen sets.
set -eu

data=/var/lib/mysql
socket=/run/mysqld/mysqld.sock

die() {
	echo "error: $*" >&2
	exit 1
}

# value NAME DEFAULT: MARIADB_NAME or MYSQL_NAME, or what is in the file that either with _FILE
# names, or the default.
value() {
	eval "plain=\${MARIADB_$1:-\${MYSQL_$1:-}} file=\${MARIADB_$1_FILE:-\${MYSQL_$1_FILE:-}}"
	[ -z "$plain" ] || [ -z "$file" ] || die "both MARIADB_$1 and MARIADB_$1_FILE are set (but are exclusive)"
	[ -z "$file" ] || plain=$(cat "$file")
	printf %s "${plain:-$2}"
}

text() { printf "'%s'" "$(printf %s "$1" | sed "s/[\\\\']/\\\\&/g")"; }
name() { printf "\`%s\`" "$(printf %s "$1" | sed "s/\`/&&/g")"; }

sql() { mariadb --protocol=socket --socket="$socket" --user=root --batch "$@"; }

# As upstream's, the server that is only for setting up listens on the socket alone.
temporary() {
	"$@" --skip-networking --socket="$socket" &
	server=$!
	for _ in $(seq 300); do
		! mariadb-admin --socket="$socket" --user=root ping >/dev/null 2>&1 || return 0
		kill -0 "$server" 2>/dev/null || break
		sleep 0.1
	done
	die "the server for setting up does not answer"
}

finish() {
	kill "$server"
	wait "$server" || :
}

# health makes the user of healthcheck.sh, whose password nobody else knows.
health() {
	secret=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
	for host in 127.0.0.1 ::1 localhost; do
		echo "create or replace user healthcheck@'$host' identified by '$secret';"
		echo "grant $(value HEALTHCHECK_GRANTS USAGE) on *.* to healthcheck@'$host';"
	done
	(umask 077 && printf '[mariadb-client]\nport=3306\nhost=127.0.0.1\nuser=healthcheck\npassword=%s\nprotocol=tcp\n' \
		"$secret" >"$data/.my-healthcheck.cnf")
}

# accounts says who may do what, root last: from then on we are asked for a password too.
accounts() {
	health
	echo "delete from mysql.global_priv where user = '' or user = 'root' and host <> 'localhost';"
	echo "flush privileges;"
	if [ -n "$(value MYSQL_LOCALHOST_USER '')" ]; then
		echo "create user mysql@localhost identified via unix_socket;"
		echo "grant $(value MYSQL_LOCALHOST_GRANTS USAGE) on *.* to mysql@localhost;"
	fi
	[ -z "$database" ] || echo "create database if not exists $(name "$database");"
	if [ -n "$user" ] && [ -n "$password" ]; then
		echo "create user $(text "$user")@$(text "$userhost") identified by $(text "$password");"
		[ -z "$database" ] || echo "grant all on $(name "$database" | sed 's/_/\\_/g').* to $(text "$user")@$(text "$userhost");"
	fi
	if [ "$roothost" != localhost ]; then
		echo "create user root@$(text "$roothost") identified by $(text "$root");"
		echo "grant all on *.* to root@$(text "$roothost") with grant option;"
	fi
	echo "alter user root@localhost identified by $(text "$root");"
}

initialize() {
	if [ -n "$(value RANDOM_ROOT_PASSWORD '')" ]; then
		root=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
		echo "GENERATED ROOT PASSWORD: $root"
	fi
	[ -n "$root" ] || [ -n "$(value ALLOW_EMPTY_ROOT_PASSWORD '')" ] ||
		die "Database is uninitialized and password option is not specified"
	echo "Initializing database files"
	mariadb-install-db --datadir="$data" --rpm --auth-root-authentication-method=normal \
		--skip-test-db >/dev/null
	temporary "$@"
	accounts | sql mysql
	export MYSQL_PWD="$root"
	scripts
	unset MYSQL_PWD
	finish
	echo "MariaDB init process done. Ready for start up."
}

scripts() {
	for script in /docker-entrypoint-initdb.d/*; do
		case $script in
		*.sh) "$script" ;;
		*.sql) sql ${database:+"$database"} <"$script" ;;
		*.sql.gz) gunzip -c "$script" | sql ${database:+"$database"} ;;
		esac
	done
}

# upgrade brings the data of an older server up to this one, and restores the health check's user.
upgrade() {
	mariadb-upgrade --check-if-upgrade-is-needed --silent "--datadir=$data" >/dev/null 2>&1 ||
		[ ! -f "$data/.my-healthcheck.cnf" ] || return 0
	temporary "$@" --skip-grant-tables
	sql -e 'select 1' >/dev/null
	mariadb-upgrade --socket="$socket" --user=root --upgrade-system-tables
	{ echo "flush privileges;" && health; } | sql mysql
	finish
}

case ${1:-} in -*) set -- mariadbd "$@" ;; esac
case " $* " in
*' --version '* | *' --help '*) exec "$@" ;;
' mariadbd '*) ;;
*) exec "$@" ;;
esac

unset NOTIFY_SOCKET
if [ "$(id -u)" = 0 ]; then
	mkdir -p /run/mysqld
	find "$data" /run/mysqld ! -user mysql -exec chown mysql:mysql {} +
	exec /usr/bin/setpriv --reuid=mysql --regid=mysql --init-groups "$0" "$@"
fi
if [ -d "$data/mysql" ]; then
	[ -z "$(value AUTO_UPGRADE '')" ] || upgrade "$@"
else
	database=$(value DATABASE '') user=$(value USER '') password=$(value PASSWORD '')
	userhost=$(value USER_HOST %) root=$(value ROOT_PASSWORD '') roothost=$(value ROOT_HOST %)
	initialize "$@"
fi
exec "$@"
