"""What should not be so about the files and the process of a PostgreSQL server, seen by the owner of its data."""

from __future__ import annotations

from ..audit.model import Check, Severity
from ._postgresql_audit_sql import controls

HOST = (
    Check(
        "PG29",
        "The data directory is open to others than its owner",
        Severity.HIGH,
        "Its files are the data and the password verifiers, without any permission check of the server.",
        "chmod 0700 on the data directory; 0750 only where the backup runs as another account, named in the policy.",
        "mode and owner of data_directory",
        controls("7.2.1 7.3.3", "164.310(d) 164.312(a)(1)", "32(1)(b)", "8.3 8.9"),
    ),
    Check(
        "PG30",
        "The key of the server's certificate can be read by others",
        Severity.HIGH,
        "Who has the key can stand in for the server and read the passwords sent to it.",
        "chmod 0600 and owner of the server, or 0640 where root owns it and the server is in the group.",
        "mode and owner of ssl_key_file",
        controls("3.6.1 4.2.1", "164.312(e)(1)", "32(1)(a)", "8.24"),
    ),
    Check(
        "PG31",
        "Configuration or extensions that others can change, or rules of access that they can read",
        Severity.CRITICAL,
        "A line in pg_hba.conf or postgresql.conf lets anybody in, or runs a program as the server; so does a script or"
        " a library of an extension, for whoever may create it.",
        "chown to the owner of the server or root; chmod 0640 pg_hba.conf and pg_ident.conf, 0644 at most the others,"
        " 0755 the directories of extensions and libraries.",
        "mode and owner of config_file, hba_file, ident_file, of what they include (pg_file_settings), and of the"
        " directories of extensions and libraries (pg_config)",
        controls("2.2.1 7.2.1 10.3.2", "164.312(a)(1) 164.312(c)(1)", "32(1)(b)", "8.3 8.9"),
    ),
    Check(
        "PG32",
        "Logs that others can read or change",
        Severity.MEDIUM,
        "Statements in the log hold data, at times passwords; a log that others write proves nothing.",
        "log_file_mode 0600 or 0640, chmod what is there, and the same in logrotate.",
        "mode and owner of the files that the server logs to",
        controls("10.3.1 10.3.2", "164.312(b) 164.312(c)(1)", "32(1)(b)", "8.15"),
    ),
    Check(
        "PG33",
        "Replication that does not check whom it talks to",
        Severity.HIGH,
        "Without sslmode=verify-full a replica or a subscription sends its password and takes its data from whoever"
        " answers.",
        "sslmode=verify-full and sslrootcert in primary_conninfo, and in ALTER SUBSCRIPTION ... CONNECTION.",
        "sslmode in primary_conninfo of a replica, and in subconninfo of pg_subscription",
        controls("4.2.1 2.2.7", "164.312(e)(1)", "32(1)(a)", "8.20 8.24"),
    ),
    Check(
        "PG34",
        "A password in the environment of the server",
        Severity.HIGH,
        "Every program that the server starts, archive_command among them, inherits PGPASSWORD and can show it.",
        "Take it out of the service's unit or environment file; use a passfile with mode 0600.",
        "names in /proc/<pid of the server>/environ",
        controls("8.3.2 8.6.2", "164.308(a)(5)", "32(1)(a)", "5.17"),
    ),
    Check(
        "PG38",
        "TLS without forward secrecy",
        Severity.MEDIUM,
        "Who records such a connection reads it once the key of the server gets out, years later too. TLS 1.3 has"
        " forward secrecy always.",
        "ssl_ciphers = 'ECDHE+AESGCM:ECDHE+CHACHA20', or ssl_min_protocol_version = 'TLSv1.3'; reload.",
        "ssl_ciphers, as OpenSSL of this host reads it, where ssl_min_protocol_version is below TLSv1.3",
        controls("2.2.7 4.2.1", "164.312(e)(1)", "32(1)(a)", "8.24"),
    ),
    Check(
        "PG39",
        "Passwords where other accounts of the host come by",
        Severity.HIGH,
        "Every account of the host sees the arguments of every process, and a service file or a profile is read by who"
        " has no business in the database.",
        "Use a password file with mode 0600, or peer; take the password out, and set another.",
        "PGPASSWORD in /etc/environment, /etc/profile, /etc/profile.d and the profile of the server's owner; password"
        " in pg_service.conf of the system and of the owner; connection strings in /proc/*/cmdline",
        controls("8.3.2 8.6.2", "164.308(a)(5)", "32(1)(a)", "5.17"),
    ),
)
