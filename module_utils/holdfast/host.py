"""What Holdfast keeps on a host, as it should be: directories, files, and the list of what it ever wrote.

Backups, repositories and records are not in that list: nothing in here removes any of them.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Callable

from . import config, files, runner
from .completion import BASH
from .errors import InvalidInput
from .files import File
from .logcare.rotation import runner_lines
from .logcare.settings import on_host
from .model import Instance
from .repositories.layout import local_directories

MANIFEST = os.path.join(config.STATE, "managed.json")
COMPLETION = "/usr/share/bash-completion/completions/holdfast"
LOGROTATE = "/etc/logrotate.d/holdfast"


@dataclass(frozen=True)
class Change:
    """One difference between the host and what it should be. ``before`` and ``after`` hold no secret."""

    subject: str
    before: str
    after: str
    apply: Callable[[], None]

    def diff(self) -> dict[str, str]:
        """The form in which Ansible shows it."""
        return {
            "before_header": self.subject,
            "after_header": self.subject,
            "before": self.before,
            "after": self.after,
        }


@dataclass(frozen=True)
class Directory:
    """A directory as it should be. One that is ``shared`` with others is made when missing and else left as it is."""

    path: str
    mode: int = 0o755
    owner: str = "root"
    shared: bool = False

    def change(self) -> Change | None:
        """What it takes to have it so; None when it is."""
        wanted = _attributes(self.mode, self.owner, _group_of(self.owner))
        found = _found(self.path)
        if found == wanted or (found and self.shared):
            return None
        return Change(self.path, found, wanted, self._make)

    def _make(self) -> None:
        os.makedirs(os.path.dirname(self.path), mode=0o755, exist_ok=True)
        if not os.path.isdir(self.path):
            os.mkdir(self.path, self.mode)
        _own(self.path, self.mode, self.owner)


@dataclass(frozen=True)
class Placeholder:
    """A file that its owner fills and that only has to exist, with this owner."""

    path: str
    owner: str
    mode: int = 0o640

    def change(self) -> Change | None:
        """What it takes to have it so; None when it is."""
        wanted = _attributes(self.mode, self.owner, _group_of(self.owner))
        found = _found(self.path)
        return None if found == wanted else Change(self.path, found, wanted, self._make)

    def _make(self) -> None:
        os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, self.mode))
        _own(self.path, self.mode, self.owner)


@dataclass
class Manifest:
    """The files that Holdfast wrote on this host: the host's, each instance's, and the tools', which servers use."""

    host: list[str] = field(default_factory=list)
    instances: dict[str, list[str]] = field(default_factory=dict)
    tools: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls) -> Manifest:
        """As it is on the host; empty before the first run."""
        text = files.read(MANIFEST)
        return cls(**json.loads(text)) if text else cls()

    def write(self) -> None:
        """Put it on the host."""
        text = json.dumps(vars(self), indent=2, sort_keys=True) + "\n"
        if files.read(MANIFEST) != text:
            files.write(File(MANIFEST, text))

    def paths(self) -> set[str]:
        """Every file in it."""
        groups = [self.host, *self.instances.values(), *self.tools.values()]
        return {path for group in groups for path in group}

    def merged(self, other: Manifest) -> Manifest:
        """Both together: what a run that is cut short may leave behind."""
        return Manifest(
            sorted({*self.host, *other.host}),
            _union(self.instances, other.instances),
            _union(self.tools, other.tools),
        )


def host_directories() -> list[Directory]:
    """The directories that all instances share. Names of keys may be guessed by anyone, and listed by root alone."""
    return [
        Directory("/etc/holdfast"),
        Directory(config.INSTANCES),
        Directory(config.KEYS, 0o711),
        Directory(os.path.dirname(runner.ARCHIVE)),
        Directory(config.STATE),
        Directory(config.LOGS),
    ]


def instance_directories(instance: Instance) -> list[Directory]:
    """State of an instance and its places in repositories on this host, parents first."""
    found = [Directory(instance.state_directory, 0o750, instance.os_user)]
    for repository in instance.repositories:
        for path in local_directories(instance, repository):
            root = repository.settings["path"]
            inside = os.path.relpath(os.path.dirname(path), root).split("/")
            found.extend(
                Directory(os.path.normpath(item), shared=True) for item in accumulate([root, *inside], os.path.join)
            )
            found.append(Directory(path, 0o750, instance.os_user))
    return list(dict.fromkeys(found))


def placeholders(instance: Instance) -> list[Placeholder]:
    """The log, which its owner may write but not create, and the time since when the instance is looked after."""
    return [
        Placeholder(os.path.join(config.LOGS, f"{instance.name}.log"), instance.os_user),
        Placeholder(os.path.join(instance.state_directory, "configured"), instance.os_user),
    ]


