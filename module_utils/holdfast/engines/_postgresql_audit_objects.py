"""The objects of a PostgreSQL cluster that carry rights, as SQL: for reading rights, and for changing them.

Each row is kind, object as a person would type it, owner, access list, class, oid and number of column. Lists that are
not set stand for a default; the defaults that matter are written out, those of each type and of what the server brings
are not. initdb does not record what it grants in information_schema, so its own objects there are left out.
"""

from __future__ import annotations

# The order of UNION ALL: what has most rows comes last, so that a short list is read first.
_SHARED = """
    SELECT 'database' AS kind, format('%I', datname) AS object, datdba AS owner,
           coalesce(datacl, acldefault('d', datdba)) AS acl, 'pg_database'::regclass AS class, oid AS id, 0 AS part
      FROM pg_database
    UNION ALL
    SELECT 'tablespace', format('%I', spcname), spcowner, spcacl, 'pg_tablespace'::regclass, oid, 0
      FROM pg_tablespace
"""
_PARAMETERS = """
    UNION ALL
    SELECT 'parameter', parname, 10::oid, paracl, 'pg_parameter_acl'::regclass, oid, 0 FROM pg_parameter_acl
"""
_LOCAL = """
    SELECT 'schema' AS kind, format('%I', nspname) AS object, nspowner AS owner, nspacl AS acl,
           'pg_namespace'::regclass AS class, oid AS id, 0 AS part
      FROM pg_namespace WHERE nspname !~ '^pg_(toast|temp)' AND NOT (nspname = 'information_schema' AND oid < 16384)
    UNION ALL
    SELECT 'language', format('%I', lanname), lanowner, coalesce(lanacl, acldefault('l', lanowner)),
           'pg_language'::regclass, oid, 0
      FROM pg_language WHERE lanispl AND lanpltrusted
    UNION ALL
    SELECT 'foreign data wrapper', format('%I', fdwname), fdwowner, fdwacl, 'pg_foreign_data_wrapper'::regclass, oid, 0
      FROM pg_foreign_data_wrapper
    UNION ALL
    SELECT 'foreign server', format('%I', srvname), srvowner, srvacl, 'pg_foreign_server'::regclass, oid, 0
      FROM pg_foreign_server
    UNION ALL
    SELECT 'large object', oid::text, lomowner, lomacl, 'pg_largeobject'::regclass, oid, 0
      FROM pg_largeobject_metadata
    UNION ALL
    SELECT CASE typtype WHEN 'd' THEN 'domain' ELSE 'type' END, format('%I.%I', n.nspname, typname), typowner, typacl,
           'pg_type'::regclass, t.oid, 0
      FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
     WHERE NOT (n.nspname = 'information_schema' AND t.oid < 16384)
       AND (typacl IS NOT NULL OR (t.oid >= 16384 AND typtype IN ('d', 'e', 'r')))
    UNION ALL
    SELECT 'routine', p.oid::regprocedure::text, proowner,
           CASE WHEN proacl IS NOT NULL OR p.oid < 16384 OR (NOT prosecdef AND EXISTS (
                SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'))
                THEN proacl ELSE acldefault('f', proowner) END,
           'pg_proc'::regclass, p.oid, 0
      FROM pg_proc p WHERE p.oid >= 16384 OR proacl IS NOT NULL
    UNION ALL
    SELECT 'column', format('%I.%I (%I)', n.nspname, c.relname, t.attname), c.relowner, t.attacl,
           'pg_class'::regclass, c.oid, t.attnum
      FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE t.attacl IS NOT NULL AND NOT t.attisdropped
    UNION ALL
    SELECT CASE c.relkind WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                WHEN 'f' THEN 'foreign table' ELSE 'table' END,
           format('%I.%I', n.nspname, c.relname), c.relowner, c.relacl, 'pg_class'::regclass, c.oid, 0
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^pg_(toast|temp)'
       AND NOT (n.nspname = 'information_schema' AND c.oid < 16384)
"""
# What initdb or an extension granted when it made the object is left out; so is what an owner has anyway.
_GRANTS = """
    SELECT a.grantee::bigint, a.privilege_type, o.kind, o.object, a.is_grantable, o.id::bigint, a.grantor::bigint,
           o.owner::bigint
      FROM ({objects}) o
      LEFT JOIN pg_init_privs i ON i.objoid = o.id AND i.classoid = o.class AND i.objsubid = o.part
     CROSS JOIN LATERAL aclexplode(CASE WHEN i.initprivs IS NULL THEN o.acl ELSE nullif(ARRAY(
           SELECT item FROM unnest(o.acl) item WHERE NOT item = ANY (i.initprivs)), '{{}}') END) a
     WHERE a.grantee <> o.owner AND o.acl IS NOT NULL
"""
_OWNED = """
    SELECT o.owner::bigint, o.kind, o.object FROM ({objects}) o JOIN pg_roles r ON r.oid = o.owner
     WHERE NOT r.rolsuper AND o.part = 0
"""
DEFAULTS = """
    SELECT a.grantee::bigint, a.privilege_type,
           'future ' || CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'routines'
                             WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' WHEN 'L' THEN 'large objects'
                             ELSE d.defaclobjtype::text END,
           concat_ws(' ', format('of %I', r.rolname), format('in %s', quote_ident(n.nspname))), a.is_grantable,
           r.rolname, n.nspname
      FROM pg_default_acl d JOIN pg_roles r ON r.oid = d.defaclrole
      LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
     CROSS JOIN LATERAL aclexplode(d.defaclacl) a
     WHERE a.grantee <> d.defaclrole
"""
DEFINERS = "SELECT oid::bigint FROM pg_proc WHERE prosecdef"


def shared(major: int) -> str:
    """The objects that belong to the cluster as a whole; parameters have rights since PostgreSQL 15."""
    return _SHARED + (_PARAMETERS if major >= 15 else "")


def local() -> str:
    """The objects of the database that is connected to."""
    return _LOCAL


def grants(objects: str) -> str:
    """The grants on objects: grantee, privilege, kind, object, grantable, oid, grantor, owner."""
    return _GRANTS.format(objects=objects)


def owned(objects: str) -> str:
    """Who owns what, but for superusers: owner, kind, object."""
    return _OWNED.format(objects=objects)
