"""Instances as files on their host: one JSON file without secrets, one with nothing else."""

from __future__ import annotations

import grp
import json
import os
import pwd
from collections.abc import Callable, Collection
from datetime import datetime, time, timedelta
from typing import Any

from .errors import InvalidInput
from .files import File, read
from .model import Instance, Job, Keep, Repository, Retention, ServiceLevel, Window, WindowKind
from .units import parse_duration

INSTANCES = "/etc/holdfast/instances"
KEYS = "/etc/holdfast/keys"
STATE = "/var/lib/holdfast"
LOGS = "/var/log/holdfast"


def render(instance: Instance) -> list[File]:
    """The two files of an instance. The one with secrets is readable by the instance's OS user alone."""
    group = _primary_group(instance.os_user)
    return [
        File(_path(INSTANCES, instance.name), _json(_plain(instance)), 0o640, "root", group),
        File(_path(KEYS, instance.name), _json(_secrets(instance)), 0o400, instance.os_user, group, secret=True),
    ]


def names() -> list[str]:
    """Names of the instances configured on this host."""
    try:
        entries = os.listdir(INSTANCES)
    except FileNotFoundError:
        return []
    return sorted(entry[: -len(".json")] for entry in entries if entry.endswith(".json"))


def chosen(wanted: Collection[str]) -> list[str]:
    """Those of :func:`names` that are wanted; all of them where none is named."""
    return [name for name in names() if not wanted or name in wanted]


def load(name: str) -> Instance:
    """Read one instance. Raises InvalidInput when it is not configured here or its files cannot be read."""
    plain = _read_json(_path(INSTANCES, name), name)
    # The status of a fleet is readable without the keys; whoever needs one is told that it is missing.
    path = _path(KEYS, name)
    secrets = _read_json(path, name)["repositories"] if os.access(path, os.R_OK) else {}
    return _instance(plain, secrets)


def _path(directory: str, name: str) -> str:
    return os.path.join(directory, f"{name}.json")


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


def _read_json(path: str, name: str) -> dict[str, Any]:
    try:
        text = read(path)
    except PermissionError:
        raise InvalidInput(f"{path} is not readable for this user", remedy="Run holdfast as root") from None
    if text is None:
        known = ", ".join(names()) or "none"
        raise InvalidInput(f"instance {name!r} is not configured on this host", remedy=f"Configured here: {known}")
    try:
        value: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise InvalidInput(
            f"not valid JSON ({error})", where=path, remedy="Run playbooks/site.yml to write it again"
        ) from None
    return value


def _primary_group(user: str) -> str:
    try:
        return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
    except KeyError:
        return user  # check mode on a host whose server is not installed yet


def _seconds(value: timedelta | None) -> str | None:
    return None if value is None else f"{int(value.total_seconds())}s"


def _duration(text: str | None) -> timedelta | None:
    return None if text is None else parse_duration(text)


def _keep(value: Keep) -> dict[str, Any]:
    raw = {"count": value.count, "age": _seconds(value.age)}
    raw.update({name: getattr(value, name) for name in ("daily", "weekly", "monthly", "yearly")})
    return {key: item for key, item in raw.items() if item}


def _window(window: Window) -> dict[str, Any]:
    raw = {name: getattr(window, name) for name in ("name", "time_zone", "start", "reason")}
    raw.update(kind=str(window.kind), duration=_seconds(window.duration))
    raw.update({name: getattr(window, name) and getattr(window, name).isoformat() for name in ("end", "first", "last")})
    return {key: item for key, item in raw.items() if item}


def _window_of(raw: dict[str, Any]) -> Window:
    parsers: dict[str, Callable[[str], Any]] = {
        "kind": WindowKind,
        "duration": parse_duration,
        "end": time.fromisoformat,
        "first": datetime.fromisoformat,
        "last": datetime.fromisoformat,
    }
    return Window(**{key: parsers[key](item) if key in parsers else item for key, item in raw.items()})


def _plain(instance: Instance) -> dict[str, Any]:
    level = instance.service_level
    keep = {
        name: _keep(getattr(level.keep, name)) for name in ("full", "differential", "incremental", "logical", "archive")
    }
    return {
        # Without any, the file is as it was before there were windows.
        **({"windows": [_window(item) for item in instance.windows]} if instance.windows else {}),
        "name": instance.name,
        "engine": instance.engine,
        "port": instance.port,
        "os_user": instance.os_user,
        "state_directory": instance.state_directory,
        "databases": list(instance.databases),
        "socket_directory": instance.socket_directory,
        "options": dict(instance.options),
        "replica_of": instance.replica_of,
        "repositories": [
            {"name": item.name, "type": item.type, "settings": dict(item.settings)} for item in instance.repositories
        ],
        "service_level": {
            "name": level.name,
            "rpo": _seconds(level.rpo),
            "rto": _seconds(level.rto),
            "schedule": {str(job): cron for job, cron in level.schedule.items()},
            "log_interval": _seconds(level.log_interval),
            "keep": dict(keep, log=_seconds(level.keep.log or None), minimum_full=level.keep.minimum_full),
        },
    }


def _secrets(instance: Instance) -> dict[str, Any]:
    return {"repositories": {item.name: dict(item.secrets) for item in instance.repositories}}


def _instance(plain: dict[str, Any], secrets: dict[str, Any]) -> Instance:
    level = plain["service_level"]
    keep = level["keep"]
    rules = {
        name: Keep(**dict(keep[name], age=_duration(keep[name].get("age"))))
        for name in ("full", "differential", "incremental", "logical", "archive")
    }
    return Instance(
        name=plain["name"],
        engine=plain["engine"],
        port=plain["port"],
        os_user=plain["os_user"],
        state_directory=plain["state_directory"],
        databases=tuple(plain["databases"]),
        socket_directory=plain["socket_directory"],
        options=plain["options"],
        replica_of=plain.get("replica_of", ""),
        windows=tuple(_window_of(item) for item in plain.get("windows", ())),
        repositories=tuple(
            Repository(item["name"], item["type"], item["settings"], secrets.get(item["name"], {}))
            for item in plain["repositories"]
        ),
        service_level=ServiceLevel(
            name=level["name"],
            rpo=parse_duration(level["rpo"]),
            rto=parse_duration(level["rto"]),
            schedule={Job(job): cron for job, cron in level["schedule"].items()},
            log_interval=_duration(level["log_interval"]),
            keep=Retention(log=_duration(keep["log"]) or timedelta(0), minimum_full=keep["minimum_full"], **rules),
        ),
    )
