# Prints everything on a host that setting up backups could change, one thing a line.
cd /
export PAGER=cat SYSTEMD_PAGER=cat  # it runs in a terminal
for directory in /etc /opt /usr/local /usr/share/bash-completion /var/lib/holdfast /var/lib/systemd/timers \
    /var/log/holdfast /var/spool/cron /srv; do
    [ ! -d "$directory" ] || find "$directory" -printf '%p %y %m %u %g %s %T@ %l\n'
done | sort
dpkg-query --show
systemctl list-unit-files --no-legend
systemctl list-timers --all --no-legend 'holdfast-*'
for port in $(pg_lsclusters --no-header 2>/dev/null | awk '{print $3}'); do
    runuser -u postgres -- psql -XAtp "$port" -c "SELECT name, setting, pending_restart FROM pg_settings ORDER BY 1" \
        -c "SELECT pg_postmaster_start_time()" -c "SELECT nspname FROM pg_namespace ORDER BY 1"
done
if [ -S /run/mysqld/mysqld.sock ]; then
    mariadb --batch --execute="SHOW GLOBAL VARIABLES WHERE variable_name NOT LIKE 'gtid%'; SHOW DATABASES"
    systemctl show --property=MainPID mariadb
fi
