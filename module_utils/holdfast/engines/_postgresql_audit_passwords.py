"""Whether a stored verifier is that of a password that anybody would try. Neither is ever shown or logged."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

_SCRAM = re.compile(r"SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")
_MD5 = re.compile(r"md5[0-9a-f]{32}")
_INSTALLATION = ("postgres", "password", "changeme", "secret", "admin", "123456")
# Hashes of all trials together: 1,000 of the usual 4,096 take a second and a half of one processor at most.
ROUNDS = 1000 * 4096
_FORMS = 6  # of a name


@dataclass(frozen=True)
class Tried:
    """What came of the trials: what is known about each account, and the trials that were left out."""

    given_away: Mapping[str, str]
    left_out: int
    accounts_left_out: Sequence[str]


def trials(account: str) -> Iterator[tuple[str, str]]:
    """Passwords to try for an account, each with what it is; the likeliest first."""
    seen = set()
    forms = [
        (account, "is the account's name"),
        (account.lower(), "is the account's name in small letters"),
        (account + "1", "is the account's name and a digit"),
        (account + "123", "is the account's name and 123"),
        (account.capitalize(), "is the account's name, capitalised"),
        (account[::-1], "is the account's name backwards"),
    ]
    assert len(forms) == _FORMS
    for password, what in (*forms, *((word, "is a word of installation guides") for word in _INSTALLATION)):
        if password not in seen:
            seen.add(password)
            yield password, what


def rounds(verifier: str) -> int:
    """Hashes that one trial takes."""
    scram = _SCRAM.fullmatch(verifier)
    return int(scram.group(1)) if scram else 1


def readable(verifier: str) -> bool:
    """Whether the form of the verifier is known, so that trials say something."""
    return bool(_SCRAM.fullmatch(verifier) or _MD5.fullmatch(verifier))


def matches(verifier: str, account: str, password: str) -> bool:
    """Whether the verifier is that of the password."""
    if _MD5.fullmatch(verifier):
        made = hashlib.md5((password + account).encode(), usedforsecurity=False).hexdigest()
        return hmac.compare_digest(verifier, "md5" + made)
    scram = _SCRAM.fullmatch(verifier)
    if not scram:
        return False
    try:
        salt, stored = base64.b64decode(scram.group(2)), base64.b64decode(scram.group(3))
    except binascii.Error:
        return False
    # SASLprep comes down to NFKC for what has no forbidden characters; the server stores others as they are.
    prepared = unicodedata.normalize("NFKC", password).encode()
    salted = hashlib.pbkdf2_hmac("sha256", prepared, salt, int(scram.group(1)))
    client_key = hmac.new(salted, b"Client Key", "sha256").digest()
    return hmac.compare_digest(hashlib.sha256(client_key).digest(), stored)


def try_all(verifiers: Mapping[str, str], limit: int = ROUNDS) -> Tried:
    """Try the likeliest password of every account, then the next, until the limit of hashes is reached."""
    found: dict[str, str] = {}
    left_out, accounts_left_out = 0, []
    queues = {account: list(trials(account)) for account in verifiers}
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for depth in range(max((len(queue) for queue in queues.values()), default=0)):
            now = []
            for account, verifier in verifiers.items():
                if account in found or depth >= len(queues[account]):
                    continue
                cost = rounds(verifier)
                if cost > limit:
                    left_out += 1
                    if depth == 0:
                        accounts_left_out.append(account)
                    continue
                limit -= cost
                now.append((account, verifier, *queues[account][depth]))
            hits = pool.map(lambda item: matches(item[1], item[0], item[2]), now)
            found.update({item[0]: item[3] for item, hit in zip(now, hits) if hit})
    return Tried(found, left_out, accounts_left_out)
