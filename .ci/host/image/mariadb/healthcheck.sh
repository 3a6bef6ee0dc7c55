#!/bin/sh
# healthcheck.sh --TEST...: tests of the server in this container. Over TCP: the server that is only
# for setting up listens on the socket.
set -eu

query() {
	mariadb --defaults-file=/var/lib/mysql/.my-healthcheck.cnf --skip-column-names --batch -e "$1" 2>/dev/null
}

[ $# -gt 0 ] || { echo "healthcheck.sh: name at least one test" >&2 && exit 1; }
for test in "$@"; do
	case $test in
	--connect) query 'select 1' >/dev/null ;;
	--innodb_initialized)
		query "select support from information_schema.engines where engine = 'innodb'" | grep -q 'YES\|DEFAULT'
		;;
	*) echo "healthcheck.sh: $test is not among the tests" >&2 && exit 1 ;;
	esac
done
