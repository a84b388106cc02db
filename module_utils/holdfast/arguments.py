"""The options that several modules share, as their argument specifications have them."""

from __future__ import annotations

from typing import Any

from . import guard
from .guard import Override

INSTANCE: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "engine": {"type": "str", "required": True},
    "port": {"type": "int"},
    "service_level": {"type": "str"},
    "repositories": {"type": "list", "elements": "str"},
    "databases": {"type": "list", "elements": "str"},
    "os_user": {"type": "str"},
    "socket_directory": {"type": "path"},
    "options": {"type": "dict"},
    "depends_on": {"type": "list", "elements": "str"},
    "business": {"type": "dict"},
    "replica_of": {"type": "str"},
}
SETTINGS: dict[str, dict[str, Any]] = {
    "type": {"type": "str", "required": True},
    "path": {"type": "path"},
    "endpoint": {"type": "str"},
    "bucket": {"type": "str"},
    "prefix": {"type": "str"},
    "region": {"type": "str"},
    "uri_style": {"type": "str"},
    "ca_file": {"type": "path"},
    "host": {"type": "str"},
    "user": {"type": "str"},
    "port": {"type": "int"},
    "private_key_file": {"type": "path", "no_log": False},
    "known_hosts_file": {"type": "path"},
    "passphrase": {"type": "str", "no_log": True},
    "key_id": {"type": "str", "no_log": True},
    "key_secret": {"type": "str", "no_log": True},
    "escrow": {"type": "str"},
}
REPOSITORY: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "settings": {"type": "dict", "required": True, "options": SETTINGS},
}
OVERRIDE: dict[str, Any] = {
    "type": "dict",
    "options": {"by": {"type": "str"}, "reason": {"type": "str"}, "for": {"type": "str"}},
}


def override(options: dict[str, Any]) -> Override | None:
    """The override of windows that was asked for. Raises InvalidInput for half of one."""
    found = options.get("override") or {}
    return guard.wanted(found.get("by"), found.get("reason"), found.get("for"))


def given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were set, as the inventory has them."""
    return {key: value for key, value in options.items() if value is not None}
