"""Rotation by logrotate: who rotates which file now, and the one configuration in which Holdfast does. Pure.

A file that two configurations name is refused by logrotate as a whole, so what the packages of the distribution brought
is either taken over with every pattern in it, or left alone; what an administrator wrote is always left alone.
"""

from __future__ import annotations

import fnmatch
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from ..engines.logs import LOGROTATE, Source
from .settings import AUDIT, RUNNER, SERVER, Limits, Settings

DIRECTORY = "/etc/logrotate.d"
MAIN = "/etc/logrotate.conf"
OURS = f"{DIRECTORY}/holdfast-servers"
SUFFIX = ".holdfast.disabled"  # logrotate passes over files that end in .disabled
_SPOOL = "/var/spool/rsyslog"
_SCRIPTS = ("prerotate", "postrotate", "firstaction", "lastaction", "preremove")
_HEAD = "# Written by Holdfast; changes made here are lost.\n"
_DAY = timedelta(days=1)


@dataclass
class Plan:
    """Who rotates what. ``text`` is the configuration of Holdfast, ``disable`` and ``enable`` are files of others."""

    text: str = ""
    disable: list[str] = field(default_factory=list)
    enable: list[str] = field(default_factory=list)
    rotated_by: dict[str, str] = field(default_factory=dict)  # by path, in words
    twice: dict[str, list[str]] = field(default_factory=dict)  # paths, with every file that configures them


def patterns(text: str) -> list[str]:
    """The names of log files that a configuration of logrotate has, as they are written."""
    found: list[str] = []
    waiting: list[str] = []
    inside, script = False, False
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if inside:
            script = line != "endscript" if script else line.split()[0] in _SCRIPTS
            inside = script or not line.startswith("}")
        elif "{" in line or line.startswith(("/", '"', "'")):
            names, brace, _ = line.partition("{")
            waiting.extend(_words(names))
            if brace:
                found, waiting, inside = found + waiting, [], "}" not in line
    return found


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def covers(pattern: str, path: str) -> bool:
    """Whether a pattern names a path; a star stands for no slash."""
    one, other = pattern.split("/"), path.split("/")
    return len(one) == len(other) and all(fnmatch.fnmatchcase(*pair) for pair in zip(other, one))


def adopted(source: Source, settings: Settings) -> Source:
    """A log as it is once the engine leaves its rotation to logrotate; as it is now where it does not."""
    if not source.adopt or not settings.take_over:
        return source
    return replace(source, rotated_by=LOGROTATE, path=source.adopted, why="")


def plan(sources: Sequence[tuple[str, Source]], configured: Mapping[str, str], settings: Settings) -> Plan:
    """Decide for the logs of all instances of a host. ``configured`` are the files of logrotate by path.

    ``sources`` have the name of their instance. Files that an earlier run has disabled are among ``configured``.
    """
    made = Plan()
    others = {path: patterns(text) for path, text in configured.items() if path != OURS and not path.endswith(SUFFIX)}
    asleep = {path[: -len(SUFFIX)]: patterns(text) for path, text in configured.items() if path.endswith(SUFFIX)}
    blocks: list[str] = []
    taken: dict[str, Source] = {}
    done: set[str] = set()
    for instance, each in sources:
        source = adopted(each, settings)
        if source.rotated_by != LOGROTATE or source.path in done:
            continue
        done.add(source.path)
        # What is given back rotates again.
        ours = _is_ours(source, others if settings.take_over else {**asleep, **others}, settings, made)
        for path in _covering(source.path, {**others, **asleep}):
            if _is_brought(path, source) and ours:
                taken.setdefault(path, source)
        if ours:
            blocks.append(block([source.path], source, settings.rotation[source.kind], instance, settings))
            made.rotated_by[source.path] = f"logrotate, {OURS}"
    made.disable = sorted(path for path in taken if path in others)
    made.enable = sorted(path for path in asleep if path not in taken and path not in others)
    for path, source in sorted(taken.items()):
        left = [item for item in {**asleep, **others}[path] if item not in done]
        if left:
            blocks.append(block(left, source, settings.rotation[SERVER], f"the others of {path}", settings, spare=True))
    made.text = _HEAD + "".join(blocks) if blocks else ""
    return made


def _is_ours(source: Source, others: Mapping[str, Sequence[str]], settings: Settings, made: Plan) -> bool:
    covering = _covering(source.path, others)
    foreign = [path for path in covering if not _is_brought(path, source)]
    left = foreign or ([] if settings.take_over else covering)
    if len(covering) > 1 and (foreign or not settings.take_over):
        made.twice[source.path] = covering
    if left:
        made.rotated_by[source.path] = f"logrotate, {left[0]}, which is left as it is"
    return not left


