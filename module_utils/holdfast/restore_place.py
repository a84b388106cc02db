"""What a restore does as root: the service, and directories whose parents belong to root."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import stat
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from .adapters import Adapters
from .errors import HoldfastError, InvalidInput, Refused
from .model import Instance
from .restore_configuration import revive
from .restore_request import Assertion

_PROBE_SECONDS = 10
_MOMENT = re.compile(r"^\d{8}T\d{6}Z\Z")


def operations(instance: Instance) -> Mapping[str, Callable[..., Any]]:
    """The operations that the owner may ask for. Paths are found out here, not taken from who asks."""
    engine = Adapters(instance).engine

    def room() -> str:
        return engine.place().room(instance.name)

    def prepare() -> None:
        user = pwd.getpwnam(instance.os_user)
        os.makedirs(room(), mode=0o700, exist_ok=True)
        os.chown(room(), user.pw_uid, user.pw_gid, follow_symlinks=False)

    def swap(moment: str) -> None:
        place = engine.place()
        staged, previous = os.path.join(room(), "restore", "data"), place.aside(_checked(moment))
        if place.running:
            # It would go on with the files of before, wherever they are moved, and write into the new ones as well.
            raise Refused(
                "the server was started by somebody else while its data were restored aside: it runs on the data of"
                " before, which stay in place",
                where=place.data_directory,
                remedy=f"Leave {place.service or 'the server'} to the restore until it is done, and restore again",
            )
        if place.is_mount:
            exchange_content(staged, place.data_directory, previous, spare=str(place.unseen))
        else:
            exchange(staged, place.data_directory, previous)

    def drop(moment: str) -> None:
        shutil.rmtree(engine.place().aside(_checked(moment)))

    def configure(saved: Mapping[str, Any] | None) -> dict[str, Any]:
        return vars(engine.configure(revive(saved)))

    def tidy() -> None:
        shutil.rmtree(room(), ignore_errors=True)

    return {
        "configure": configure,
        "create": engine.create,
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
    _flush(os.path.dirname(live))


def exchange_content(staged: str, live: str, previous: str, *, spare: str) -> None:
    """As :func:`exchange` for a directory that cannot be renamed. What begins with ``spare`` stays where it is."""
    os.mkdir(previous, 0o700)
    owner = os.stat(live)
    os.chown(previous, owner.st_uid, owner.st_gid)
    for source, target in ((live, previous), (staged, live)):
        for name in os.listdir(source):
            if not name.startswith(spare) and name != "lost+found":
                os.rename(os.path.join(source, name), os.path.join(target, name))
    _flush(live)


def _flush(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def probe(item: Assertion) -> dict[str, Any]:
    """Ask an application whether it works."""
    expected, found, ok = "status 200 to 299", "no answer", False
    if not item.url.startswith(("http://", "https://")):
        return {"name": item.name, "expected": expected, "found": "no address of an application", "ok": False}
    try:
        with urllib.request.urlopen(item.url, timeout=_PROBE_SECONDS) as answer:  # noqa: S310  the user's own address
            found, ok = f"status {answer.status}", 200 <= answer.status < 300
    except urllib.error.HTTPError as error:
        found = f"status {error.code}"
    except (OSError, ValueError) as error:
        found = f"no answer ({getattr(error, 'reason', error)})"
    return {"name": item.name, "expected": expected, "found": found, "ok": ok}


def _checked(moment: str) -> str:
    if not _MOMENT.match(moment):
        raise InvalidInput("not a moment in a name of data that are set aside", where=moment)
    return moment
