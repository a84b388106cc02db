"""What a PostgreSQL server and its clients give away on their host: ciphers that a key opens, passwords in the open."""

from __future__ import annotations

import glob
import os
import pwd
import re
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Callable

from ..errors import HoldfastError, Unsupported
from ._postgresql_audit_files import looked_at, said
from ._postgresql_audit_sql import reading

if TYPE_CHECKING:
    from .postgresql import PostgreSQL

_TLS = """
    SELECT current_setting('ssl') = 'on', current_setting('ssl_ciphers'), current_setting('ssl_min_protocol_version')
"""
_SERVICES = "SELECT setting FROM pg_config WHERE name = 'SYSCONFDIR'"
_PROFILES = ("/etc/environment", "/etc/profile", "/etc/profile.d/*")
_OWN = (".profile", ".bash_profile", ".bashrc", ".pam_environment")
_SET = re.compile(rb"^\s*(?:export\s+)?PGPASSWORD\s*=\s*\S", re.MULTILINE)
_IN_SERVICE = re.compile(rb"^\s*password\s*=\s*\S", re.MULTILINE)
_URL = re.compile(rb"postgres(?:ql)?://[^:/@\s\0]*:[^@\s\0]+@")
_WORDS = re.compile(rb"\b(?:host|hostaddr|dbname|user|service)\s*=")
_WORD = re.compile(rb"\bpassword\s*=\s*\S")


def ciphers(engine: PostgreSQL) -> Iterable[tuple[str, str]]:
    """A list of ciphers with some in it that the key of the server opens afterwards."""
    with reading(engine) as seen:
        on, suites, oldest = seen.row(_TLS)
    if not on:
        raise Unsupported(engine.name, "a look at the ciphers", "ssl is off")
    if oldest == "TLSv1.3":
        return
    opened = without_secrecy(str(suites))
    if opened:
        yield "ssl_ciphers", f"{suites}: {len(opened)} of them, {opened[0]} the first"


def without_secrecy(suites: str) -> list[str]:
    """The ciphers of a list by which the client's secret is encrypted to the key of the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.set_ciphers(suites)
    except ssl.SSLError:
        raise HoldfastError(
            f"OpenSSL of this host finds no cipher in {suites!r}",
            where="ssl_ciphers",
            remedy="Correct the list; with this one no client before TLS 1.3 can connect",
        ) from None
    return [str(item["name"]) for item in context.get_ciphers() if str(item.get("kea")) == "kx-rsa"]


def passwords(engine: PostgreSQL) -> Iterable[tuple[str, str]]:
    """Files and processes with a password in them. What it is is never said."""
    with reading(engine) as seen:
        system = str(seen.row(_SERVICES)[0])
    home = pwd.getpwuid(looked_at(engine.data_directory()).st_uid).pw_dir
    profiles = [path for pattern in _PROFILES for path in sorted(glob.glob(pattern))]
    profiles += [os.path.join(home, name) for name in _OWN]
    services = [os.path.join(system, "pg_service.conf"), os.path.join(home, ".pg_service.conf")]
    for paths, what, words in ((profiles, _SET, "sets PGPASSWORD"), (services, _IN_SERVICE, "holds a password")):
        yield from ((path, f"{words}; {said(looked_at(path))}") for path in paths if _holds(path, what))
    yield from _processes()


def _holds(path: str, what: re.Pattern[bytes]) -> bool:
    # What its owner may not read is not the server's affair: others who may not either learn nothing.
    with suppress(FileNotFoundError, PermissionError, IsADirectoryError), open(path, "rb") as stream:
        return bool(what.search(stream.read()))
    return False


def _processes() -> Iterator[tuple[str, str]]:
    found: dict[str, int] = {}
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        with suppress(OSError):
            with open(path, "rb") as stream:
                arguments = stream.read()
            if exposes(arguments):
                with open(os.path.join(os.path.dirname(path), "comm"), encoding="utf-8", errors="replace") as stream:
                    name = stream.read().strip()
                found[name] = found.get(name, 0) + 1
    for name, count in sorted(found.items()):
        yield f"arguments of {name}", f"{count} processes have a password for PostgreSQL in their arguments"


def exposes(arguments: bytes) -> bool:
    """Whether the arguments of a process, divided by zeros, have a connection string with a password in them."""
    strings = arguments.split(b"\0")
    return any(_URL.search(text) or (_WORDS.search(text) and _WORD.search(text)) for text in strings)


SEEN: Mapping[str, Callable[[PostgreSQL], Iterable[tuple[str, str]]]] = {"PG38": ciphers, "PG39": passwords}