def host_files(instances: Sequence[Instance]) -> list[File]:
    """Files that are of the host and not of one instance."""
    found = [File(COMPLETION, BASH)]
    if instances:
        found.append(File(LOGROTATE, logrotate(instances, runner_lines(on_host()))))
    return found


def runner_changes() -> list[Change]:
    """The runner and the command that starts it."""
    changes = []
    rights = _attributes(0o755, "root", "root")
    found, version = _found(runner.ARCHIVE), runner.installed(runner.ARCHIVE)
    if found != rights or version != runner.content_hash():
        before = f"holdfast {version or 'that does not run here'}\n{found}" if found else ""
        after = f"holdfast {runner.content_hash()}\n{rights}"
        changes.append(
            Change(runner.ARCHIVE, before, after, lambda: _write_bytes(runner.ARCHIVE, runner.build(), 0o755))
        )
    target = os.readlink(runner.COMMAND) if os.path.islink(runner.COMMAND) else None
    if target != runner.ARCHIVE:
        if target is None and os.path.lexists(runner.COMMAND):
            raise InvalidInput(
                "exists and is not the runner of Holdfast", where=runner.COMMAND, remedy="Move it out of the way"
            )
        changes.append(
            Change(runner.COMMAND, f"-> {target}\n" if target else "", f"-> {runner.ARCHIVE}\n", _link_command)
        )
    return changes


def file_change(file: File, manifest: Manifest) -> Change | None:
    """What it takes to have the file as it should be. Raises InvalidInput for a file of somebody else."""
    try:
        if not files.differs(file):
            return None
        current = files.read(file.path)
    except KeyError as error:
        raise InvalidInput(f"no such user or group on this host: {error}", where=file.path) from None
    if current is not None and file.path not in manifest.paths() and _is_foreign(file, current):
        raise InvalidInput(
            "this file was not written by Holdfast",
            where=file.path,
            remedy="Move it out of the way, keeping what you need of it, and run again",
        )
    return Change(
        file.path, _shown(file, current, _found(file.path)), _shown(file, file.content), lambda: files.write(file)
    )


def removal(path: str) -> Change | None:
    """What it takes to remove a file that Holdfast wrote."""
    found = _found(path)
    return Change(path, found, "", lambda: _remove(path)) if found else None


def _is_foreign(file: File, current: str) -> bool:
    return "holdfast" not in file.path and "holdfast" not in current[:500].lower() and current != file.content


def _shown(file: File, content: str | None, attributes: str | None = None) -> str:
    if content is None:
        return ""
    if attributes is None:
        attributes = _attributes(file.mode, file.owner, file.group)
    if file.secret:
        content = f"(secret content, {'as wanted' if content == file.content else 'not as wanted'})\n"
    return f"# {attributes}{content}"


def _attributes(mode: int, owner: str, group: str) -> str:
    return f"mode {mode:04o}, owner {owner}, group {group}\n"


def _found(path: str) -> str:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return ""
    return _attributes(status.st_mode & 0o7777, _name(pwd.getpwuid, status.st_uid), _name(grp.getgrgid, status.st_gid))


def _name(lookup: Callable[[int], Any], number: int) -> str:
    try:
        return str(lookup(number)[0])
    except KeyError:
        return str(number)


def _group_of(owner: str) -> str:
    try:
        return grp.getgrgid(pwd.getpwnam(owner).pw_gid).gr_name
    except KeyError:
        raise InvalidInput(
            f"the OS user {owner!r} does not exist on this host",
            remedy="Install the database server, or correct os_user of the instance",
        ) from None


def _own(path: str, mode: int, owner: str) -> None:
    user = pwd.getpwnam(owner)
    os.chown(path, user.pw_uid, user.pw_gid)
    os.chmod(path, mode)


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _write_bytes(path: str, content: bytes, mode: int) -> None:
    temporary = path + ".new"
    with open(temporary, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    _own(temporary, mode, "root")
    os.replace(temporary, path)


def _link_command() -> None:
    temporary = runner.COMMAND + ".new"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    os.symlink(runner.ARCHIVE, temporary)
    os.replace(temporary, runner.COMMAND)


def _union(one: dict[str, list[str]], other: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: sorted({*one.get(name, ()), *other.get(name, ())}) for name in sorted({*one, *other})}


def logrotate(instances: Sequence[Instance], limits: Sequence[str]) -> str:
    """The rotation of the runner's own logs, within limits in the words of logrotate."""
    lines = "".join(f"    {line}\n" for line in limits)
    by_owner: dict[str, list[str]] = {}
    for instance in instances:
        by_owner.setdefault(instance.os_user, []).append(os.path.join(config.LOGS, f"{instance.name}.log"))
    return "# Written by Holdfast; changes made here are lost.\n" + "".join(
        f"""\
{" ".join(sorted(paths))} {{
{lines}    missingok
    notifempty
    compress
    delaycompress
    create 0640 {owner} {_group_of(owner)}
}}
"""
        for owner, paths in sorted(by_owner.items())
    )
