"""The key that the ed25519 plugin of MariaDB stores for a password, with the standard library alone."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache

_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
_Y = 4 * pow(5, -1, _P) % _P
_BITS = 8  # of the scalar in one step: a table of 32 rows of 256 points, made in some 50 ms

Point = tuple[int, int, int, int]  # extended coordinates


def stored_key(password: str) -> str:
    """What mysql.global_priv holds of an account with this password."""
    return _encoded(hashlib.sha512(password.encode()).digest()[:32])


def public_key(seed: bytes) -> bytes:
    """The public key of a private one, as RFC 8032 makes it."""
    return _key(hashlib.sha512(seed).digest()[:32])


def _encoded(digest: bytes) -> str:
    return base64.b64encode(_key(digest)).decode("ascii").rstrip("=")


def _key(digest: bytes) -> bytes:
    scalar = int.from_bytes(digest, "little") & ((1 << 254) - 8) | (1 << 254)
    x, y, z, _ = _times_base(scalar)
    inverse = pow(z, -1, _P)
    x, y = x * inverse % _P, y * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _times_base(scalar: int) -> Point:
    total: Point = (0, 1, 1, 0)
    for row in _table():
        digit = scalar & ((1 << _BITS) - 1)
        if digit:
            total = _add(total, row[digit])
        scalar >>= _BITS
    return total


@lru_cache(maxsize=1)
def _table() -> list[list[Point]]:
    x = _root((_Y * _Y - 1) * pow(_D * _Y * _Y + 1, -1, _P) % _P)
    step: Point = (x, _Y, 1, x * _Y % _P)
    rows = []
    for _ in range(256 // _BITS):
        row: list[Point] = [(0, 1, 1, 0)]
        for _ in range((1 << _BITS) - 1):
            row.append(_add(row[-1], step))
        rows.append(row)
        step = _add(row[-1], step)
    return rows


def _add(one: Point, other: Point) -> Point:
    x1, y1, z1, t1 = one
    x2, y2, z2, t2 = other
    a = (y1 - x1) * (y2 - x2) % _P
    b = (y1 + x1) * (y2 + x2) % _P
    c = 2 * t1 * t2 * _D % _P
    d = 2 * z1 * z2 % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _root(square: int) -> int:
    """The even square root."""
    root = pow(square, (_P + 3) // 8, _P)
    if root * root % _P != square:
        root = root * pow(2, (_P - 1) // 4, _P) % _P
    return root if root % 2 == 0 else _P - root
