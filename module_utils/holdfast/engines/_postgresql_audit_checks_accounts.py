"""What should not be so about accounts of PostgreSQL. A row is subject, what was found, severity or null, account."""

from __future__ import annotations

from ..audit.model import Check, Severity
from ._postgresql_audit_sql import SERVER_VALUE, controls, joined

# Libraries that a login cannot come by, and how many logins have a password that they would be about.
_LIBRARIES = """FROM (SELECT count(*) AS logins FROM pg_authid WHERE rolcanlogin AND rolpassword IS NOT NULL) p,
       (SELECT regexp_split_to_array(btrim(concat_ws(',', current_setting('shared_preload_libraries'),
                                                     current_setting('session_preload_libraries'))),
                                     '[ ",]+') AS loaded) l
 WHERE p.logins > 0 AND NOT l.loaded && """

ACCOUNTS = (
    Check(
        "PG01",
        "Superusers besides the one that the cluster was made with",
        Severity.CRITICAL,
        "A superuser passes every permission check, reads every row and runs programs as the server. The role that"
        " initdb made cannot lose the attribute and is not counted.",
        "ALTER ROLE ... NOSUPERUSER, and grant what the account needs; name administrators in the policy.",
        "SELECT rolname, 'superuser' || CASE WHEN rolcanlogin THEN ', can log in' ELSE ', cannot log in' END,"
        " NULL, rolname FROM pg_roles WHERE rolsuper AND oid <> 10 ORDER BY 1",
        controls("7.2.1 7.2.2 7.2.5", "164.308(a)(4) 164.312(a)(1)", "5(1)(f) 25 32(1)(b)", "5.15 5.18 8.2"),
        power=True,
    ),
    Check(
        "PG02",
        "Ordinary roles that reach every row or the operating system through a predefined role",
        Severity.CRITICAL,
        "Who runs programs or writes files as the server's user can make itself superuser; who reads or writes all data"
        " passes every grant. Such membership does not show in the attributes of the account.",
        "REVOKE the predefined role, also where it is held through another role; grant rights on objects instead.",
        """SELECT format('%s in %s', m.rolname, g.rolname),
       CASE WHEN EXISTS (SELECT FROM pg_auth_members a WHERE a.roleid = g.oid AND a.member = m.oid)
            THEN 'member' ELSE 'member through another role' END, NULL, m.rolname
  FROM pg_roles g JOIN pg_roles m ON m.oid <> g.oid AND NOT m.rolsuper AND m.oid >= 16384
 WHERE g.rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files',
                     'pg_read_all_data', 'pg_write_all_data') AND g.oid < 16384
   AND pg_has_role(m.oid, g.oid, 'MEMBER')
 ORDER BY 1""",
        controls("7.2.1 7.2.2 7.2.6", "164.308(a)(4) 164.312(a)(1)", "5(1)(f) 32(1)(b)", "5.18 8.2 8.3"),
    ),
    Check(
        "PG03",
        "Logins that may make roles, pass row security or replicate",
        Severity.HIGH,
        "CREATEROLE hands out rights, BYPASSRLS passes policies of rows, REPLICATION copies the whole cluster, its"
        " password verifiers among it. Each belongs to an account that does nothing else.",
        "ALTER ROLE ... NOCREATEROLE, NOBYPASSRLS or NOREPLICATION; for an account that must have one, an exception in"
        " the policy.",
        """SELECT rolname, concat_ws(', ', CASE WHEN rolcreaterole THEN 'CREATEROLE' END,
       CASE WHEN rolbypassrls THEN 'BYPASSRLS' END, CASE WHEN rolreplication THEN 'REPLICATION' END), NULL, rolname
  FROM pg_roles
 WHERE rolcanlogin AND NOT rolsuper AND (rolcreaterole OR rolbypassrls OR rolreplication)
 ORDER BY 1""",
        controls("7.2.2 7.2.5", "164.308(a)(4) 164.312(a)(1)", "32(1)(b)", "5.18 8.2"),
    ),
    Check(
        "PG04",
        "Passwords that never end",
        Severity.MEDIUM,
        "Where a password is the only factor it must be changed, and the server enforces that only by VALID UNTIL.",
        "ALTER ROLE ... VALID UNTIL '...', or log in by certificate, GSSAPI or peer and take the password away.",
        """SELECT rolname, 'has a password and no VALID UNTIL', NULL, rolname FROM pg_authid
 WHERE rolcanlogin AND rolpassword IS NOT NULL AND coalesce(rolvaliduntil, 'infinity') = 'infinity'
 ORDER BY 1""",
        controls("8.3.9 8.6.3", "164.308(a)(5)", "32(1)(b)", "5.17"),
    ),
    Check(
        "PG05",
        "Logins whose password has ended",
        Severity.LOW,
        "Nobody needs the account as it was, and VALID UNTIL ends the password only: peer, certificate and GSSAPI still"
        " let it in.",
        "Lock it (NOLOGIN) or drop it.",
        """SELECT rolname, format('valid until %s', rolvaliduntil), NULL, rolname FROM pg_roles
 WHERE rolcanlogin AND rolvaliduntil < now() ORDER BY 1""",
        controls("8.2.5 8.2.6", "164.308(a)(3)", "32(1)(b)", "5.16 5.18"),
    ),
    Check(
        "PG06",
        "Passwords stored as something weaker than SCRAM-SHA-256",
        Severity.HIGH,
        "An md5 verifier is as good as the password to who gets hold of it, is cracked at billions of guesses a second,"
        " and its support is to be removed.",
        "Set the password again with password_encryption = scram-sha-256.",
        """SELECT rolname, CASE WHEN rolpassword ~ '^md5[0-9a-f]{32}$' THEN 'md5' ELSE 'of unknown form' END,
       NULL, rolname
  FROM pg_authid WHERE rolpassword IS NOT NULL AND rolpassword !~ '^SCRAM-SHA-256\\$' ORDER BY 1""",
        controls("8.3.2", "164.312(d)", "32(1)(a)", "5.17 8.24"),
    ),
    Check(
        "PG07",
        "Passwords that the name of the account gives away",
        Severity.CRITICAL,
        "The name, the name with a digit, and the words of installation guides are what is tried first.",
        "Set another password at once, and look in the log who logged in.",
        "SELECT rolname, rolpassword FROM pg_authid WHERE rolcanlogin AND rolpassword IS NOT NULL"
        " -- each verifier is compared on this host with what the trials would give; nothing is logged in with",
        controls("2.2.2 8.3.6 8.6.2", "164.308(a)(5) 164.312(d)", "32(1)(b)", "5.17"),
    ),
    Check(
        "PG08",
        "New passwords are not stored as SCRAM-SHA-256",
        Severity.HIGH,
        "password_encryption decides how a password is stored that is set from now on.",
        "ALTER SYSTEM SET password_encryption = 'scram-sha-256', and RESET it where a role or a database has its own.",
        joined(
            """SELECT 'password_encryption', n.value, NULL, NULL
  FROM (SELECT """,
            SERVER_VALUE,
            """ AS value FROM pg_settings s WHERE s.name = 'password_encryption') n
 WHERE n.value <> 'scram-sha-256'
UNION ALL
SELECT format('password_encryption of %s', concat_ws(' in ', r.rolname, d.datname)), split_part(c, '=', 2),
       NULL, r.rolname
  FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) c
  LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
 WHERE split_part(c, '=', 1) = 'password_encryption' AND split_part(c, '=', 2) <> 'scram-sha-256'
 ORDER BY 1""",
        ),
        controls("8.3.2", "164.312(d)", "32(1)(a)", "5.17 8.24"),
    ),
    Check(
        "PG36",
        "New passwords are not tested",
        Severity.MEDIUM,
        "The server takes any password, the account's own name too. A test sees only passwords that are sent as text,"
        " not those that a client has hashed already.",
        "Add passwordcheck or credcheck to shared_preload_libraries; that takes a restart.",
        joined(
            """SELECT 'passwordcheck', format('not loaded, nor credcheck; logins with a password: %s', p.logins),
       NULL, NULL
  """,
            _LIBRARIES,
            "ARRAY['passwordcheck', 'credcheck']",
        ),
        controls("8.3.6", "164.308(a)(5)", "32(1)(b)", "5.17"),
    ),
    Check(
        "PG37",
        "Passwords may be guessed without end",
        Severity.MEDIUM,
        "Nothing slows a guess down, and PostgreSQL itself never locks an account.",
        "Add auth_delay, or credcheck with a limit, to shared_preload_libraries; that takes a restart.",
        joined(
            """SELECT 'auth_delay', format('not loaded, nor credcheck; logins with a password: %s', p.logins),
       NULL, NULL
  """,
            _LIBRARIES,
            "ARRAY['auth_delay', 'credcheck']",
        ),
        controls("8.3.4", "164.308(a)(5)", "32(1)(b)", "8.5"),
    ),
    Check(
        "PG28",
        "Logins without a limit of connections",
        Severity.LOW,
        "One account that takes every connection shuts the others out.",
        "ALTER ROLE ... CONNECTION LIMIT n, above what its pool opens.",
        """SELECT rolname, 'CONNECTION LIMIT -1', NULL, rolname FROM pg_roles
 WHERE rolcanlogin AND NOT rolsuper AND rolconnlimit = -1 AND oid >= 16384 ORDER BY 1""",
        controls("2.2.1", "164.308(a)(7)", "32(1)(b)", "8.9 8.14"),
    ),
)
