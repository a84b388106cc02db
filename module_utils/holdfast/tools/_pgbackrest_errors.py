"""What pgBackRest's exit codes and messages mean."""

from __future__ import annotations

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
    RepositoryUnavailable,
    RestartRequired,
    ServerUnavailable,
    WrongKey,
)

Rule = tuple[str, type[HoldfastError], str]

SETUP = "Run playbooks/site.yml for this host"
_KEY = "Compare the passphrase of the repository in /etc/holdfast/keys with the one it was made with"
_FOREIGN = (
    "Give the instance another name or the repository another path; after pg_upgrade run `pgbackrest stanza-upgrade`"
)

# In this order: a later rule may match what an earlier one is more exact about. Each is searched in the messages, which
# carry the code of the error as [123].
RULES: tuple[Rule, ...] = (
    (
        r"No space left on device|Disk quota exceeded|QuotaExceeded|\b507\b.*Insufficient",
        RepositoryFull,
        "Free space there, or shorten the retention and run `holdfast expire`",
    ),
    (
        (r"CryptoError|\[095\]|unable to flush|cipher header|key/value found outside of section|"
        r"option-required.*cipher-pass|requires option: repo\d+-cipher-pass"),
        WrongKey,
        _KEY,
    ),
    (r"\[050\]|unable to acquire lock", Busy, "Wait for the other pgBackRest process to end"),
    (
        (r"system-id \d+ .*do(?:es)? not match|do(?:es)? not match the database|do not match stanza version|"
        r"\[(?:028|044|051|058)\].*(?:match|mismatch)|archive and backup info files"),
        ForeignRepository,
        _FOREIGN,
    ),
    (
        r"\[087\]|archive_mode must be enabled",
        RestartRequired,
        "Restart the server in a maintenance window, so that archive_mode = on takes effect",
    ),
    (r"\[068\]|archive_command .* must contain", RestartRequired, "The server archives with another command: " + SETUP),
    (r"\[038\]", InvalidInput, "Restore into an empty directory"),
    (r"\[040\]", InvalidInput, "Restore into an empty directory"),
    (
        r"\[056\]|unable to find primary cluster|could not connect to server",
        ServerUnavailable,
        "Check that the server runs and accepts local connections",
    ),
    (r"\[062\]|stop file exists", InvalidInput, "pgBackRest was stopped by hand: run `pgbackrest start`"),
    (r"\[063\]|terminated on signal", Interrupted, ""),
    (
        r"\b40[13]\b \((?:Forbidden|Unauthorized)\)|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch",
        AccessDenied,
        "Check key_id, key_secret and the rights of that user on the bucket",
    ),
    (
        r"(?:has a )?stanza-create (?:been )?performed|\[055\]|\[103\]|missing stanza",
        RepositoryUnavailable,
        "Check that the repository's file system is mounted and its path right; if it is new: " + SETUP,
    ),
    (
        (r"NoSuchBucket|\[049\]|\[039\]|\[101\]|unable to connect|unable to get address|timeout|TLS|certificate|"
        r"HTTP request failed"),
        RepositoryUnavailable,
        "Check network, address and certificate of the repository",
    ),
    (
        (r"Permission denied|Read-only file system|Input/output error|Stale file handle|Transport endpoint|"
        r"\[(?:041|042|047|052|053|061|064|073|074)\]"),
        RepositoryUnavailable,
        "Check mount, owner and mode of the path",
    ),
    (r"\[075\]", CorruptBackup, "`holdfast list` shows what is there"),
    (r"\[(?:026|029)\]", CorruptBackup, "Run `holdfast verify`, then take a full backup"),
)

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")
_PREFIX = re.compile(r"^(?:P\d\d\s+)?(?:ERROR|ASSERT):\s*")


def words(stderr: str) -> str:
    """The errors in pgBackRest's messages on one line. A wrong key makes it print what it decrypted; that is cut off."""
    kept = []
    taking = False
    for line in stderr.splitlines():
        stripped = line.strip()
        if re.match(r"^(?:P\d\d\s+)?(?:ERROR|ASSERT):", stripped):
            taking = True
        elif re.match(r"^(?:P\d\d\s+)?(?:INFO|WARN|DETAIL):", stripped):
            taking = False
        if taking and stripped and not stripped.startswith(("HINT:", "---", "FormatError:")):
            text = _UNPRINTABLE.sub(" ", _PREFIX.sub("", stripped))[:300]
            if text.startswith("If SUBMITTING"):
                break
            kept.append(text)
    return " ".join(kept[:4]).rstrip(":. ")


def failure(command: str, returncode: int, stderr: str, where: str) -> HoldfastError:
    """The error that a failed pgBackRest command stands for."""
    said = words(stderr) or f"exit code {returncode}"
    searched = f"[{returncode:03d}] {stderr}" if returncode > 0 else stderr
    for pattern, kind, remedy in RULES:
        if re.search(pattern, searched, re.DOTALL if "mismatch" in pattern else 0):
            return kind(f"pgbackrest {command}: {said}", where=where, remedy=remedy)
    return CommandFailed(f"pgbackrest {command} exited with {returncode}: {said}", where=where)
