#!/bin/bash
# On a database host, as root: data of a size at which fixed costs do not hide, and nothing else running.
# Arguments: engine, instance and, of MariaDB, how many tables of 300 MB.
set -euo pipefail
engine=$1 instance=$2 tables=${3:-4}
systemctl stop 'holdfast-*.timer'
# A job that runs is "activating", which is-active takes for inactive.
while [ -n "$(systemctl list-units --no-legend --state=activating,active,deactivating 'holdfast-*.service')" ]; do sleep 1; done

if [ "$engine" = postgresql ]; then
    port=$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["port"])' "/etc/holdfast/instances/$instance.json")
    psql() { runuser -u postgres -- psql -p "$port" -qAtX "$@"; }
    if [ -z "$(psql -c "select 1 from pg_database where datname = 'bench'")" ]; then
        psql -c 'create database bench'
        runuser -u postgres -- pgbench -p "$port" -i -q -s 100 bench 2>/dev/null
        # What it would write into a restored server by chance, a restore onto the live files would have to undo.
        psql -c 'alter system set autovacuum = off' -c 'select pg_reload_conf()' >/dev/null
        psql -d bench -c "create table docs as select i as id, md5(i::text) as key,
            string_agg(md5((i * 7 + j)::text), ' ') as body, now() - i * interval '1 second' as written
            from generate_series(1, 400000) i, generate_series(1, 30) j group by i" -c 'create index on docs (key)' -c checkpoint
    fi
else
    mariadb -e 'create database if not exists bench'
    for table in $(seq "$tables"); do
        if [ -z "$(mariadb bench -N -e "show tables like 't$table'")" ]; then
            mariadb bench -e "create table t$table (id int primary key, k int, c char(120), pad char(60), key (k)) as
                select seq as id, floor(rand(seq) * 1000000) as k, concat_ws('-', md5(seq), md5(seq * 3), md5(seq * 7)) as c,
                md5(seq * 11) as pad from seq_1_to_1200000"
        fi
    done
fi
[ "$engine" = postgresql ] || mariadb -e 'flush binary logs' # what is rolled forward later is not in the file of the above
holdfast backup "$instance" --type full --json >/dev/null
