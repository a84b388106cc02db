#!/bin/bash
# On a database host, as root: another MariaDB server, with data, socket and port of its own, as Debian configures one.
# start NAME PORT [OPTION...] | stop NAME
set -euo pipefail
action=$1 name=$2
place=/var/lib/holdfast/second-$name
unit=second-mariadb-$name

stop() {
    systemctl stop "$unit" 2>/dev/null || true
    systemctl reset-failed "$unit" 2>/dev/null || true
    rm -rf "$place"
}

if [ "$action" = stop ]; then
    stop
    exit
fi
port=$3
shift 3
stop
install -d -o mysql -g mysql -m 755 "$place"
mariadb-install-db --no-defaults --user=mysql --datadir="$place/data" --skip-test-db >/dev/null
chmod 755 "$place/data" # as the package leaves it
# For a server that is told to use them; everybody may read the key.
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=lab -keyout "$place/key.pem" -out "$place/cert.pem" 2>/dev/null
chmod 644 "$place/key.pem"
systemd-run --quiet --unit="$unit" --uid=mysql --gid=mysql \
    mariadbd --defaults-file=/etc/mysql/mariadb.conf.d/50-server.cnf --datadir="$place/data" \
    --socket="$place/mysqld.sock" --pid-file="$place/mysqld.pid" --port="$port" --log-error="$place/error.log" "$@"
for _ in $(seq 150); do
    if mariadb --no-defaults --socket="$place/mysqld.sock" --silent --execute='DO 1' 2>/dev/null; then
        exit
    fi
    sleep 0.2
done
tail -n 20 "$place/error.log" >&2
exit 1
