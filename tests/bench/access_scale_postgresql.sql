-- A cluster to measure an access audit on: 1,000 roles, of which 950 log in with a password, and 100,000 grants on
-- 2,000 tables; the logins hold two of 50 groups each, and some of the groups others. Made for a cluster that is thrown away:
--   pg_createcluster 17 scale -p 5499 --start
--   sudo -u postgres psql -p 5499 -qf tests/bench/access_scale_postgresql.sql
--   sudo -u postgres python3 tests/integration/access_audit/ask_postgresql.py /opt/holdfast/holdfast.pyz 5499 '["measure"]'
--   pg_dropcluster --stop 17 scale
\set ON_ERROR_STOP on
SET client_min_messages = warning;
DO $$
BEGIN
    FOR i IN 1..50 LOOP
        EXECUTE format('CREATE ROLE group_%s NOLOGIN', i);
    END LOOP;
    FOR i IN 1..950 LOOP
        EXECUTE format('CREATE ROLE account_%s LOGIN PASSWORD %L', i, md5(random()::text));
        EXECUTE format('GRANT group_%s, group_%s TO account_%s', i % 50 + 1, (i + 7) % 50 + 1, i);
    END LOOP;
    FOR i IN 1..10 LOOP
        EXECUTE format('GRANT group_%s TO group_%s', i + 40, i);
    END LOOP;
END $$;
CREATE SCHEMA app;
DO $$
DECLARE
    grantees text;
BEGIN
    FOR i IN 1..2000 LOOP
        EXECUTE format('CREATE TABLE app.table_%s (id int)', i);
        SELECT string_agg(format('account_%s', (i * 24 + n) % 950 + 1), ', ') INTO grantees FROM generate_series(1, 24) n;
        EXECUTE format('GRANT SELECT, INSERT ON app.table_%s TO group_%s, %s', i, i % 50 + 1, grantees);
        IF i % 100 = 0 THEN
            COMMIT;
        END IF;
    END LOOP;
END $$;
VACUUM ANALYZE pg_class;
SELECT count(*) AS grants FROM pg_class, aclexplode(relacl) a WHERE relname LIKE 'table\_%' AND a.grantee <> relowner;
