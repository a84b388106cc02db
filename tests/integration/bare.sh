# Makes the alternate site what it was: a host with packages and nothing on it.
systemctl disable --now 'holdfast-*.timer' 2>/dev/null
systemctl stop mariadb
pg_lsclusters --no-header | while read -r version cluster _; do pg_dropcluster --stop "$version" "$cluster"; done
rm -rf /etc/holdfast /opt/holdfast /usr/local/bin/holdfast /var/lib/holdfast/* /var/lib/mysql/* /var/lib/mysql/.[!.]*
rm -rf /var/lib/postgresql/*/* /etc/postgresql/*/* /etc/systemd/system/holdfast-* /etc/pgbackrest/conf.d/holdfast-* /var/log/holdfast
rm -f /etc/mysql/mariadb.conf.d/*-holdfast-* /etc/logrotate.d/holdfast
systemctl daemon-reload
