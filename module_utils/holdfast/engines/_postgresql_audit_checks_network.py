"""What should not be so about how PostgreSQL lets in: pg_hba.conf, TLS, addresses."""

from __future__ import annotations

from ..audit.model import Check, Severity
from ._postgresql_audit_sql import controls, joined

# A rule is known by what it says: a comment added above it must not make a finding a new one. Options stay out, as they
# can hold passwords (ldapbindpasswd). The file may be one of several since PostgreSQL 16.
_RULES = """WITH rule AS (
  SELECT row_number() OVER () AS number, h.type, h.database, h.user_name, h.auth_method, a.source,
         CASE WHEN a.source ~ '^[0-9a-fA-F:.]+/[0-9]+$' THEN a.source::inet END AS net,
         concat_ws(' ', h.type, array_to_string(h.database, ','), array_to_string(h.user_name, ','), a.source,
                   h.auth_method) AS says,
         format('line %s%s', h.line_number, ' of ' || (to_jsonb(h) ->> 'file_name')) AS place
    FROM pg_hba_file_rules h
   CROSS JOIN LATERAL (SELECT h.address || coalesce('/' || (
           SELECT n FROM generate_series(0, CASE family(h.netmask::inet) WHEN 4 THEN 32 ELSE 128 END) n
            WHERE netmask(set_masklen(CASE family(h.netmask::inet) WHEN 4 THEN '0.0.0.0' ELSE '::' END::inet, n))
                  = h.netmask::inet), '') AS source) a
   WHERE h.error IS NULL
), open_rule AS (
  SELECT *, coalesce(net <<= '127.0.0.0/8' OR net <<= '::1/128', source IN ('localhost', 'samehost')) AS loopback
    FROM rule WHERE auth_method <> 'reject'
)
"""

# Superusers that may log in, and which rules speak of them. They count as members of a role only where they are.
_ADMINS = """, admin AS (
  SELECT r.oid, r.rolname, r.rolpassword IS NOT NULL AS has_password FROM pg_authid r
   WHERE r.rolsuper AND r.rolcanlogin
), met AS (
  SELECT o.*, a.rolname, a.has_password FROM rule o CROSS JOIN admin a
   WHERE EXISTS (SELECT FROM unnest(o.user_name) u
                  WHERE u IN ('all', a.rolname)
                     OR (left(u, 1) = '/' AND current_setting('server_version_num')::int >= 160000
                         AND a.rolname ~ substr(u, 2))
                     OR (left(u, 1) = '+' AND EXISTS (
                         WITH RECURSIVE held AS (
                           SELECT m.roleid FROM pg_auth_members m WHERE m.member = a.oid
                           UNION SELECT m.roleid FROM pg_auth_members m JOIN held ON m.member = held.roleid)
                         SELECT FROM pg_roles g WHERE g.rolname = substr(u, 2)
                            AND (g.oid = a.oid OR g.oid IN (SELECT roleid FROM held)))))
)
"""

