"""The MariaDB server of a host, as its service manager and its configuration know it."""

from __future__ import annotations

from ..process import run

UNIT = "mariadb.service"


def data_directory() -> str:
    """Where the configuration puts the data, also when the server is down."""
    for line in run(["my_print_defaults", "--mariadbd"]).check().stdout.splitlines():
        name, _, value = line.partition("=")
        if name == "--datadir":
            return value.rstrip("/")
    return "/var/lib/mysql"


def is_running() -> bool:
    """Whether the service runs."""
    return run(["systemctl", "is-active", "--quiet", UNIT]).returncode == 0


def stop_service() -> None:
    """Stop the server in order; does nothing when it is down."""
    run(["systemctl", "stop", UNIT]).check()


def start_service() -> None:
    """Start the server."""
    run(["systemctl", "start", UNIT]).check()
