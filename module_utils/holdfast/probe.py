"""Whether addresses on the network answer."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

_SECONDS = 2.0
_PAUSE = 1.0


def reached(addresses: Sequence[tuple[str, int]], attempts: int) -> list[str]:
    """The addresses, as ``host:port``, that accept a connection in one of so many attempts.

    One that refuses is a host that lives: it counts as an answer of the host, not of the port, and is not returned.
    """
    found: list[str] = []
    for attempt in range(attempts):
        for host, port in addresses:
            name = f"{host}:{port}"
            if name not in found and _accepts(host, port):
                found.append(name)
        if len(found) == len(addresses):
            break
        if attempt + 1 < attempts:
            time.sleep(_PAUSE)
    return found


def _accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=_SECONDS).close()
    except OSError:
        return False
    return True
