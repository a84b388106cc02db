"""What should not be so inside the databases of PostgreSQL. What the server itself ships is not counted."""

from __future__ import annotations

from ..audit.model import Check, Severity
from ._postgresql_audit_sql import controls

OBJECTS = (
    Check(
        "PG19",
        "Schemas in which everybody may create",
        Severity.HIGH,
        "What anybody puts into a schema of the search path is found in the place of what was meant, and runs with the"
        " rights of who calls it. Clusters made before PostgreSQL 15 have it so in the schema public.",
        "REVOKE CREATE ON SCHEMA ... FROM PUBLIC, in template1 also.",
        """SELECT nspname, 'PUBLIC may create', NULL, NULL
  FROM pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) a
 WHERE a.grantee = 0 AND a.privilege_type = 'CREATE' AND nspname !~ '^pg_(toast_)?temp_' ORDER BY 1""",
        controls("7.2.2 7.3.3", "164.308(a)(4) 164.312(a)(1)", "25 32(1)(b)", "5.15 8.3"),
        per_database=True,
    ),
    Check(
        "PG20",
        "Tables that everybody has rights on",
        Severity.HIGH,
        "A right of PUBLIC is one of every account, also of those made later. Catalogs that PUBLIC was let into, which"
        " initdb did not do, and single columns are counted; what an extension granted when it was made is not.",
        "REVOKE ... FROM PUBLIC, and grant to a role.",
        """SELECT format('%I.%I', n.nspname, c.relname), string_agg(DISTINCT x.right, ', ' ORDER BY x.right), NULL, NULL
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 CROSS JOIN LATERAL (
    SELECT a.privilege_type AS right FROM unnest(c.relacl) item, aclexplode(ARRAY[item]) a
     WHERE a.grantee = 0 AND NOT EXISTS (SELECT FROM pg_init_privs i WHERE i.objoid = c.oid
       AND i.classoid = 'pg_class'::regclass AND i.objsubid = 0 AND item = ANY (i.initprivs))
    UNION ALL
    SELECT format('%s (%I)', a.privilege_type, t.attname)
      FROM pg_attribute t, unnest(t.attacl) item, aclexplode(ARRAY[item]) a
     WHERE t.attrelid = c.oid AND a.grantee = 0 AND NOT EXISTS (SELECT FROM pg_init_privs i
       WHERE i.objoid = c.oid AND i.classoid = 'pg_class'::regclass AND i.objsubid = t.attnum
         AND item = ANY (i.initprivs))) x
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT (n.nspname = 'information_schema' AND c.oid < 16384)
 GROUP BY 1 ORDER BY 1""",
        controls("7.2.2 7.2.6 7.3.3", "164.308(a)(4) 164.312(a)(1)", "5(1)(f) 25 32(1)(b)", "5.15 8.3"),
        per_database=True,
    ),
    Check(
        "PG21",
        "Databases that everybody may connect to",
        Severity.MEDIUM,
        "CONNECT is PUBLIC's unless it is revoked: every account of the cluster gets into every database.",
        "REVOKE CONNECT ON DATABASE ... FROM PUBLIC, and grant it to the accounts of the application first.",
        """SELECT datname, 'PUBLIC may connect', NULL, NULL
  FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) a
 WHERE a.grantee = 0 AND a.privilege_type = 'CONNECT' AND datallowconn AND NOT datistemplate
   AND datname <> 'postgres' ORDER BY 1""",
        controls("7.2.2 7.3.3", "164.312(a)(1)", "25 32(1)(b)", "5.15 8.3"),
    ),
    Check(
        "PG22",
        "Routines with their owner's rights that a caller can divert",
        Severity.HIGH,
        "A SECURITY DEFINER routine without a search_path of its own looks names up in that of the caller, who can put"
        " something else there. Everybody may call these; where a superuser owns one, everybody can become superuser.",
        "ALTER ROUTINE ... SET search_path = pg_catalog, ..., pg_temp; REVOKE EXECUTE ON ROUTINE ... FROM PUBLIC.",
        """SELECT format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
       format('runs as %s', o.rolname), CASE WHEN o.rolsuper THEN 'critical' END, o.rolname
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles o ON o.oid = p.proowner
 WHERE p.prosecdef AND NOT EXISTS (SELECT FROM unnest(p.proconfig) c WHERE c LIKE 'search_path=%')
   AND EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                WHERE a.grantee = 0 AND a.privilege_type = 'EXECUTE')
 ORDER BY 1""",
        controls("6.2.4 7.2.2", "164.308(a)(4) 164.312(a)(1)", "25 32(1)(b)", "8.2 8.28"),
        per_database=True,
    ),
    Check(
        "PG23",
        "Languages and extensions that reach out of the database",
        Severity.MEDIUM,
        "They read files, run code as the server's user, look into raw pages or connect to other servers. One that was"
        " made trusted by hand gives that to everybody who may use it.",
        "DROP what no application needs; name what is approved in the policy.",
        """SELECT format('language %s', lanname),
       CASE WHEN lanpltrusted THEN 'untrusted by nature, marked trusted' ELSE 'untrusted' END,
       CASE WHEN lanpltrusted THEN 'critical' ELSE 'high' END, NULL
  FROM pg_language
 WHERE lanispl AND (NOT lanpltrusted
       OR lanname IN ('plpython3u', 'plpython2u', 'plpythonu', 'plperlu', 'pltclu', 'plsh'))
UNION ALL
SELECT format('extension %s', extname), format('version %s', extversion), NULL, NULL FROM pg_extension
 WHERE extname IN ('adminpack', 'dblink', 'file_fdw', 'pageinspect', 'pg_cron', 'pg_surgery', 'postgres_fdw')
 ORDER BY 1""",
        controls("2.2.4 6.2.4", "164.308(a)(4) 164.312(a)(1)", "25 32(1)(b)", "8.9 8.18"),
        per_database=True,
    ),
    Check(
        "PG24",
        "Passwords of other servers in the catalog",
        Severity.MEDIUM,
        "A user mapping keeps the password in clear: every superuser and every physical backup has it.",
        "ALTER USER MAPPING ... OPTIONS (DROP password), and use a client certificate, passfile or GSSAPI.",
        """SELECT format('user mapping of %s on %s', coalesce(r.rolname, 'PUBLIC'), s.srvname),
       format('has the option %s', split_part(o, '=', 1)), NULL, r.rolname
  FROM pg_user_mapping m CROSS JOIN unnest(m.umoptions) o JOIN pg_foreign_server s ON s.oid = m.umserver
  LEFT JOIN pg_roles r ON r.oid = m.umuser
 WHERE split_part(o, '=', 1) ~* 'passw|secret|token' AND split_part(o, '=', 1) <> 'password_required'
   AND split_part(o, '=', 2) <> ''
 ORDER BY 1""",
        controls("8.3.2 8.6.2", "164.308(a)(5) 164.312(d)", "32(1)(a)", "5.17 8.24"),
        per_database=True,
    ),
)
