"""Whether a stored password is the account's name or one that everybody tries first. The server is not asked.

mysql_native_password and ed25519 store an unsalted digest: the trivial ones are computed once. parsec salts, and each
attempt takes a millisecond or more: fewer words are tried. All that is slow shares a time. Other plugins cannot be
tested: what pam and gssapi compare with is not on the server, and the plugins of MySQL are unknown here.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Callable

from ._mariadb_audit_catalog import Method, Principal
from ._mariadb_audit_ed25519 import public_key, stored_key

OWN_NAME = "its password is made of its own name"
TRIVIAL = "its password is one of those that are tried first"

_TRIVIAL = (
    "password", "Password", "Password1", "password1", "passw0rd", "P@ssw0rd", "P@ssword1", "pass", "passwd", "secret",
    "changeme", "Changeme1", "change_me", "letmein", "welcome", "Welcome1", "default", "test", "test123", "demo",
    "guest", "admin", "admin123", "administrator", "root", "toor", "root123", "rootroot", "mysql", "mariadb",
    "database", "db", "user", "qwerty", "qwerty123", "abc123", "iloveyou", "1", "123", "1234", "12345", "123456",
    "1234567", "12345678", "123456789", "1234567890", "111111", "000000",
)  # fmt: skip
_FIRST = ("password", "Password1", "123456", "changeme")
_SLOW_SECONDS = 2.0  # for all accounts of plugins that are slow to test
_OLD_CHARACTERS = 16  # of a password of before MySQL 4.1, which is a finding of its own
_PARSEC = re.compile(r"P(\d):([A-Za-z0-9+/]+):([A-Za-z0-9+/]{43})=?")

Digest = Callable[[str], str]


class _Untested(Exception):
    """Why a password could not be tested."""


class Guesser:
    """Tests accounts one after the other; what they share is computed once."""

    def __init__(self, seconds: float = _SLOW_SECONDS) -> None:
        self._until = time.monotonic() + seconds

    def verdict(self, principal: Principal) -> tuple[str, str]:
        """What is wrong with its passwords, and why one could not be tested; either may be empty."""
        untested = ""
        for method in principal.methods:
            if not (method.takes_password and method.stored and method.usable):
                continue
            try:
                found = self._test(method, principal.user)
            except _Untested as error:
                untested = str(error)
                continue
            if found:
                return found, ""
        return "", untested

    def _test(self, method: Method, user: str) -> str:
        if method.plugin == "mysql_native_password" and len(method.stored) > _OLD_CHARACTERS:
            return _native(method.stored.upper(), user)
        if method.plugin == "ed25519":
            if method.stored in _trivial_keys():
                return TRIVIAL
            return self._tried(variants(user), stored_key, method.stored) and OWN_NAME
        if method.plugin == "parsec":
            digest, stored = _parsec(method.stored)
            if self._tried((user, user + "123"), digest, stored):
                return OWN_NAME
            return self._tried(_FIRST, digest, stored) and TRIVIAL
        raise _Untested(f"Holdfast cannot test what {method.plugin} stores")

    def _tried(self, words: Iterable[str], digest: Digest, stored: str) -> str:
        for word in words:
            if time.monotonic() > self._until:
                raise _Untested("the time for passwords that are slow to test was used up")
            if digest(word) == stored:
                return word
        return ""


def variants(user: str) -> list[str]:
    """Passwords that are made of a name."""
    forms = [user, user.capitalize(), user.upper(), user[::-1], user + user, user + "1", user + "123", user + "!"]
    return list(dict.fromkeys(forms))


def native(password: str) -> str:
    """What mysql_native_password stores."""
    inner = hashlib.sha1(password.encode()).digest()  # noqa: S324  the server's own form
    return "*" + hashlib.sha1(inner).hexdigest().upper()  # noqa: S324


def _native(stored: str, user: str) -> str:
    if stored in map(native, variants(user)):
        return OWN_NAME
    return TRIVIAL if stored in _trivial_digests() else ""


@lru_cache(maxsize=1)
def _trivial_digests() -> frozenset[str]:
    return frozenset(map(native, _TRIVIAL))


@lru_cache(maxsize=1)
def _trivial_keys() -> frozenset[str]:
    return frozenset(map(stored_key, _TRIVIAL))


def _parsec(stored: str) -> tuple[Digest, str]:
    """How parsec makes its key, ``P<power>:<salt>:<key>``: PBKDF2 with SHA-512, and the public key of what comes."""
    match = _PARSEC.fullmatch(stored)
    if match is None:
        raise _Untested("what parsec stores is not of the form that Holdfast knows")
    power, raw, key = int(match[1]), base64.b64decode(match[2] + "=" * (-len(match[2]) % 4)), match[3]

    def digest(password: str) -> str:
        seed = hashlib.pbkdf2_hmac("sha512", password.encode(), raw, 1024 << power, 32)
        return base64.b64encode(public_key(seed)).decode("ascii").rstrip("=")

    return digest, key


def weak(principals: Iterable[Principal], guesser: Guesser) -> Iterable[tuple[Principal, str, str]]:
    """The accounts that can log in with a password that is weak or could not be tested, with what is so."""
    for principal in principals:
        if principal.can_log_in:
            found, untested = guesser.verdict(principal)
            if found or untested:
                yield principal, found, untested
