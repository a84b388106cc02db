"""The hardening checks of MariaDB about settings, plugins and files of the server. Their answers are elsewhere."""

from __future__ import annotations

from ..audit.model import Check
from ._mariadb_audit_catalog import PRINCIPALS
from ._mariadb_audit_checks import CRITICAL, HIGH, LOW, MEDIUM, controls

_VARIABLES = "SELECT lower(variable_name), variable_value FROM information_schema.global_variables WHERE variable_name"


def _variables(*names: str) -> str:
    listed = ", ".join(f"'{name}'" for name in names)
    return f"{_VARIABLES} IN ({listed})"


def _plugin(kind: str, variables: str) -> str:
    plugins = "SELECT lower(plugin_name), plugin_status FROM information_schema.plugins WHERE plugin_type"
    return f"{plugins} = '{kind}' UNION ALL {_VARIABLES} {variables}"


TEST_DATABASES = """
SELECT schema_name, 'the database is there', '' FROM information_schema.schemata
 WHERE schema_name = 'test' OR schema_name LIKE 'test\\_%'
UNION ALL
SELECT concat(Db, '.*'), 'everybody has rights on it', concat(User, '@', Host) FROM mysql.db
 WHERE User IN ('', 'PUBLIC') AND (Db = 'test' OR Db LIKE 'test\\\\\\_%' OR Db LIKE 'test\\_%')
"""

