"""What a restore does as root: the service, and directories whose parents belong to root."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from .adapters import Adapters
from .errors import HoldfastError, InvalidInput
from .model import Instance
from .restore_request import Assertion

_PROBE_SECONDS = 10


def operations(instance: Instance) -> Mapping[str, Callable[..., Any]]:
    """The operations that the owner may ask for. Paths are found out here, not taken from who asks."""
    engine = Adapters(instance).engine

    def live() -> str:
        return engine.place().data_directory

    def room() -> str:
        return os.path.join(os.path.dirname(live()), f".holdfast-{instance.name}")

    def prepare() -> None:
        user = pwd.getpwnam(instance.os_user)
        os.makedirs(room(), mode=0o700, exist_ok=True)
        os.chown(room(), user.pw_uid, user.pw_gid, follow_symlinks=False)

    def swap(previous: str) -> None:
        _check_previous(live(), previous)
        exchange(os.path.join(room(), "restore", "data"), live(), previous)

    def drop(previous: str) -> None:
        _check_previous(live(), previous)
        shutil.rmtree(previous)

    def tidy() -> None:
        shutil.rmtree(room(), ignore_errors=True)

    return {
        "stop": engine.stop,
        "start": engine.start,
        "prepare": prepare,
        "swap": swap,
        "drop": drop,
        "tidy": tidy,
    }


def exchange(staged: str, live: str, previous: str) -> None:
    """Put a directory into the place of another one, which is set aside. An error leaves both where they were."""
    there = os.path.lexists(live)
    if there:
        mode = stat.S_IMODE(os.stat(live).st_mode)
        os.chmod(staged, mode)
        os.rename(live, previous)
    try:
        os.rename(staged, live)
    except OSError as error:
        if there:
            os.rename(previous, live)
        raise HoldfastError(
            f"the restored data cannot be moved into place: {error.strerror}", where=live, remedy="Nothing was changed"
        ) from None
    parent = os.open(os.path.dirname(live), os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


def probe(item: Assertion) -> dict[str, Any]:
    """Ask an application whether it works."""
    found, ok = "no answer", False
    try:
        with urllib.request.urlopen(item.url, timeout=_PROBE_SECONDS) as answer:  # noqa: S310  the user's own address
            found, ok = f"status {answer.status}", 200 <= answer.status < 300
    except urllib.error.HTTPError as error:
        found = f"status {error.code}"
    except (OSError, ValueError) as error:
        found = f"no answer ({getattr(error, 'reason', error)})"
    return {"name": item.name, "expected": "status 200 to 299", "found": found, "ok": ok}


def _check_previous(live: str, previous: str) -> None:
    if not previous.startswith(f"{live}.before-") or "/" in previous[len(live) :]:
        raise InvalidInput("not a name for data that are set aside", where=previous)
