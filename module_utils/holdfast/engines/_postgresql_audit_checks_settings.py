"""What should not be so about settings of PostgreSQL: what is logged, what is safe when it crashes, what waits."""

from __future__ import annotations

from ..audit.model import Check, Severity
from ._postgresql_audit_sql import SERVER_VALUE, controls, joined

# The settings of the server come first; what roles and databases have of their own comes besides.
_OVERRIDES = """
SELECT format('%s of %s', split_part(c, '=', 1), concat_ws(' in ', r.rolname, d.datname)),
       coalesce(nullif(substr(c, strpos(c, '=') + 1), ''), 'empty'), NULL, r.rolname
  FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) c
  LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase"""

SETTINGS = (
    Check(
        "PG16",
        "Connections, commands that define, or replication are not logged",
        Severity.MEDIUM,
        "Without them nobody can say afterwards who was there, who changed rights, and who copied the data. A role or a"
        " database that has a setting of its own escapes what holds for the server. Since PostgreSQL 18"
        " log_connections is a list, which must hold authentication or authorization.",
        "log_connections, log_disconnections and log_replication_commands on, log_statement ddl or more.",
        joined(
            """SELECT n.name, coalesce(nullif(n.value, ''), 'empty'), NULL, NULL
  FROM (SELECT s.name, """,
            SERVER_VALUE,
            """ AS value FROM pg_settings s
         WHERE s.name IN ('log_connections', 'log_disconnections', 'log_replication_commands', 'log_statement')) n
 WHERE CASE n.name WHEN 'log_statement' THEN n.value NOT IN ('ddl', 'mod', 'all')
       WHEN 'log_connections' THEN n.value !~ '^(on|true|yes|1)$|all|authentication|authorization'
       ELSE n.value <> 'on' END
UNION ALL""",
            _OVERRIDES,
            """
 WHERE c ~ '^log_statement=none$|^log_(connections|disconnections|replication_commands)=(off|false|no|0|)$'
 ORDER BY 1""",
        ),
        controls("10.2.1 10.2.1.2 10.2.1.5", "164.308(a)(1) 164.308(a)(5) 164.312(b)", "32(1)(d)", "8.15 8.16"),
    ),
    Check(
        "PG17",
        "Lines of the log lack who, when or from where",
        Severity.MEDIUM,
        "A line that does not say time, process, account, database and client proves nothing. The csv and json formats"
        " always have them.",
        "log_line_prefix = '%m [%p] %q%u@%d %h '.",
        """SELECT format('log_line_prefix without %s', n.what), current_setting('log_line_prefix'), NULL, NULL
  FROM (VALUES ('time', '%-?[0-9]*[tmn]'), ('process', '%-?[0-9]*[pc]'), ('account', '%-?[0-9]*u'),
               ('database', '%-?[0-9]*d'), ('client', '%-?[0-9]*[hr]')) n (what, sign)
 WHERE replace(current_setting('log_line_prefix'), '%%', '') !~ n.sign
   AND current_setting('log_destination') ~ 'stderr|syslog|eventlog'
   AND NOT (n.what = 'time' AND current_setting('log_destination') !~ 'stderr')
 ORDER BY 1""",
        controls("10.2.2", "164.312(b)", "32(1)(d)", "8.15"),
    ),
    Check(
        "PG18",
        "No audit log of what is read and changed",
        Severity.MEDIUM,
        "log_statement says what a client sent; pgaudit which objects it touched, through functions and views too.",
        "Install pgaudit, add it to shared_preload_libraries (a restart), and set pgaudit.log or pgaudit.role.",
        """SELECT 'pgaudit', 'not in shared_preload_libraries', NULL, NULL
 WHERE NOT 'pgaudit' = ANY (regexp_split_to_array(btrim(current_setting('shared_preload_libraries')), '[ ",]+'))
UNION ALL
SELECT 'pgaudit.log', 'none, and no pgaudit.role', NULL, NULL
 WHERE 'pgaudit' = ANY (regexp_split_to_array(btrim(current_setting('shared_preload_libraries')), '[ ",]+'))
   AND coalesce(current_setting('pgaudit.log', true), '') IN ('', 'none')
   AND coalesce(current_setting('pgaudit.role', true), '') = ''""",
        controls("10.2.1 10.2.1.1 10.2.1.7", "164.308(a)(1) 164.312(b)", "32(1)(d)", "8.15 8.16"),
    ),
    Check(
        "PG25",
        "Writes that a crash or a bad disk can damage unseen",
        Severity.CRITICAL,
        "Without fsync or full_page_writes a power cut corrupts the cluster; without checksums damage is found when it"
        " is in every backup.",
        "fsync and full_page_writes on; pg_checksums --enable while the server is down, or a new cluster with them.",
        """SELECT n.name, n.value, n.severity, NULL
  FROM (VALUES ('fsync', current_setting('fsync'), NULL),
               ('full_page_writes', current_setting('full_page_writes'), NULL),
               ('data_checksums', current_setting('data_checksums'), 'high')) n (name, value, severity)
 WHERE n.value <> 'on' ORDER BY 1""",
        controls("10.3.2 12.10.1", "164.308(a)(7) 164.312(c)(1)", "5(1)(f) 32(1)(b)", "8.13 8.14"),
    ),
    Check(
        "PG26",
        "The log of changes is not archived",
        Severity.HIGH,
        "Without an archive everything since the last backup is lost with the disk.",
        "archive_mode on (a restart) with an archive_command; Holdfast's set-up does that.",
        """SELECT 'archive_mode', current_setting('archive_mode'), NULL, NULL
 WHERE current_setting('archive_mode') = 'off'
UNION ALL
SELECT 'archive_command', 'empty, and no archive_library', NULL, NULL
 WHERE current_setting('archive_mode') <> 'off' AND current_setting('archive_command') = ''
   AND coalesce(current_setting('archive_library', true), '') = ''""",
        controls("9.4.1.1 12.10.1", "164.308(a)(7)(ii)(A)", "32(1)(c)", "8.13"),
    ),
    Check(
        "PG27",
        "Sessions that wait for ever",
        Severity.MEDIUM,
        "A transaction that is left open keeps its locks and the rows it saw, and a session that nobody is at can be"
        " taken over. A long authentication_timeout lets half-open logins fill the connections.",
        "Set idle_in_transaction_session_timeout; authentication_timeout at most 60 s.",
        joined(
            # A file can have a unit in it; authentication_timeout cannot be another for a role, and is a number.
            """SELECT n.name, concat_ws(' ', n.value, CASE WHEN n.value ~ '^[0-9]+$' THEN n.unit END), NULL, NULL
  FROM (SELECT s.name, s.unit, """,
            SERVER_VALUE,
            """ AS value FROM pg_settings s
         WHERE s.name IN ('idle_in_transaction_session_timeout', 'authentication_timeout')) n
 WHERE CASE n.name WHEN 'authentication_timeout' THEN n.value::bigint > 60 ELSE n.value ~ '^0+ *[a-z]*$' END
UNION ALL""",
            _OVERRIDES,
            """
 WHERE c ~ '^idle_in_transaction_session_timeout=0' ORDER BY 1""",
        ),
        controls("8.2.8", "164.312(a)(2)(iii)", "32(1)(b)", "8.5 8.9"),
    ),
)
