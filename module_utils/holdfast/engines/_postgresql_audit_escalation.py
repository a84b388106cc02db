"""Paths by which an account of PostgreSQL that is no superuser becomes one, or acts as the server on its host."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..audit.model import PUBLIC, Escalation
from ._postgresql_audit_roles import Role, Roles
from ._postgresql_audit_sql import databases, reading, version

if TYPE_CHECKING:
    from .postgresql import PostgreSQL

_EVERYBODY = 0
SUPERUSER, SYSTEM, ROWS = "superuser", "operating system", "every row"
_POWERS = {
    "pg_execute_server_program": (SYSTEM, "runs programs as the server's user, by COPY ... PROGRAM"),
    "pg_write_server_files": (SYSTEM, "writes files as the server's user, its configuration among them"),
    "pg_read_server_files": (ROWS, "reads the files of the data directory as the server's user"),
}
# Settings that name a program or a library that the server runs.
_PARAMETERS = """
    SELECT a.grantee::bigint, parname, a.privilege_type FROM pg_parameter_acl, aclexplode(paracl) a
     WHERE parname IN ('archive_command', 'archive_library', 'archive_cleanup_command', 'dynamic_library_path',
                       'jit_provider', 'local_preload_libraries', 'recovery_end_command', 'restore_command',
                       'session_preload_libraries', 'shared_preload_libraries', 'ssl_passphrase_command')
       AND a.grantee <> 10
