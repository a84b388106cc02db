"""What people write about their instances, checked as a whole and turned into objects."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Callable, NamedTuple, Optional

from .config import STATE
from .engines.catalog import ENGINES, supported
from .errors import InvalidInput
from .inventory_replicas import replica_issues
from .model import Instance, Job, Repository
from .objectives import DEFAULT_LEVEL, DEFAULT_LEVELS, Level, read_level, unmet_by
from .repositories.settings import read_repository, same_place
from .units import parse_duration
from .validation import HIDDEN, Checker, Issue, Path, did_you_mean

VARIABLES = ("db_instances", "db_service_levels", "db_repositories", "backup_scheduler")
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
    "replica_of",
)
_SECRET = re.compile("pass|secret|token|key|credential", re.IGNORECASE)
_TIME_LIMIT = "time_limit_"
_SIMILAR = 0.84

HostVars = Mapping[str, Mapping[str, Any]]


class Location(NamedTuple):
    """Where a value was written."""

    file: str
    line: int


Locate = Callable[[str, Path, bool], Optional[Location]]


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake in an inventory, with the place where it was written as far as that is known."""

    file: str
    line: int
    host: str
    key: str
    value: str
    message: str
    valid: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file else self.host
        value = f"{self.value}: " if self.value else ""
        return f"{place}: {self.key}: {value}{self.message}" + (f"; valid: {self.valid}" if self.valid else "")

    def as_dict(self) -> dict[str, Any]:
        """The problem as modules return it."""
        return {name: getattr(self, name) for name in ("file", "line", "host", "key", "value", "message", "valid")}


class InvalidInventory(InvalidInput):
    """Everything that is wrong with an inventory, in one error."""

    def __init__(self, problems: Sequence[Problem], *, where: str = "") -> None:
        self.problems = tuple(problems)
        count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "".join(f"\n  {problem}" for problem in problems)
        super().__init__(f"{count} in the inventory:{lines}", where=where)

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


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


def check(hosts: HostVars, locate: Locate | None = None) -> list[Problem]:
    """Every problem of an inventory as its files have it, templates not rendered; sorted by file and line."""
    names: dict[str, str] = {}
    problems: set[Problem] = set()
    shared: set[tuple[str, str, str]] = set()
    for host, variables in hosts.items():
        checker = Checker(rendered=False)
        _read_host(host, variables, checker, names)
        for issue in [*checker.issues, *replica_issues(hosts, host)]:
            problem = _problem(host, variables, issue, locate)
            # Variables of a group are read once for every host of it.
            identity = (f"{problem.file}:{problem.line}" if problem.file else "", problem.key, problem.message)
            own = issue.path[0] == "db_instances" and not problem.file
            if own or identity not in shared:
                shared.add(identity)
                problems.add(problem)
    if hosts and not any("db_instances" in variables for variables in hosts.values()):
        problems.add(
            Problem("", 0, "all hosts", "db_instances", "", "is missing: no host of the inventory has instances")
        )
    return sorted(problems)


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
        raise InvalidInventory(sorted(_problem(host, variables, issue, None) for issue in checker.issues), where=host)
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
    )


def _read_host(
    host: str, variables: Mapping[str, Any], check: Checker, names: dict[str, str]
) -> tuple[list[_Draft], Mapping[str, Repository]]:
    _note_misspelt(variables, check)
    levels = _read_levels(variables.get("db_service_levels", {}), check)
    known, repositories = _read_repositories(variables.get("db_repositories", {}), check)
    if "backup_scheduler" in variables:
        check.choice(("backup_scheduler",), variables["backup_scheduler"], SCHEDULERS, "scheduler")
    drafts: list[_Draft] = []
    ports: dict[int, str] = {}
    for index, raw in enumerate(check.sequence(("db_instances",), variables.get("db_instances", ()), "instances")):
        path: Path = ("db_instances", index)
        draft = _read_instance(raw, check, path, levels, known)
        if draft is None:
            continue
        drafts.append(draft)
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


def _problem(host: str, variables: Mapping[str, Any], issue: Issue, locate: Locate | None) -> Problem:
    location = locate(host, issue.path, issue.at_key) if locate else None
    file, line = location or ("", 0)
    return Problem(file, line, host, _key(issue.path, variables), _shown(issue), issue.message, issue.valid)


def _key(path: Path, variables: Mapping[str, Any]) -> str:
    """``db_instances[orders].port``: an instance by its name, where it has one."""
    text, value = "", variables
    for part in path:
        try:
            value = value[part]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            value = {}
        if isinstance(part, int):
            name = value.get("name") if isinstance(value, Mapping) else None
            text += f"[{name if isinstance(name, str) else part}]"
        else:
            text += f".{part}" if text else part
    return text


def _shown(issue: Issue) -> str:
    if issue.value is None or isinstance(issue.value, (Mapping, list, tuple)):
        return ""
    # What stands under an unknown key of a repository may be a secret whose key is misspelt.
    unknown = issue.at_key and len(issue.path) > 2
    if issue.value == HIDDEN or (
        unknown and (issue.path[0] == "db_repositories" or _SECRET.search(str(issue.path[-1])))
    ):
        return HIDDEN
    text = str(issue.value)
    return repr(text if len(text) <= 60 else text[:57] + "...") if isinstance(issue.value, str) else text
