"""The configuration that a backup holds: what a restore does with it, and says of it. See docs/decisions/0006."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from .configuration import differences
from .engines.base import Engine
from .errors import STOPS, HoldfastError
from .model import Configuration, Fitted
from .owner import Ask
from .units import format_instant, parse_instant

log = logging.getLogger(__name__)

_NONE = "the backup holds no configuration of the server"
_SHOWN = 8

Summary = dict[str, Any]


def keep(engine: Engine) -> Summary | None:
    """Keep the configuration for the backup that follows; what a record says of it, None where there is none to keep.

    A backup without it is better than none: what is in the way is said and does not keep the backup from being taken.
    """
    try:
        kept = engine.save_configuration()
    except STOPS:
        raise
    except HoldfastError as error:
        log.warning("the configuration of the server is not in the backup: %s", error)
        return {"problem": error.what}
    if kept is None:
        return None
    return {"taken": format_instant(kept.taken), "left_out": dict(kept.left_out)}


def held(server: Engine, measured: dict[str, Any]) -> Configuration | None:
    """The configuration that a restored server holds; ``measured`` says when it was taken, or that there is none."""
    try:
        found = server.saved_configuration()
    except HoldfastError as error:
        measured["configuration"] = {"problem": f"what the backup holds of it cannot be read: {error.what}"}
        return None
    measured["configuration"] = {"taken": format_instant(found.taken)} if found else {"problem": _NONE}
    return found


def rehearse(engine: Engine, server: Engine, measured: dict[str, Any]) -> None:
    """Say what of a restored server's configuration this host could have."""
    found = held(server, measured)
    if found:
        measured["configuration"].update(_outcome(engine.fit(found)))


def start(ask: Ask, saved: Configuration | None) -> Summary:
    """Start a new server with the configuration of its backup or, where it does not start so, with its own."""
    if saved is None:
        ask("start")
        return {}
    try:
        found = Fitted(**ask("configure", as_plain(saved)))
    except HoldfastError as error:  # the data are in place: the server must start, whatever it is configured with
        log.warning("the configuration of the backup cannot be brought back: %s", error)
        with suppress(HoldfastError):
            ask("configure", None)
        found = Fitted(problem=f"it cannot be brought back: {error.what}")
    try:
        ask("start")
    except HoldfastError as error:
        if found.problem:
            raise
        log.warning("it does not start with the configuration of the backup, and gets that of its packages: %s", error)
        ask("configure", None)
        ask("stop")
        ask("start")
        found = Fitted(problem=f"the server did not start with it and has that of its packages: {error.what}")
    if found.problem:
        return {"problem": found.problem}
    return _outcome(found)


def compare(engine: Engine, saved: Configuration) -> Summary:
    """What a live server is configured with otherwise than its backup."""
    return {"differs": differences(engine.fit(saved), engine.fit(engine.configuration()))}


def as_plain(saved: Configuration) -> dict[str, Any]:
    """The form in which it goes from the owner's process to root's."""
    return dict(vars(saved), taken=format_instant(saved.taken))


def revive(plain: Mapping[str, Any] | None) -> Configuration | None:
    """The configuration of its plain form."""
    return Configuration(**{**plain, "taken": parse_instant(plain["taken"])}) if plain else None


def _outcome(found: Fitted) -> Summary:
    return {
        "parameters": sorted(found.parameters),
        "files": sorted(found.files),
        "left_out": found.left_out,
        "of_the_place": sorted(found.of_the_place),
    }


def describe(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a record says of the configuration, in labelled lines."""
    lines = []
    if "problem" in found:
        lines.append(("settings", str(found["problem"])))
    elif "parameters" in found:
        lines.append(("settings", brought_back(found)))
    lines += [("", f"not as it was: {name}: {reason}") for name, reason in found.get("left_out", {}).items()]
    differs = found.get("differs", {})
    lines += [("settings", f"differs from the backup's: {', '.join(differs)}")] if differs else []
    return lines


def brought_back(found: Mapping[str, Any]) -> str:
    """What came back, in words."""
    count = len(found.get("parameters", ()))
    shown = ", ".join(found.get("parameters", ())[:_SHOWN]) + (", ..." if count > _SHOWN else "")
    return ", ".join([*found.get("files", ()), f"{count} parameters" + (f" ({shown})" if count else "")])