def _covering(path: str, files: Mapping[str, Sequence[str]]) -> list[str]:
    return [name for name, listed in files.items() if any(covers(pattern, path) for pattern in listed)]


def _is_brought(path: str, source: Source) -> bool:
    """Whether a configuration is one of the distribution's packages of the engine."""
    return path in [f"{DIRECTORY}/{name}" for name in source.distribution]


def block(
    paths: Iterable[str], source: Source, limits: Limits, whose: str, settings: Settings, *, spare: bool = False
) -> str:
    """The configuration of logs of one kind. One that is ``spare`` is for files that no instance of ours writes."""
    quoted = " ".join(f'"{path}"' for path in paths)
    lines = [*limit_lines(limits), "missingok", "notifempty", "compress", "delaycompress", "ignoreduplicates"]
    if source.su:
        lines.append(f"su {source.su}")
    # A file that is renamed is reopened by its server; one that the server holds open is copied and emptied.
    lines.append(f"create 0640 {source.user} {source.group}" if source.reopen else "copytruncate")
    names = list(paths)
    guarded = settings.append_only and source.also_audit and not spare
    before = [_if_there(path, f'chattr -a "{path}" || true') for path in names] if guarded else []
    after = [_if_there(path, f'chattr +a "{path}" || true') for path in names] if guarded else []
    if not source.reopen and not spare and settings.shipping and _kinds(source) & {*settings.shipping.kinds}:
        after += _read_anew(names)
    if source.reopen or before or after:
        lines.append("sharedscripts")
    text = f"# {whose}: {source.kind}\n{quoted} {{\n" + "".join(f"    {line}\n" for line in lines)
    text += _script("firstaction", before) + _script("postrotate", source.reopen) + _script("lastaction", after)
    return text + "}\n"


def _kinds(source: Source) -> set[str]:
    return {source.kind, AUDIT} if source.also_audit else {source.kind}


def _if_there(path: str, command: str) -> str:
    return f'if [ -e "{path}" ]; then {command}; fi'


def _read_anew(paths: Sequence[str]) -> list[str]:
    """Have rsyslog begin a file again that was emptied.

    It notices by itself only if it has read of the file since it started; else it waits for the old length for ever.
    """
    forget = [f'rm -f "{_SPOOL}/imfile-state:$(stat -c %i "{path}")"*' for path in paths]
    return ["systemctl stop syslog.socket rsyslog.service", *forget, "systemctl start rsyslog.service"]


def limit_lines(limits: Limits) -> list[str]:
    """When a log is rotated and how much of it stays, in the words of logrotate."""
    lines = [limits.every, f"maxsize {_size(limits.size)}", f"rotate {limits.keep}"]
    return lines + ([f"maxage {max(1, limits.age // _DAY)}"] if limits.age else [])


def _size(count: int) -> str:
    return f"{count >> 20}M" if count % (1 << 20) == 0 else f"{count >> 10}k"


def _script(name: str, commands: Sequence[str]) -> str:
    body = "".join(f"        {command}\n" for command in commands)
    return f"    {name}\n{body}    endscript\n" if commands else ""


def runner_lines(settings: Settings) -> list[str]:
    """The limits of the runner's own logs."""
    return limit_lines(settings.rotation[RUNNER])


@dataclass(frozen=True)
class State:
    """Who rotates a log now, by the files that name it, and what of that is wrong."""

    path: str
    kind: str
    by: str
    twice: bool = False
    nobody: bool = False


def states(sources: Sequence[Source], configured: Mapping[str, str], written: Iterable[str] = ()) -> list[State]:
    """How each log is rotated now. ``written`` are the files that engines have rotated themselves."""
    active = {path: patterns(text) for path, text in configured.items() if not path.endswith(SUFFIX)}
    found = []
    for source in {(item.path, item.names, item.rotated_by): item for item in sources}.values():
        if source.rotated_by == LOGROTATE:
            by = _covering(source.path, active)
            text = f"logrotate ({', '.join(by)})" if by else "nobody"
            found.append(State(source.path, source.kind, text, twice=len(by) > 1, nobody=not by))
            continue
        files = [path for path in (source.path, *written) if path and _belongs(path, source)]
        by = sorted({name for path in files for name in _covering(path, active)})
        both = f", and logrotate ({', '.join(by)})" if by else ""
        found.append(
            State(source.path or source.names, source.kind, f"{source.rotated_by}: {source.why}{both}", twice=bool(by))
        )
    return found


def _belongs(path: str, source: Source) -> bool:
    return path == source.path or bool(source.names and covers(source.names, path))