"""
# Of each: who may use it, what it is, what it gives.
_IN_DATABASE = (
    (
        SUPERUSER,
        "may call {0}, which runs as the superuser {1} and looks names up where the caller says",
        """SELECT a.grantee::bigint, p.oid::regprocedure::text, o.rolname
  FROM pg_proc p JOIN pg_roles o ON o.oid = p.proowner AND o.rolsuper
 CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
 WHERE p.prosecdef AND a.grantee <> p.proowner
   AND NOT EXISTS (SELECT FROM unnest(p.proconfig) c WHERE c LIKE 'search_path=%')""",
    ),
    (
        SUPERUSER,
        "owns {0}, which the event trigger {1} runs in the session of whoever sets it off, a superuser too",
        """SELECT p.proowner::bigint, p.oid::regprocedure::text, format('%I', t.evtname)
  FROM pg_event_trigger t JOIN pg_proc p ON p.oid = t.evtfoid WHERE t.evtenabled <> 'D'""",
    ),
    (
        SUPERUSER,
        "owns {0}, which a trigger runs in the session of who writes to {1}, a table of a superuser",
        """SELECT DISTINCT p.proowner::bigint, p.oid::regprocedure::text, c.oid::regclass::text
  FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid AND NOT p.prosecdef JOIN pg_class c ON c.oid = t.tgrelid
  JOIN pg_roles o ON o.oid = c.relowner AND o.rolsuper
 WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND p.proowner <> c.relowner""",
    ),
    (
        SUPERUSER,
        "may create in the schema {0}, which superusers search for what they call",
        """SELECT a.grantee::bigint, format('%I', nspname), ''
  FROM pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) a
 WHERE a.privilege_type = 'CREATE' AND nspname = 'public' AND a.grantee <> nspowner""",
    ),
    (
        SYSTEM,
        "may write functions in {0}, an untrusted language that is marked trusted",
        """SELECT a.grantee::bigint, format('%I', lanname), ''
  FROM pg_language, aclexplode(coalesce(lanacl, acldefault('l', lanowner))) a
 WHERE lanpltrusted AND lanispl
   AND lanname IN ('plpython3u', 'plpython2u', 'plpythonu', 'plperlu', 'pltclu', 'plsh')""",
    ),
    (
        SYSTEM,
        "may call {0}, whose code in {1} runs as the server's user",
        """SELECT a.grantee::bigint, p.oid::regprocedure::text, format('%I', l.lanname)
  FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang AND l.lanispl AND NOT l.lanpltrusted
 CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
 WHERE p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype, 'language_handler'::regtype)
   AND NOT EXISTS (SELECT FROM pg_language h WHERE p.oid IN (h.lanplcallfoid, h.laninline, h.lanvalidator))""",
    ),
    (
        SYSTEM,
        "may call {0}, which the server keeps for superusers as it writes files",
        """SELECT a.grantee::bigint, p.oid::regprocedure::text, '' FROM pg_proc p, aclexplode(p.proacl) a
 WHERE p.proname IN ('lo_export', 'pg_file_write', 'pg_file_rename', 'pg_file_unlink') AND a.grantee <> p.proowner""",
    ),
    (
        ROWS,
        "may call {0}, which the server keeps for superusers as it reads files",
        """SELECT a.grantee::bigint, p.oid::regprocedure::text, '' FROM pg_proc p, aclexplode(p.proacl) a
 WHERE p.proname IN ('pg_read_file', 'pg_read_binary_file', 'lo_import') AND a.grantee <> p.proowner
   AND a.grantee NOT IN (SELECT oid FROM pg_roles WHERE rolname LIKE 'pg\\_%')""",
    ),
)


@dataclass(frozen=True)
class Power:
    """What a role can do that is worth more than it looks."""

    reaches: str
    sentence: str


def escalations(engine: PostgreSQL) -> Sequence[Escalation]:
    """See the protocol. One path, the shortest, for each account and each power at its end."""
    with reading(engine) as seen:
        roles, major = Roles.read(seen), version(seen)
        rows = seen.rows(_PARAMETERS) if major >= 15 else []
    powers: dict[int, list[Power]] = {}
    for role in roles:
        powers[role.oid] = list(_own(role))
    for grantee, parameter, privilege in rows:
        verb = "ALTER SYSTEM" if privilege == "ALTER SYSTEM" else "SET"
        powers.setdefault(grantee, []).append(
            Power(SYSTEM, f"may {verb} {parameter}, which names what the server runs or loads")
        )
    for database in databases(engine):
        _of_database(engine, database, powers)
    return list(_paths(roles, powers, handing_out=major < 16))


def _own(role: Role) -> Iterator[Power]:
    if role.superuser:
        yield Power(SUPERUSER, "is a superuser")
    if role.system and role.name in _POWERS:
        reaches, sentence = _POWERS[role.name]
        yield Power(reaches, sentence)
    if role.replication and not role.superuser:
        yield Power(ROWS, "may replicate: copies the whole cluster, the password verifiers among it")


def _of_database(engine: PostgreSQL, database: str, powers: dict[int, list[Power]]) -> None:
    with reading(engine, database) as seen:
        found = [(reaches, text, seen.rows(query)) for reaches, text, query in _IN_DATABASE]
    for reaches, text, rows in found:
        for grantee, *what in rows:
            sentence = f"{text.format(*what)} (database {database})"
            powers.setdefault(grantee, []).append(Power(reaches, sentence))


def _paths(roles: Roles, powers: Mapping[int, Sequence[Power]], *, handing_out: bool) -> Iterator[Escalation]:
    for power in powers.get(_EVERYBODY, ()):
        yield Escalation(PUBLIC, (f"every account {power.sentence}",), power.reaches)
    for role in roles:
        if role.superuser or not role.login:
            continue
        told: set[Power] = set()
        for oid, steps, becomes in _walk(roles, role, handing_out):
            # What else a superuser has adds nothing.
            for power in _own(roles.by_oid[oid]) if roles.by_oid[oid].superuser else powers.get(oid, ()):
                # Nobody inherits what superusers may: one has to become it, or to log in as it.
                if power not in told and _given(roles.by_oid[oid], power, steps, becomes):
                    told.add(power)
                    yield Escalation(role.name, (*steps, f"{roles.by_oid[oid].name} {power.sentence}"), power.reaches)


def _given(role: Role, power: Power, steps: Sequence[str], becomes: bool) -> bool:
    attribute = role.superuser or power.sentence.startswith("may replicate")
    return becomes or not attribute or not steps


def _walk(roles: Roles, start: Role, handing_out: bool) -> Iterator[tuple[int, tuple[str, ...], bool]]:
    """The roles that an account can come to, the nearest first: what it does for that, and whether it becomes them."""
    queue: deque[tuple[int, tuple[str, ...], bool]] = deque([(start.oid, (), True)])
    seen: set[tuple[int, bool]] = set()
    while queue:
        oid, steps, becomes = queue.popleft()
        if (oid, becomes) in seen or (oid, True) in seen:
            continue
        seen.add((oid, becomes))
        yield oid, steps, becomes
        queue.extend(_next(roles, oid, steps, becomes))
        if handing_out and becomes and roles.by_oid[oid].createrole:
            queue.extend(_handed_out(roles, oid, steps))


def _next(roles: Roles, oid: int, steps: tuple[str, ...], becomes: bool) -> Iterator[tuple[int, tuple[str, ...], bool]]:
    name = roles.by_oid[oid].name
    for item in sorted(roles.of(oid), key=lambda held: not held.becomes):
        role = roles.by_oid[item.role]
        if becomes and item.becomes:
            yield item.role, (*steps, f"{name} is a member of {role.name}"), True
        elif item.inherits:
            yield item.role, (*steps, f"{name} inherits from {role.name}"), False
        # The server lets superusers alone hand out a role that is a superuser.
        if item.admin and not role.superuser:
            yield item.role, (*steps, f"{name} has the admin option of {role.name} and grants it to itself"), True


def _handed_out(roles: Roles, oid: int, steps: tuple[str, ...]) -> Iterator[tuple[int, tuple[str, ...], bool]]:
    """Before PostgreSQL 16 CREATEROLE grants any role that is no superuser, to itself too."""
    name = roles.by_oid[oid].name
    for role in roles:
        if not role.superuser and role.oid != oid:
            sentence = f"{name} has CREATEROLE, which before PostgreSQL 16 grants any role, and takes {role.name}"
            yield role.oid, (*steps, sentence), True
