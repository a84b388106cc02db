-- Every flaw that the checks of PostgreSQL look for inside the server, one or more for each. For a throw-away cluster.
\set ON_ERROR_STOP on
SET client_min_messages = warning;

-- PG01 to PG08, PG28
CREATE ROLE second_admin SUPERUSER LOGIN;
CREATE ROLE administrators NOLOGIN;
GRANT administrators TO second_admin;
CREATE ROLE runners NOLOGIN;
GRANT pg_execute_server_program TO runners;
CREATE ROLE nested LOGIN IN ROLE runners;
CREATE ROLE reader LOGIN IN ROLE pg_read_all_data;
CREATE ROLE maker LOGIN CREATEROLE;
CREATE ROLE copier LOGIN REPLICATION;
CREATE ROLE passes_rows LOGIN BYPASSRLS;
SET password_encryption = 'scram-sha-256';
CREATE ROLE endless LOGIN PASSWORD 'Vk7-long-and-not-guessed';
CREATE ROLE ended LOGIN PASSWORD 'Vk7-long-and-not-guessed' VALID UNTIL '2020-01-01';
CREATE ROLE same LOGIN PASSWORD 'same';
CREATE ROLE "Digit" LOGIN PASSWORD 'digit';
CREATE ROLE guide LOGIN PASSWORD 'changeme';
CREATE ROLE old_hash LOGIN PASSWORD 'md500000000000000000000000000000000';
SET password_encryption = 'md5';
CREATE ROLE old_same LOGIN PASSWORD 'old_same';
RESET password_encryption;
ALTER SYSTEM SET password_encryption = 'md5';
ALTER ROLE maker SET password_encryption = 'md5';

-- PG16, PG17, PG27
ALTER SYSTEM SET log_line_prefix = '%t ';
ALTER ROLE maker SET log_statement = 'none';
ALTER ROLE reader SET idle_in_transaction_session_timeout = 0;
ALTER SYSTEM SET authentication_timeout = '2min';

-- PG14, PG25
ALTER SYSTEM SET ssl_min_protocol_version = 'TLSv1';
ALTER SYSTEM SET fsync = off;
ALTER SYSTEM SET full_page_writes = off;

-- PG21
CREATE DATABASE shop;
\connect shop
SET client_min_messages = warning;

-- PG19, PG20
GRANT CREATE ON SCHEMA public TO PUBLIC;
CREATE SCHEMA app;
CREATE TABLE app.customers (id int, card text, note text);
GRANT SELECT ON app.customers TO PUBLIC;
CREATE TABLE app.orders (id int, amount int);
GRANT UPDATE (amount) ON app.orders TO PUBLIC;
GRANT SELECT ON pg_authid TO PUBLIC;

-- PG22
CREATE FUNCTION app.open_to_all() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
ALTER FUNCTION app.open_to_all() OWNER TO reader;
CREATE FUNCTION app.open_as_admin(what text) RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN 1; END';
CREATE FUNCTION app.pinned() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS 'SELECT 1';
CREATE FUNCTION app.closed() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
REVOKE EXECUTE ON FUNCTION app.closed() FROM PUBLIC;

-- PG23. The handler is that of plpgsql: how the catalog names the language is what matters here.
CREATE LANGUAGE plplanted HANDLER plpgsql_call_handler;
CREATE TRUSTED LANGUAGE plperlu HANDLER plpgsql_call_handler;
CREATE EXTENSION dblink;
CREATE EXTENSION postgres_fdw;

-- PG24
CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'db.example', dbname 'x');
CREATE USER MAPPING FOR reader SERVER elsewhere OPTIONS (user 'x', password 'Planted-secret-1');

-- PG33
CREATE SUBSCRIPTION planted CONNECTION 'host=192.0.2.1 dbname=x user=x password=Planted-secret-2 sslmode=require'
    PUBLICATION p WITH (connect = false, enabled = false, create_slot = false, slot_name = NONE);

-- Ways to more power, and rights of every kind
CREATE ROLE team NOLOGIN;
CREATE ROLE ann LOGIN;
CREATE ROLE bob LOGIN;
CREATE ROLE carl LOGIN;
CREATE ROLE dora LOGIN NOINHERIT;
CREATE ROLE owner_of_things LOGIN;
GRANT team TO ann WITH ADMIN OPTION;
GRANT runners TO carl WITH ADMIN OPTION;
GRANT team TO dora;
GRANT USAGE ON SCHEMA app TO team WITH GRANT OPTION;
GRANT USAGE ON SCHEMA app TO bob;
GRANT SELECT ON app.orders TO team;
GRANT SELECT ON app.orders TO bob WITH GRANT OPTION;
SET ROLE bob;
GRANT SELECT ON app.orders TO carl;
RESET ROLE;
GRANT UPDATE (note) ON app.customers TO bob;
GRANT EXECUTE ON FUNCTION app.closed() TO bob;
GRANT EXECUTE ON FUNCTION pg_read_file(text) TO bob;
CREATE FUNCTION app.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER watch ON ddl_command_start EXECUTE FUNCTION app.on_ddl();
ALTER FUNCTION app.on_ddl() OWNER TO owner_of_things;
CREATE FUNCTION app.on_write() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER t BEFORE INSERT ON app.orders FOR EACH ROW EXECUTE FUNCTION app.on_write();
ALTER FUNCTION app.on_write() OWNER TO owner_of_things;
CREATE SCHEMA things AUTHORIZATION owner_of_things;
CREATE TABLE things.one (id serial PRIMARY KEY, what text);
CREATE VIEW things.two AS SELECT 1 AS x;
CREATE FUNCTION things.three(a int, b text) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TYPE things.four AS ENUM ('a', 'b');
ALTER TABLE things.one OWNER TO owner_of_things;
ALTER VIEW things.two OWNER TO owner_of_things;
ALTER FUNCTION things.three(int, text) OWNER TO owner_of_things;
ALTER TYPE things.four OWNER TO owner_of_things;
GRANT SELECT, INSERT ON app.customers TO owner_of_things;
GRANT CONNECT ON DATABASE shop TO owner_of_things;
GRANT SELECT ON things.one TO team;
ALTER DEFAULT PRIVILEGES FOR ROLE owner_of_things IN SCHEMA things GRANT SELECT ON TABLES TO team;
ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA app GRANT SELECT ON TABLES TO owner_of_things;
GRANT team TO owner_of_things;
ALTER ROLE owner_of_things SET search_path = things, public;
ALTER ROLE owner_of_things CONNECTION LIMIT 5 VALID UNTIL '2031-05-01 00:00:00+00';

\connect postgres
CREATE SCHEMA other AUTHORIZATION owner_of_things;
GRANT CREATE ON DATABASE postgres TO owner_of_things;
DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 150000 THEN
        GRANT ALTER SYSTEM ON PARAMETER archive_command TO bob;
    END IF;
END $$;
