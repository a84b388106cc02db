"""The settings of each type of repository: which there are, what they may be, which are secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..model import Repository
from ..validation import HIDDEN, Checker, Path

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\]")
_ENDPOINT = re.compile(rf"(?:{_HOST.pattern})(?::[0-9]{{1,5}})?")
_ABSOLUTE = re.compile(r"/+[^/\0\n][^\0\n]*")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_PREFIX = re.compile(r"/?[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")


class _Setting(NamedTuple):
    form: re.Pattern[str]
    valid: str
    required: bool = True


_PATH = _Setting(_ABSOLUTE, "an absolute path")
_OPTIONAL_PATH = _PATH._replace(required=False)
_PORT = _Setting(re.compile(r"[1-9][0-9]{0,4}"), "1 to 65535", required=False)

_SETTINGS: Mapping[str, Mapping[str, _Setting]] = {
    "posix": {"path": _PATH},
    "s3": {
        "endpoint": _Setting(_ENDPOINT, "host or host:port, without https://"),
        "bucket": _Setting(_BUCKET, "the name of a bucket"),
        "prefix": _Setting(_PREFIX, "a path inside the bucket", required=False),
        "region": _Setting(_WORD, "a region, for example us-east-1", required=False),
        "uri_style": _Setting(re.compile("path|host"), "path, host", required=False),
        "ca_file": _OPTIONAL_PATH,
    },
    "sftp": {
        "host": _Setting(_HOST, "the name or address of a host"),
        "user": _Setting(_WORD, "the name of a user"),
        "path": _PATH,
        "port": _PORT,
        "private_key_file": _PATH,
        "known_hosts_file": _OPTIONAL_PATH,
    },
}
_SECRETS: Mapping[str, tuple[str, ...]] = {
    "posix": ("passphrase",),
    "s3": ("key_id", "key_secret", "passphrase"),
    "sftp": ("passphrase",),
}
_FOR_PEOPLE = ("escrow",)  # where a copy of the passphrase is kept: the plan prints it, no tool needs it
_DEFAULTS: Mapping[str, Mapping[str, str]] = {"s3": {"region": "us-east-1", "uri_style": "host"}}
_UNSET: Mapping[str, str] = {"port": "22"}  # what the tools take where nothing is set
TYPES = tuple(_SETTINGS)


def read_repository(name: str, raw: object, check: Checker, path: Path) -> Repository | None:
    """Read a repository and note everything that is wrong with it; None when its type is not known."""
    given = check.mapping(path, raw, required=("type",))
    if given is None or "type" not in given:
        return None
    type_ = check.choice((*path, "type"), given["type"], TYPES, "type of repository")
    if type_ is None:
        return None
    settings, secrets = _SETTINGS[type_], _SECRETS[type_]
    required = (*(key for key, setting in settings.items() if setting.required), *secrets)
    check.mapping(path, raw, ("type", *settings, *secrets, *_FOR_PEOPLE), required)
    for key in _FOR_PEOPLE:
        if given.get(key):
            check.text((*path, key), given[key], "a text")
    found: dict[str, str] = dict(_DEFAULTS.get(type_, {}))
    for key, setting in settings.items():
        # An optional setting that a template leaves empty is not set.
        if key in given and (given[key] or setting.required):
            value = _read_setting(given[key], setting, check, (*path, key))
            if value is not None:
                found[key] = value
    hidden = {key: _read_secret(given[key], check, (*path, key)) for key in secrets if key in given}
    return Repository(name, type_, found, hidden)


def same_place(one: Repository, other: Repository) -> bool:
    """Whether two repositories would write over each other."""
    keys = {"posix": ("path",), "s3": ("endpoint", "bucket", "prefix"), "sftp": ("host", "port", "path")}[one.type]
    first = {key: one.settings.get(key, _UNSET.get(key, "")).strip("/") for key in keys}
    second = {key: other.settings.get(key, _UNSET.get(key, "")).strip("/") for key in keys}
    known = all(first[key] for key in keys if key not in ("port", "prefix"))
    return known and one.type == other.type and first == second


def _read_setting(value: Any, setting: _Setting, check: Checker, path: Path) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return check.text(path, value, setting.valid, setting.form.fullmatch)


def _read_secret(value: object, check: Checker, path: Path) -> str:
    if not isinstance(value, str) or not value:
        check.note(path, HIDDEN, "is not a secret", "a text that is not empty, from a vault or a lookup")
        return ""
    return str(value)
