"""What people write about their instances, checked as a whole and turned into objects."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from . import continuity, inventory_patches, inventory_windows, recovery_order
from .audit import policy, policy_read
from .config import STATE
from .engines.catalog import ENGINES, supported
from .inventory_replicas import replica_issues
from .logcare import settings as logs
from .model import Instance, Job, Repository, Window
from .objectives import DEFAULT_LEVEL, DEFAULT_LEVELS, Level, read_level, unmet_by
from .problems import InvalidInventory, Locate, Problem, problem_of
from .repositories.settings import read_repository, same_place
from .units import parse_duration
from .validation import Checker, Issue, Path, did_you_mean

VARIABLES = (
    "db_instances",
    "db_service_levels",
    "db_repositories",
    "backup_scheduler",
    inventory_windows.VARIABLE,
    inventory_patches.VARIABLE,
    policy.VARIABLE,
    logs.VARIABLE,
    *continuity.VARIABLES,
)
SCHEDULERS = ("systemd", "cron")
NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
LOCAL_REPOSITORY = f"{STATE}/repository"  # where documentation and examples put a repository on the host itself
NAME_FORM = "a lower-case letter, then up to 39 lower-case letters, digits and hyphens"

_INSTANCE_KEYS = (
    "name",
    "engine",
    "port",
    "service_level",
    "repositories",
    "databases",
    "os_user",
    "socket_directory",
    "options",
    "depends_on",
    "business",
    "replica_of",
)
_TIME_LIMIT = "time_limit_"
_SIMILAR = 0.84

HostVars = Mapping[str, Mapping[str, Any]]


@dataclass
class _Draft:
    """An instance as it was written, as far as it could be read."""

    name: str
    engine: str = ""
    port: int = 0
    level: Level | None = None
    repositories: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
    os_user: str = ""
    socket_directory: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    replica_of: str = ""
    windows: tuple[Window, ...] = ()


def check(hosts: HostVars, locate: Locate | None = None) -> list[Problem]:
    """Every problem of an inventory as its files have it, templates not rendered; sorted by file and line."""
    names: dict[str, str] = {}
    problems = _Problems(locate)
    needs = recovery_order.dependencies(hosts)
    circle = recovery_order.circle(needs)
    for host, variables in hosts.items():
        checker = Checker(rendered=False)
        _read_host(host, variables, checker, names)
        continuity.note_dependencies(variables, needs, circle, checker)
        if variables.get(policy.VARIABLE) is not None:
            policy_read.read_policy(variables[policy.VARIABLE], checker, needs)
        issues = [*checker.issues, *replica_issues(hosts, host), *inventory_windows.scope_issues(hosts, host)]
        problems.add(host, variables, [*issues, *inventory_patches.patch_issues(hosts, host)])
    if hosts and not any("db_instances" in variables for variables in hosts.values()):
        problems.found.add(
            Problem("", 0, "all hosts", "db_instances", "", "is missing: no host of the inventory has instances")
        )
    return sorted(problems.found)


def gaps(hosts: HostVars, locate: Locate | None = None) -> list[Problem]:
    """Every human field that is empty and that the recovery of a critical instance needs; sorted by file and line."""
    problems = _Problems(locate)
    for host, variables in hosts.items():
        found: list[continuity.Gap] = []
        repositories: dict[str, None] = {}
        for index, raw in enumerate(_mappings(variables.get("db_instances"))):
            if raw.get("service_level", DEFAULT_LEVEL) == continuity.CRITICAL:
                found.extend(continuity.gaps_of_instance(raw, ("db_instances", index)))
                repositories.update(dict.fromkeys(_repositories_of(raw, variables)))
        if repositories:
            found.extend(continuity.gaps_of_fleet(variables))
            found.extend(continuity.gaps_of_host(variables, list(repositories)))
        message = "is empty, and a critical instance depends on it"
        problems.add(host, variables, [Issue(gap.path, None, message, gap.valid) for gap in found])
    return sorted(problems.found)


class _Problems:
    """Problems of a fleet. Variables of a group are read once for every host of it, and are told once."""

    def __init__(self, locate: Locate | None) -> None:
        self.found: set[Problem] = set()
        self._locate = locate
        self._shared: set[tuple[str, str, str]] = set()

    def add(self, host: str, variables: Mapping[str, Any], issues: Sequence[Issue]) -> None:
        """Take over the issues of one host."""
        for issue in issues:
            problem = problem_of(host, variables, issue, self._locate)
            identity = (f"{problem.file}:{problem.line}" if problem.file else "", problem.key, problem.message)
            own = issue.path[0] == "db_instances" and not problem.file
            if own or identity not in self._shared:
                self._shared.add(identity)
                self.found.add(problem)


def _repositories_of(raw: Mapping[str, Any], variables: Mapping[str, Any]) -> list[str]:
    known = variables.get("db_repositories")
    given = raw["repositories"] if "repositories" in raw else list(known) if isinstance(known, Mapping) else ()
    return [item for item in given if isinstance(item, str)] if isinstance(given, (list, tuple)) else []


def _mappings(raw: object) -> list[Mapping[str, Any]]:
    return [item if isinstance(item, Mapping) else {} for item in raw] if isinstance(raw, (list, tuple)) else []


def instances(hosts: HostVars) -> dict[str, list[dict[str, Any]]]:
    """Name, engine, port and service level of the instances of every host that has some, as they are written."""
    found: dict[str, list[dict[str, Any]]] = {}
    for host, variables in sorted(hosts.items()):
        given = variables.get("db_instances")
        for raw in given if isinstance(given, (list, tuple)) else ():
            if not isinstance(raw, Mapping):
                continue
            facts = ENGINES.get(str(raw.get("engine")))
            port = raw.get("port", facts.port if facts else None)
            level = raw.get("service_level", DEFAULT_LEVEL)
            entry = {"name": raw.get("name"), "engine": raw.get("engine"), "port": port, "service_level": level}
            if raw.get("replica_of"):
                entry["replica_of"] = raw["replica_of"]
            found.setdefault(host, []).append(entry)
    return found


def resolve(variables: Mapping[str, Any], *, host: str = "") -> list[Instance]:
    """The instances of one host from its rendered variables. Raises InvalidInventory with everything that is wrong."""
    checker = Checker(rendered=True)
    drafts, repositories = _read_host(host, variables, checker, {})
    if checker.issues:
        raise InvalidInventory(sorted(problem_of(host, variables, issue, None) for issue in checker.issues), where=host)
    return [_instance(draft, draft.level, repositories) for draft in drafts if draft.level]


def _instance(draft: _Draft, level: Level, repositories: Mapping[str, Repository]) -> Instance:
    return Instance(
        name=draft.name,
        engine=draft.engine,
        port=draft.port,
        service_level=level.for_instance(draft.name),
        repositories=tuple(repositories[name] for name in draft.repositories),
        os_user=draft.os_user,
        state_directory=f"{STATE}/{draft.name}",
        databases=draft.databases,
        socket_directory=draft.socket_directory,
        options=draft.options,
        replica_of=draft.replica_of,
        windows=draft.windows,
    )


def _read_host(
    host: str, variables: Mapping[str, Any], check: Checker, names: dict[str, str]
) -> tuple[list[_Draft], Mapping[str, Repository]]:
    _note_misspelt(variables, check)
    levels = _read_levels(variables.get("db_service_levels", {}), check)
    known, repositories = _read_repositories(variables.get("db_repositories", {}), check)
    if "backup_scheduler" in variables:
        check.choice(("backup_scheduler",), variables["backup_scheduler"], SCHEDULERS, "scheduler")
    continuity.read(variables, check)
    logs.read(variables.get(logs.VARIABLE) or {}, check)
    windows = _read_windows(variables.get(inventory_windows.VARIABLE, {}), check, levels)
    drafts: list[_Draft] = []
    ports: dict[int, str] = {}
    for index, raw in enumerate(check.sequence(("db_instances",), variables.get("db_instances", ()), "instances")):
        path: Path = ("db_instances", index)
        draft = _read_instance(raw, check, path, levels, known)
        if draft is None:
            continue
        drafts.append(draft)
        _choose_windows(draft, windows, check, (*path, "service_level") if "service_level" in raw else path)
        if draft.name and names.setdefault(draft.name, f"{host} {index}") != f"{host} {index}":
            other = names[draft.name].split()[0] if host else "this host"
            check.note(
                (*path, "name"), draft.name, f"is also an instance of {other}", "a name that is unique in the fleet"
            )
        if draft.port and ports.setdefault(draft.port, draft.name) != draft.name:
            at = (*path, "port") if "port" in raw else path
            check.note(at, draft.port, f"is also the port of {ports[draft.port]}", "a port that is free on this host")
    return drafts, repositories


def _note_misspelt(variables: Mapping[str, Any], check: Checker) -> None:
    for name in variables:
        meant = None if name in VARIABLES else _meant(name)
        if meant and meant not in variables:
            check.note((name,), variables[name], "unknown variable", f"did you mean {meant}?", at_key=True)


@cache
def _meant(name: str) -> str | None:
    """The variable that a name is nearly equal to; most names are those of other roles, on every host of the fleet."""
    close = difflib.get_close_matches(name, VARIABLES, n=1, cutoff=_SIMILAR)
    return close[0] if close else None


def _read_levels(raw: object, check: Checker) -> dict[str, Level] | None:
    """Levels by name; None when a template decides which there are."""
    given = check.mapping(("db_service_levels",), raw)
    if given is None and check.is_template(raw):
        return None
    levels = {}
    for name, value in {**DEFAULT_LEVELS, **(given or {})}.items():
        _check_name(("db_service_levels", str(name)), name, check, at_key=True)
        levels[str(name)] = read_level(str(name), value, check, ("db_service_levels", str(name)))
    return levels


def _read_windows(
    raw: object, check: Checker, levels: Mapping[str, Level] | None
) -> list[inventory_windows.Scoped] | None:
    for name in raw if isinstance(raw, Mapping) else ():
        _check_name((inventory_windows.VARIABLE, str(name)), name, check, at_key=True)
    return inventory_windows.read(raw, check, levels)


def _choose_windows(draft: _Draft, scoped: list[inventory_windows.Scoped] | None, check: Checker, at: Path) -> None:
    level = draft.level
    if scoped is None or level is None:
        return
    draft.windows = inventory_windows.chosen(scoped, draft.name, level.name)
    for message, valid in inventory_windows.unrunnable(draft.windows, level, draft.name, here=check.rendered):
        check.note(at, level.name, f"cannot serve this instance: {message}", valid)


def _read_repositories(raw: object, check: Checker) -> tuple[list[str] | None, dict[str, Repository]]:
    """Names of all repositories, None when a template decides, and those that could be read."""
    given = check.mapping(("db_repositories",), raw)
    if given is None:
        return (None if check.is_template(raw) else []), {}
    found: dict[str, Repository] = {}
    for name, value in given.items():
        path: Path = ("db_repositories", str(name))
        _check_name(path, name, check, at_key=True)
        repository = read_repository(str(name), value, check, path)
        if repository is None:
            continue
        for other in found.values():
            if same_place(repository, other):
                check.note(
                    path, name, f"is the same place as {other.name}", "another path, bucket or prefix", at_key=True
                )
        found[str(name)] = repository
    return list(map(str, given)), found


def _check_name(path: Path, value: object, check: Checker, *, at_key: bool = False) -> str | None:
    if check.is_template(value):
        return None
    if not isinstance(value, str) or not NAME.fullmatch(value):
        check.note(path, value, "is not a valid name", NAME_FORM, at_key=at_key)
        return None
    return str(value)


def _read_instance(
    raw: object,
    check: Checker,
    path: Path,
    levels: Mapping[str, Level] | None,
    repositories: Sequence[str] | None,
) -> _Draft | None:
    given = check.mapping(path, raw, _INSTANCE_KEYS, ("name", "engine"))
    if given is None:
        return None
    draft = _Draft(_check_name((*path, "name"), given["name"], check) or "" if "name" in given else "")
    if "engine" in given:
        draft.engine = _read_engine((*path, "engine"), given["engine"], check)
    if f"{STATE}/{draft.name}" == LOCAL_REPOSITORY:
        check.note(
            (*path, "name"), draft.name, f"would share {LOCAL_REPOSITORY} with the repository there", "another name"
        )
    facts = ENGINES.get(draft.engine)
    draft.port, draft.os_user = (facts.port, facts.os_user) if facts else (0, "")
    if "port" in given:
        draft.port = check.whole((*path, "port"), given["port"], 1, 65535) or 0
    if "os_user" in given:
        user = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
        draft.os_user = check.text((*path, "os_user"), given["os_user"], "the name of a user", user.fullmatch) or ""
    if given.get("socket_directory"):
        where = (*path, "socket_directory")
        draft.socket_directory = (
            check.text(where, given["socket_directory"], "an absolute path", lambda text: text.startswith("/")) or ""
        )
    draft.level = _choose_level((*path, "service_level"), given.get("service_level", DEFAULT_LEVEL), check, levels)
    _choose_repositories(draft, given, check, path, repositories)
    draft.databases = _texts((*path, "databases"), given.get("databases", ()), check, "names of databases")
    draft.options = _read_options((*path, "options"), given.get("options", {}), check)
    continuity.read_dependencies(draft.name, given.get("depends_on", ()), check, (*path, "depends_on"))
    continuity.read_business(
        given.get("business", {}), draft.level.rto if draft.level else None, check, (*path, "business")
    )
    if given.get("replica_of"):
        draft.replica_of = (
            check.text((*path, "replica_of"), given["replica_of"], "the name of an instance", NAME.fullmatch) or ""
        )
    if facts and draft.level and not draft.level.templated:
        count = len(draft.repositories) if draft.repositories else None
        at: Path = (*path, "service_level") if "service_level" in given else path
        for message, valid in unmet_by(draft.level, facts, count):
            check.note(at, draft.level.name, f"cannot serve this instance: {message}", valid)
    return draft


def _read_engine(path: Path, value: object, check: Checker) -> str:
    if isinstance(value, str) and value in ENGINES and not ENGINES[value].supported:
        check.note(path, value, "is not supported yet", ", ".join(supported()))
        return ""
    return check.choice(path, value, supported(), "engine") or ""


def _choose_level(path: Path, value: object, check: Checker, levels: Mapping[str, Level] | None) -> Level | None:
    if levels is None:
        return None
    name = check.choice(path, value, levels, "service level")
    return levels[name] if name is not None else None


def _choose_repositories(
    draft: _Draft, given: Mapping[str, Any], check: Checker, path: Path, known: Sequence[str] | None
) -> None:
    if "repositories" not in given:
        if known is not None and not known:
            check.note(path, draft.name, "has no repository to put its backups into", "a repository in db_repositories")
        draft.repositories = tuple(known or ())
        return
    where = (*path, "repositories")
    names = _texts(where, given["repositories"], check, "names of repositories")
    if not names and isinstance(given["repositories"], (list, tuple)) and not given["repositories"]:
        check.note(where, None, "is empty", "names of repositories, the first one for regular backups")
    for index, name in enumerate(names):
        if known is not None and name not in known:
            hint = f"{did_you_mean(name, known)}repositories are {', '.join(known) or 'none'}"
            check.note((*where, index), name, "unknown repository", hint)
        elif name in names[:index]:
            check.note((*where, index), name, "is named twice", "every repository once")
    draft.repositories = names


def _texts(path: Path, value: object, check: Checker, of: str) -> tuple[str, ...]:
    found = [check.text((*path, index), item, of) for index, item in enumerate(check.sequence(path, value, of))]
    return () if None in found else tuple(item for item in found if item is not None)


def _read_options(path: Path, value: object, check: Checker) -> dict[str, str]:
    options: dict[str, str] = {}
    for key, item in (check.mapping(path, value) or {}).items():
        where = (*path, str(key))
        if isinstance(item, bool):
            options[str(key)] = "true" if item else "false"
        elif not isinstance(item, (str, int, float)):
            check.note(where, item, "is not valid", "a text, a number, true or false")
        else:
            options[str(key)] = str(item)
        if str(key).startswith(_TIME_LIMIT):
            check.choice(where, str(key)[len(_TIME_LIMIT) :], tuple(map(str, Job)), "job")
            check.parsed(where, item, parse_duration)
    return options