SERVER_CHECKS = (
    Check(
        "MY13",
        "Databases for everybody's tests",
        MEDIUM,
        "An older installation makes the database test, where whoever can log in may do everything, fill the disk too.",
        "DROP DATABASE test; delete the rows of mysql.db for it and FLUSH PRIVILEGES.",
        TEST_DATABASES,
        controls("2.2.2 6.5.6", "308(a)(4)", "8.31 8.9"),
    ),
    Check(
        "MY14",
        "Clients may be asked for their files",
        MEDIUM,
        "With local_infile a server that was taken over, or an injected statement, reads files of a client.",
        "local_infile = OFF in the configuration, and SET GLOBAL local_infile = OFF.",
        _variables("local_infile"),
        controls("2.2.4 2.2.6", "312(a)(1)", "8.9"),
    ),
    Check(
        "MY15",
        "The server reads and writes files anywhere",
        HIGH,
        "Where secure_file_priv is empty, or NULL, which is the same on MariaDB, FILE reaches every file that the"
        " server can open. (On MySQL NULL switches it off.)",
        "secure_file_priv = /var/lib/mysql-files in the configuration, with a directory of that name; then a restart.",
        _variables("secure_file_priv"),
        controls("2.2.6 7.2.1", "312(a)(1)", "8.3 8.9"),
    ),
    Check(
        "MY16",
        "Connections without TLS are accepted",
        HIGH,
        "Rows and logins can be read and changed on their way.",
        "Set ssl_cert and ssl_key (MariaDB 11.4 makes its own), then require_secure_transport = ON.",
        _variables("require_secure_transport", "have_ssl"),
        controls("2.2.7 4.2.1", "312(e)(1)", "8.20 8.24", "32(1)(a)"),
    ),
    Check(
        "MY17",
        "Versions of TLS that are broken",
        HIGH,
        "TLS 1.0 and 1.1 are withdrawn.",
        "tls_version = TLSv1.2,TLSv1.3 in the configuration; then a restart.",
        _variables("tls_version", "have_ssl"),
        controls("4.2.1", "312(e)(1)", "8.24", "32(1)(a)"),
    ),
    Check(
        "MY19",
        "New passwords are not tested",
        MEDIUM,
        "Without a plugin such as simple_password_check every password is accepted; its defaults let 8 characters pass,"
        " and PCI DSS asks for 12 with letters and digits.",
        "INSTALL SONAME 'simple_password_check'; simple_password_check_minimal_length = 12;"
        " strict_password_validation = ON.",
        _plugin(
            "PASSWORD VALIDATION",
            "LIKE 'simple\\_password\\_check\\_%' OR variable_name = 'strict_password_validation'",
        ),
        controls("8.3.6", "308(a)(5)", "5.17"),
    ),
    Check(
        "MY20",
        "Passwords do not expire",
        LOW,
        "Where a password is the only factor, PCI DSS wants it changed every 90 days, or access judged anew each time.",
        "default_password_lifetime = 90, and PASSWORD EXPIRE NEVER for service accounts that are changed otherwise.",
        f"{_variables('default_password_lifetime')}; {PRINCIPALS}",
        controls("8.3.9", "308(a)(5)", "5.17"),
    ),
    Check(
        "MY21",
        "No audit log",
        HIGH,
        "Who logged in and who changed rights cannot be told afterwards.",
        "INSTALL SONAME 'server_audit', server_audit_events = CONNECT,QUERY_DDL,QUERY_DCL, server_audit_logging = ON.",
        _plugin("AUDIT", "LIKE 'server\\_audit\\_%'"),
        controls("10.2.1 10.2.2", "312(b) 308(a)(1)", "8.15"),
    ),
    Check(
        "MY22",
        "Bad values are stored as something else",
        MEDIUM,
        "Without strict SQL mode the server cuts or replaces values that do not fit, and nobody reads the warning.",
        "sql_mode with STRICT_TRANS_TABLES.",
        _variables("sql_mode"),
        controls("6.2.4", "312(c)(1)", "8.26"),
    ),
    Check(
        "MY23",
        "The server listens on every address",
        MEDIUM,
        "Every network of the host reaches it, also those that are added later.",
        "bind_address with the addresses that clients use; then a restart.",
        _variables("bind_address", "skip_networking"),
        controls("1.3.1 2.2.4", "312(e)(1)", "8.20"),
    ),
    Check(
        "MY24",
        "Changes that were confirmed can be lost",
        MEDIUM,
        "Without the binary log nothing after the last backup can be brought back; written late, the last second is"
        " lost in a crash, and replicas differ.",
        "log_bin, sync_binlog = 1, innodb_flush_log_at_trx_commit = 1.",
        _variables("log_bin", "sync_binlog", "innodb_flush_log_at_trx_commit"),
        controls("10.5.1", "308(a)(7)(ii)(A) 312(c)(1)", "8.13", "32(1)(b) 32(1)(c)"),
    ),
    Check(
        "MY27",
        "Others can look into the data directory",
        MEDIUM,
        "Names and sizes of databases, and files made with open rights, are there for every user of the host.",
        "chown mysql: and chmod 0750 for the data directory.",
        "SELECT @@datadir, and owner and mode of that directory",
        controls("7.2.1 7.3.3", "312(a)(1)", "8.3"),
    ),
    Check(
        "MY28",
        "Others can read keys of the server",
        CRITICAL,
        "With the private key of TLS or the file of encryption keys what they protect is open.",
        "chown mysql: and chmod 0400 for the file.",
        f"{_variables('ssl_key', 'file_key_management_filename')}; and owner and mode of those files",
        controls("3.6.1 4.2.1", "312(a)(2)(iv)", "8.24", "32(1)(a)"),
    ),
    Check(
        "MY29",
        "Passwords in option files",
        MEDIUM,
        "Files of configuration are copied, shown and kept in repositories. Read are those that the owner of the server"
        " can read; no value is shown.",
        "Use unix_socket, or a file of mode 0600 that one user owns.",
        "/etc/my.cnf, /etc/mysql/my.cnf, what they include, my.cnf of the data directory, .my.cnf of the owner",
        controls("8.3.2 8.6.2", "308(a)(5)", "5.17"),
    ),
    Check(
        "MY30",
        "The server runs without accounts",
        CRITICAL,
        "With skip_grant_tables everybody who reaches the server may do everything.",
        "Take skip-grant-tables out of the configuration and restart, or FLUSH PRIVILEGES.",
        _variables("skip_grant_tables"),
        controls("7.2.1 7.3.3 8.3.1", "312(a)(1) 312(d)", "8.2 8.5"),
    ),
    Check(
        "MY31",
        "Passwords may be guessed without end",
        MEDIUM,
        "max_password_errors locks an account out after so many wrong ones, until FLUSH PRIVILEGES; PCI DSS allows 10.",
        "max_password_errors = 10.",
        _variables("max_password_errors"),
        controls("8.3.4", "308(a)(5)", "8.5"),
    ),
    Check(
        "MY32",
        "The binary log is not encrypted",
        LOW,
        "It holds every row that was changed, and each copy and backup of it too.",
        "encrypt_binlog = ON with a plugin for keys, or an encrypted file system, which this check does not see.",
        _variables("log_bin", "encrypt_binlog"),
        controls("3.5.1", "312(a)(2)(iv)", "8.24", "32(1)(a)"),
    ),
    Check(
        "MY33",
        "One account may take every connection",
        LOW,
        "A fault in one application then shuts out all others.",
        "max_user_connections for the server, or WITH MAX_USER_CONNECTIONS for the account.",
        f"{_variables('max_user_connections')}; {PRINCIPALS}",
        controls("", "312(a)(1)", "8.6"),
    ),
    Check(
        "MY34",
        "Replication that does not know its primary",
        HIGH,
        "Every change passes between the two servers: without TLS it can be read, without a verified certificate"
        " anybody can be the primary.",
        "CHANGE MASTER TO MASTER_SSL = 1, MASTER_SSL_VERIFY_SERVER_CERT = 1.",
        "SHOW ALL SLAVES STATUS",
        controls("4.2.1", "312(e)(1)", "8.20 8.24", "32(1)(a)"),
    ),
    Check(
        "MY35",
        "Functions from libraries",
        MEDIUM,
        "They are machine code in the server's process, and the common way from SQL to a shell.",
        "DROP FUNCTION, and delete the library from plugin_dir.",
        "SELECT name, dl, type FROM mysql.func",
        controls("2.2.4 6.3.2", "312(a)(1)", "8.9 8.19"),
    ),
)
