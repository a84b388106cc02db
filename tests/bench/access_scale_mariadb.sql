-- 1,000 accounts that hold 100,000 grants on tables, of two privileges each, and 50 roles with 20 members each.
-- Written into the server's own tables: GRANT takes minutes for as many. Only for a server that can be thrown away.
SET SESSION sql_log_bin = 0;
CREATE DATABASE bench;
USE bench;
INSERT INTO mysql.global_priv (Host, User, Priv)
SELECT '10.%', concat('app', seq), json_compact(json_object(
    'access', 0, 'version_id', 101100, 'plugin', 'mysql_native_password',
    'authentication_string', password(uuid()), 'password_last_changed', unix_timestamp()))
  FROM seq_1_to_1000;
INSERT INTO mysql.global_priv (Host, User, Priv)
SELECT '', concat('role', seq), '{"access":0,"version_id":101100,"is_role":true}' FROM seq_1_to_50;
INSERT INTO mysql.roles_mapping (Host, User, Role, Admin_option)
SELECT '10.%', concat('app', seq), concat('role', seq MOD 50 + 1), 'N' FROM seq_1_to_1000;
INSERT INTO mysql.db (Host, User, Db, Select_priv, Insert_priv)
SELECT '', concat('role', seq), concat('bench\\_', seq), 'Y', 'Y' FROM seq_1_to_50;
INSERT INTO mysql.tables_priv (Host, Db, User, Table_name, Grantor, Table_priv)
SELECT '10.%', 'bench', concat('app', a.seq), concat('t', t.seq), 'root@localhost', 'Select,Insert'
  FROM seq_1_to_1000 a JOIN seq_1_to_100 t;
FLUSH PRIVILEGES;
SELECT count(*) FROM mysql.tables_priv;
