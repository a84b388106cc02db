"""What the server parameters that backups need mean, and the file that sets them."""

from __future__ import annotations

from collections.abc import Mapping

from ..model import Instance

# log_bin decides where the log is and takes a restart; the others can be set at run time.
_NOT_DYNAMIC = frozenset({"log_bin"})
_TRUE = frozenset({"1", "on", "true", "yes"})


def configuration_directory(instance: Instance) -> str:
    """Where the server looks for further configuration files."""
    return instance.options.get("configuration_directory", "/etc/mysql/mariadb.conf.d")


def same_meaning(name: str, wanted: str, current: str) -> bool:
    """Whether a value serves backups as well as the wanted one."""
    current = current.strip().lower()
    if name == "log_bin":
        # Of the running server it is a switch; in a file it is a path.
        return current not in ("0", "off", "false", "")
    if name == "binlog_format":
        return current in ("row", "mixed")
    if name == "binlog_expire_logs_seconds":
        return current not in ("", "0", "0.000000")
    if wanted.lower() in _TRUE:
        return current in _TRUE
    return current == wanted.lower()


def is_dynamic(name: str) -> bool:
    """Whether the parameter can be changed while the server runs."""
    return name not in _NOT_DYNAMIC


def written(content: str) -> dict[str, str]:
    """The parameters that a configuration file sets."""
    found = {}
    for line in content.splitlines():
        key, equals, value = line.partition("=")
        if equals and not key.lstrip().startswith(("#", "[")):
            found[key.strip().replace("-", "_")] = value.strip()
    return found


def render(values: Mapping[str, str]) -> str:
    """The configuration file for the values."""
    lines = "".join(f"{name} = {value}\n" for name, value in sorted(values.items()))
    return (
        "# Written by Holdfast: what backups need of this server.\n"
        "# Files that are read later, by name, override what stands here.\n"
        f"[mariadbd]\n{lines}"
    )
