"""What the host knows of a server: its service and its files."""

from __future__ import annotations

import os

from ..process import run


def service_of(pid: int) -> str | None:
    """The systemd service whose main process this is; None for a server started by hand."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as stream:
            parts = stream.read().replace("\n", "/").split("/")
    except OSError:
        return None
    for unit in dict.fromkeys(part for part in parts if part.endswith(".service")):
        # A server started by hand lives in the unit of the login or job that started it.
        if run(["systemctl", "show", "--property=MainPID", "--value", unit]).stdout.strip() == str(pid):
            return unit
    return None


def data_size(directory: str, log_basename: str) -> int:
    """Bytes of the files below a data directory that a backup copies: logs and temporary files are not."""
    total = 0
    left_out = ("ib_logfile", "ibtmp", "ib_buffer_pool", "aria_log.", "#sql")
    logs = os.path.basename(log_basename) + "." if log_basename else None
    for path, _, names in os.walk(directory):
        for name in names:
            if name.startswith(left_out) or (logs and name.startswith(logs)):
                continue
            try:
                total += os.lstat(os.path.join(path, name)).st_size
            except FileNotFoundError:
                continue  # dropped while we looked
    return total
