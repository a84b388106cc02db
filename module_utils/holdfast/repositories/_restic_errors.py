"""What restic's words and exit codes mean, over its versions."""

from __future__ import annotations

import json
import re

from ..errors import (
    AccessDenied,
    Busy,
    CommandFailed,
    CorruptBackup,
    HoldfastError,
    RepositoryFull,
    RepositoryMissing,
    RepositoryUnavailable,
    WrongKey,
)
from ..process import last_words

_EXIT_MISSING, _EXIT_LOCKED, _EXIT_WRONG_KEY = 10, 11, 12  # since restic 0.17

_TRY_AGAIN = "Check the network, the firewall and the storage service; the job tries again by itself"

# The first pattern that fits decides: a full disk also shows as a failed save, damage also as a failed load.
_MEANINGS: list[tuple[str, type[HoldfastError], str, str]] = [
    (
        r"wrong password or no key found|no key found|config cannot be decrypted",
        WrongKey,
        "the passphrase does not open it",
        "Restore the passphrase that it was created with; if it is another system's repository, choose another path",
    ),
    (
        r"repository is already locked",
        Busy,
        "another run of restic is using it",
        "Wait for it to end; a lock whose process has died is removed by itself",
    ),
    (
        r"no space left on device|disk quota exceeded|EntityTooLarge|QuotaExceeded|XMinioStorageFull|StorageFull",
        RepositoryFull,
        "no space is left",
        "Free space or enlarge the storage; then run the job again, the backups in it are not harmed",
    ),
    # What ssh says names files, which must not be taken for those of the repository.
    (
        r"Host key verification failed",
        AccessDenied,
        "its host key is not the one that is known",
        "Compare the host key with known_hosts_file, or with /etc/ssh/ssh_known_hosts where none is set",
    ),
    (
        r"Permission denied \([a-z,-]*publickey|Too many authentication failures",
        AccessDenied,
        "the storage refuses the private key",
        "Its owner must be the instance's OS user, and the account of the repository must know its public half",
    ),
    (
        (
            r"ciphertext verification failed|invalid data returned|hash does not match|does not match id"
            r"|blob .* not found"
            r"|Blob ID does not match|not found in index|repository contains (errors|damaged)|pack ID does not match"
            r"|(data|index|snapshots|keys)/\S+.*(no such file|does not exist)|id .* not found in repository"
            r"|pack size does not match|file has been truncated"
        ),
        CorruptBackup,
        "stored data is damaged or missing",
        "Take a full backup now, to another repository if the storage is failing, and run verify to see what is left",
    ),
    (
        r"Access ?Denied|InvalidAccessKeyId|SignatureDoesNotMatch",
        AccessDenied,
        "the storage refuses the credentials",
        "Check the repository's key_id and key_secret",
    ),
    (
        r"permission denied|read-only file system",
        RepositoryUnavailable,
        "it cannot be read or written",
        "The OS user of the instance must own the repository's directory, on a file system mounted read-write",
    ),
    (
        (
            r"connection refused|no such host|no route to host"
            r"|i/o timeout|connection reset|network is unreachable|x509"
            r"|TLS handshake|server misbehaving|input/output error|stale NFS|EOF|50[0-9] |subprocess ssh"
            r"|deadline exceeded"
        ),
        RepositoryUnavailable,
        "it cannot be reached",
        _TRY_AGAIN,
    ),
    (
        r"Is there a repository at the following location|repository does not exist|specified bucket does not exist",
        RepositoryMissing,
        "there is no repository",
        "Run playbooks/site.yml to create it; if it existed, its storage is not mounted or was emptied",
    ),
]


def explain(stderr: str, returncode: int, where: str) -> HoldfastError:
    """The error that restic's last words stand for."""
    text = words(stderr)
    for pattern, kind, what, remedy in _MEANINGS:
        if re.search(pattern, stderr, re.IGNORECASE) or _by_code(returncode) is kind:
            return kind(f"{what} (restic: {text})", where=where, remedy=remedy)
    return CommandFailed(f"restic exited with {returncode}: {text}", where=where)


def is_missing(stderr: str, returncode: int) -> bool:
    """Whether restic says that there is no repository at all."""
    return returncode == _EXIT_MISSING or "Is there a repository at the following location" in stderr


def is_locked(stderr: str, returncode: int) -> bool:
    """Whether restic says that another run holds the repository."""
    return returncode == _EXIT_LOCKED or "repository is already locked" in stderr


def words(stderr: str) -> str:
    """The last words of restic, which 0.18 wraps in JSON."""
    return last_words("\n".join(_message(line) for line in stderr.splitlines()))


def _message(line: str) -> str:
    try:
        entry = json.loads(line) if line.startswith("{") else {}
        return str(entry.get("message") or entry.get("error", {}).get("message") or line)
    except (ValueError, AttributeError):
        return line


def _by_code(returncode: int) -> type[HoldfastError]:
    known = {_EXIT_LOCKED: Busy, _EXIT_WRONG_KEY: WrongKey}
    return known.get(returncode, HoldfastError)