NETWORK = (
    Check(
        "PG09",
        "Rules of pg_hba.conf that let in without a proof, or with a weak one",
        Severity.HIGH,
        "trust asks for nothing, password sends it in clear, ident believes the client's machine, md5 lets weak"
        " verifiers in. What the file says now is read, also where it was not reloaded yet.",
        "Use scram-sha-256, cert, gss, or peer for local connections, and reload.",
        joined(
            _RULES,
            """SELECT says, place, CASE WHEN auth_method IN ('trust', 'password') THEN 'critical' END, NULL
  FROM open_rule WHERE auth_method IN ('trust', 'password', 'md5', 'ident') ORDER BY 1""",
        ),
        controls("2.2.2 8.3.1 8.3.2", "164.312(a)(2)(i) 164.312(d)", "32(1)(b)", "5.17 8.5"),
    ),
    Check(
        "PG10",
        "Rules of pg_hba.conf for every address",
        Severity.HIGH,
        "The password is then the only thing between anyone who reaches the port and the data.",
        "Name the networks of the clients.",
        joined(
            _RULES,
            """SELECT says, place, NULL, NULL FROM open_rule
 WHERE source = 'all' OR masklen(net) = 0 ORDER BY 1""",
        ),
        controls("1.2.5 1.3.1 7.3.3", "164.312(a)(1) 164.312(e)(1)", "25 32(1)(b)", "8.20"),
    ),
    Check(
        "PG11",
        "Rules of pg_hba.conf that take unencrypted connections from other machines",
        Severity.HIGH,
        "host takes connections with and without TLS; what is read and written can be seen on the way.",
        "Write hostssl (or hostgssenc) in the place of host.",
        joined(
            _RULES,
            """SELECT says, place, NULL, NULL FROM open_rule
 WHERE type IN ('host', 'hostnossl', 'hostnogssenc') AND NOT loopback ORDER BY 1""",
        ),
        controls("2.2.7 4.2.1", "164.312(e)(1)", "32(1)(a)", "8.20 8.24"),
    ),
    Check(
        "PG12",
        "Rules of pg_hba.conf for every database and every account over TCP",
        Severity.MEDIUM,
        "A new account or database is let in at once, the administrator's among them. For the machine itself it matters"
        " less.",
        "Name databases and accounts, or roles with +role.",
        joined(
            _RULES,
            """SELECT says, place, CASE WHEN loopback THEN 'low' END, NULL FROM open_rule
 WHERE type <> 'local' AND 'all' = ANY (database) AND 'all' = ANY (user_name) ORDER BY 1""",
        ),
        controls("7.2.5 7.3.3", "164.312(a)(1)", "25 32(1)(b)", "5.15 8.3"),
    ),
    Check(
        "PG13",
        "Lines of pg_hba.conf that the server does not understand",
        Severity.HIGH,
        "A file with an error is not loaded: the rules in force are older ones, and a restart fails.",
        "Correct the line and reload.",
        """SELECT format('line %s%s', h.line_number, ' of ' || (to_jsonb(h) ->> 'file_name')), h.error, NULL, NULL
  FROM pg_hba_file_rules h WHERE h.error IS NOT NULL ORDER BY h.line_number""",
        controls("2.2.1", "164.312(a)(1)", "32(1)(b)", "8.9"),
    ),
    Check(
        "PG14",
        "TLS is off, or takes versions before 1.2",
        Severity.CRITICAL,
        "Passwords and data cross the network in clear, or under a protocol that is broken. A server that other"
        " machines cannot reach loses less.",
        "ssl = on with a certificate of your authority; ssl_min_protocol_version = 'TLSv1.2' or newer.",
        """SELECT n.name, CASE n.value WHEN '' THEN 'empty: every version' ELSE n.value END,
       CASE WHEN NOT EXISTS (SELECT FROM unnest(string_to_array(current_setting('listen_addresses'), ',')) l
                              WHERE btrim(l) NOT IN ('', 'localhost', '::1') AND btrim(l) !~ '^127[.]')
            THEN 'medium' END, NULL
  FROM (VALUES ('ssl', current_setting('ssl')),
               ('ssl_min_protocol_version', current_setting('ssl_min_protocol_version'))) n (name, value)
 WHERE (n.name = 'ssl' AND n.value <> 'on')
    OR (n.name = 'ssl_min_protocol_version' AND n.value NOT IN ('TLSv1.2', 'TLSv1.3'))
 ORDER BY 1""",
        controls("2.2.7 4.2.1", "164.312(e)(1)", "32(1)(a)", "8.20 8.24"),
    ),
    Check(
        "PG15",
        "The server listens on every address",
        Severity.HIGH,
        "A network that is added to the host later reaches the database at once.",
        "List the addresses in listen_addresses; that takes a restart.",
        """SELECT format('listen_addresses %s', btrim(l)), current_setting('listen_addresses'), NULL, NULL
  FROM unnest(string_to_array(current_setting('listen_addresses'), ',')) l
 WHERE btrim(l) IN ('*', '0.0.0.0', '::') ORDER BY 1""",
        controls("1.2.5 1.3.1 2.2.4", "164.312(e)(1)", "25 32(1)(b)", "8.9 8.20"),
    ),
    Check(
        "PG35",
        "Superusers that may log in from other machines",
        Severity.HIGH,
        "Who has, or guesses, what one superuser proves himself with has the server, from wherever the rule lets him"
        " in. A superuser without a password is not let in by a rule that asks for one.",
        "Put a reject of the superusers before the rule, or name other accounts in it; let them in by peer, locally.",
        joined(
            _RULES,
            _ADMINS,
            """SELECT format('%s: %s', m.rolname, m.says), m.place, NULL, m.rolname FROM met m
 WHERE m.type <> 'local' AND m.auth_method <> 'reject' AND m.database <> '{replication}'
   AND NOT coalesce(m.net <<= '127.0.0.0/8' OR m.net <<= '::1/128', m.source IN ('localhost', 'samehost'))
   AND (m.has_password OR m.auth_method NOT IN ('scram-sha-256', 'md5', 'password'))
   AND NOT EXISTS (SELECT FROM met r
                    WHERE r.number < m.number AND r.rolname = m.rolname AND r.auth_method = 'reject'
                      AND r.type IN ('host', m.type) AND ('all' = ANY (r.database) OR r.database @> m.database)
                      AND coalesce(r.source = 'all' OR r.net >>= m.net, r.source = m.source))
 ORDER BY 1""",
        ),
        controls("7.2.2 7.3.3 8.2.1", "164.312(a)(1) 164.312(d)", "32(1)(b)", "8.2 8.5 8.20"),
    ),
)
