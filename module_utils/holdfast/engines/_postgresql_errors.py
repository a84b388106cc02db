"""The driver of PostgreSQL, and what its errors mean."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

from ..errors import AccessDenied, CommandFailed, HoldfastError, NotInstalled, ServerUnavailable

_DENIED = (
    "authentication failed",
    "pg_hba.conf",  # no entry, or one that rejects
    "no password supplied",
    "does not exist",
    "permission denied",
    "is not permitted to log in",
    "must be superuser",
)


def driver(module: str) -> Any:
    """A module of the distribution's driver. Raises NotInstalled."""
    try:
        return import_module(module)
    except ImportError:
        raise NotInstalled(
            "the PostgreSQL driver is not installed", remedy="Install the package python3-psycopg2"
        ) from None


def translate(code: str | None, message: str, where: str) -> HoldfastError:
    """The error of ours that a driver's error stands for; ``code`` is its SQLSTATE, None when no session came about."""
    what = re.sub(r"(?:FATAL|ERROR):\s*", "", message.strip().splitlines()[0]) if message.strip() else "no answer"
    lowered = message.lower()
    if code == "42501" or (code is None and any(sign in lowered for sign in _DENIED)):
        return AccessDenied(
            what,
            where=where,
            remedy="Run as the user that owns the cluster; pg_hba.conf must allow it `local ... peer`",
        )
    if code == "53300" or "too many clients" in lowered or "remaining connection slots" in lowered:
        return ServerUnavailable(what, where=where, remedy="Raise max_connections or close idle connections")
    if code is None or (code[:2] in ("08", "57") and code != "57014"):
        return ServerUnavailable(what, where=where, remedy="Check that the server runs: pg_lsclusters, and its log")
    if code in ("57014", "55P03"):
        return CommandFailed(
            f"the query was given up: {what}", where=where, remedy="Look for locks and load on the server"
        )
    return CommandFailed(what, where=where)
