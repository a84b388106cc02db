"""What pgBackRest's exit codes and messages mean."""

from __future__ import annotations

import glob
import os
import re

from ..errors import (
    AccessDenied,
    Busy,
    CommandFailed,
    CorruptBackup,
    ForeignRepository,
    HoldfastError,
    Interrupted,
    InvalidInput,
    RepositoryFull,
    RepositoryMissing,
    RepositoryUnavailable,
    RestartRequired,
    ServerUnavailable,
    WrongKey,
)
from ..model import Repository

Rule = tuple[str, type[HoldfastError], str]

SETUP = "Run playbooks/site.yml for this host"
FULL = "Free space there, or shorten the retention and run `holdfast expire`"
FOREIGN = (
    "Give the instance another name or the repository another path; after pg_upgrade run `pgbackrest stanza-upgrade`"
)

# In this order: a later rule may match what an earlier one is more exact about. Each is searched in the messages, which
# carry the code of the error as [123].
RULES: tuple[Rule, ...] = (
    (
        r"No space left on device|Disk quota exceeded|QuotaExceeded|failed with 507",
        RepositoryFull,
        FULL,
    ),
    (
        r"CryptoError|\[095\]|unable to flush|cipher header|key/value found outside of section",
        WrongKey,
        "Compare the passphrase of the repository in /etc/holdfast/keys with the one it was made with",
    ),
    (r"\[050\]|unable to acquire lock", Busy, "Wait for the other pgBackRest process to end"),
    (
        r"do not match (?:stanza version|the database)|\[(?:044|051|058)\]|(?:Archive|Backup)MismatchError",
        ForeignRepository,
        FOREIGN,
    ),
    (
        r"\[087\]",
        RestartRequired,
        "Restart the server in a maintenance window, so that archive_mode = on takes effect",
    ),
    (r"\[068\]", RestartRequired, f"The server archives with another command: {SETUP} and restart the server"),
    (r"\[(?:038|040)\]", InvalidInput, "Restore into an empty directory"),
    (
        r"\[056\]|unable to find primary cluster",
        ServerUnavailable,
        "Check that the server runs and accepts local connections",
    ),
    (r"\[062\]|stop file exists", InvalidInput, "pgBackRest was stopped by hand: run `pgbackrest start`"),
    (r"\[063\]|terminated on signal", Interrupted, ""),
    (
        r"\b40[13] \((?:Forbidden|Unauthorized)\)|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch",
        AccessDenied,
        "Check key_id, key_secret and the rights of that user on the bucket",
    ),
    (
        r"known hosts failure",
        AccessDenied,
        (
            "Compare the host key with known_hosts_file, or with /etc/ssh/ssh_known_hosts where none is set; all types"
            " of keys that the host has must be there (ssh-keyscan)"
        ),
    ),
    (
        r"public key authentication failed",
        AccessDenied,
        (
            "The owner of the private key must be the instance's OS user, and the account of the repository must know"
            " its public half"
        ),
    ),
    (
        r"Permission denied|Read-only file system|Input/output error|Stale file handle|Transport endpoint|\[047\]",
        RepositoryUnavailable,
        "Check mount, owner and mode of the path",
    ),
    (
        (
            r"NoSuchBucket|failed with \d{3}|\[(?:039|049|101)\]|(?:Protocol|Service|HostConnect|FileRead)Error|"
            r"unable to connect|unable to get address|timeout|TLS|certificate"
        ),
        RepositoryUnavailable,
        "Check network, address, bucket and certificate of the repository",
    ),
    (
        r"stanza-create (?:been )?performed|missing stanza",
        RepositoryMissing,
        f"Check that the repository's file system is mounted and its path right; if it is new: {SETUP}",
    ),
    (r"\[103\]", RepositoryUnavailable, "Check that the repository's file system is mounted and its path right"),
    (r"\[075\]", CorruptBackup, "`holdfast list` shows what is there"),
    (r"\[(?:026|029|055)\]", CorruptBackup, "Run `holdfast verify`, then take a full backup"),
)

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")
_LEVEL = re.compile(r"^(?:P\d\d\s+)?(?P<level>ERROR|ASSERT|WARN|INFO|DETAIL):\s*(?:\[\d+\]:\s*)?(?P<text>.*)$")
_WARNING_OF_ERROR = re.compile(r"^repo\d+: \[\w+Error\]")


def errors(stderr: str) -> str:
    """The errors among pgBackRest's messages, with their hints, and the warnings that stand for an error."""
    kept: list[str] = []
    taking = False
    for line in stderr.splitlines():
        match = _LEVEL.match(line.strip())
        if match:
            level, text = match["level"], match["text"]
            taking = level in ("ERROR", "ASSERT") or (level == "WARN" and bool(_WARNING_OF_ERROR.match(text)))
        else:
            text = line.strip()
        if taking and text.startswith(("---", "If SUBMITTING")):
            taking = False
        if taking and text:
            kept.append(text)
    return "\n".join(kept)


def words(text: str) -> str:
    """The first errors on one line, without hints, inner errors and bytes that nobody can read."""
    lines = [line for line in text.splitlines() if not line.startswith(("HINT:", "FormatError:"))]
    printable = [_UNPRINTABLE.sub(" ", line.split("***")[0])[:300].strip() for line in lines[:3]]
    return " ".join(line for line in printable if line).rstrip(":. ")


def failure(command: str, returncode: int, stderr: str, where: str) -> HoldfastError:
    """The error that a failed pgBackRest command stands for."""
    text = errors(stderr)
    said = words(text) or f"exit code {returncode}"
    searched = f"[{returncode:03d}] {text}" if returncode > 0 else text
    for pattern, kind, remedy in RULES:
        if re.search(pattern, searched):
            if kind is WrongKey:
                said = "the key does not open what is stored there"
            elif kind is RepositoryMissing:
                said = "there is no stanza of this instance in the repository"
            return kind(f"pgbackrest {command}: {said}", where=where, remedy=remedy)
    return CommandFailed(f"pgbackrest {command} exited with {returncode}: {said}", where=where)


def is_full(repository: Repository, text: str) -> bool:
    """Whether a write into a local repository failed for want of space.

    A full disk reaches pgBackRest's messages as "unable to write" alone, or as a file that its own retry misses.
    """
    if repository.type != "posix" or "unable to write" not in text:
        return False
    try:
        found = os.statvfs(repository.settings["path"])
    except OSError:
        return False
    low = max(found.f_blocks * found.f_frsize // 20, 256 << 20)
    return found.f_bavail * found.f_frsize < low or found.f_favail == 0


def spooled_error(directory: str) -> str:
    """The newest error of the asynchronous archiver, as pgBackRest prints errors; empty when it left none."""
    found: list[tuple[float, str]] = []
    for path in glob.glob(os.path.join(directory, "*.error")):
        try:
            with open(path, encoding="utf-8", errors="replace") as stream:
                code, _, message = stream.read().partition("\n")
            found.append((os.stat(path).st_mtime, f"ERROR: [{int(code):03d}]: {message}"))
        except (OSError, ValueError):
            continue  # it went as the segment got through
    return max(found)[1] if found else ""
