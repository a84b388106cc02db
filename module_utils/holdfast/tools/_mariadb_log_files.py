"""Which binary log files are saved, which are missing, and which a restore needs. Nothing here touches a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..engines._binlog import LogFile, begins_history, follows, parse_position
from ..repositories.restic import Snapshot

LOG = "log"
WINDOW_FILES = 100
WINDOW_BYTES = 128 << 20


def unsaved(last: LogFile | None, found: Sequence[LogFile]) -> tuple[list[LogFile], str]:
    """The files on disk that are not in the repository, given the newest that is, and what is missing in between."""
    if last is None:
        return list(found), ""
    for number, file in enumerate(found):
        if file.name == last.name:
            if file.created != last.created:
                return list(found), _reset(last, found)
            # One that was saved while its server was down may have grown since.
            return list(found[number if file.size > last.size else number + 1 :]), ""
    newer = [file for file in found if file.number > last.number and file.created >= last.created]
    if newer:
        return newer, "" if follows(last, newer[0]) else _missing(last, newer[0])
    return list(found), _reset(last, found) if found else ""


def hold_newest_backup(files: Sequence[LogFile], snapshots: Sequence[Snapshot]) -> bool:
    """Whether the newest backup ends in these files: what is missing before them is not needed to roll it forward."""
    ends = [(item.time.timestamp(), item.tags["log_stop"]) for item in snapshots if item.tags.get("log_stop")]
    if not ends:
        return False
    when, position = max(ends)
    name, _ = parse_position(position)
    return any(file.name == name and file.created <= when for file in files)


def windows(current: Sequence[LogFile], fresh: Sequence[LogFile]) -> list[list[LogFile]]:
    """The windows to store so that every fresh file is in one; the first continues the current one if it has room."""
    files = list(current)
    if files and fresh and files[-1].name == fresh[0].name:
        files.pop()
    result: list[list[LogFile]] = []
    for file in fresh:
        full = len(files) >= WINDOW_FILES or sum(item.size for item in files) + file.size > WINDOW_BYTES
        if not result or (files and full):
            files = [] if files and full else files
            result.append(files)
        files.append(file)
    return result


def encode(files: Sequence[LogFile]) -> str:
    """Files as the text of one tag."""
    return ";".join(f"{file.name}@{file.created}+{file.size}" for file in files)


def decode(text: str) -> list[LogFile]:
    """The reverse of :func:`encode`."""
    files = []
    for entry in text.split(";"):
        name, _, rest = entry.rpartition("@")
        created, _, size = rest.partition("+")
        files.append(LogFile(int(created), name, int(size)))
    return files


def window_tags(files: Sequence[LogFile], reach: Mapping[str, str] | None = None) -> dict[str, str]:
    """The tags of the snapshot of a window, with what is known of how far its log reaches."""
    known = {key: value for key, value in (reach or {}).items() if value}
    return {"kind": LOG, "files": encode(files), "window": f"{files[0].created}-{files[0].name}", **known}


def current(snapshots: Iterable[Snapshot]) -> list[Snapshot]:
    """The newest snapshot of each window, oldest window first. The others hold nothing that these do not."""
    newest: dict[str, Snapshot] = {}
    for item in sorted(snapshots, key=lambda item: item.time):
        if item.tags.get("kind") == LOG:
            newest[item.tags["window"]] = item
    return sorted(newest.values(), key=lambda item: decode(item.tags["files"])[0])


def saved(snapshots: Iterable[Snapshot]) -> dict[LogFile, Snapshot]:
    """Every saved file, oldest first, with the snapshot that holds it whole."""
    found: dict[tuple[int, str], tuple[LogFile, Snapshot]] = {}
    for item in current(snapshots):
        for file in decode(item.tags["files"]):
            key = (file.created, file.name)
            if key not in found or found[key][0].size <= file.size:
                found[key] = (file, item)
    return dict(sorted(found.values(), key=lambda pair: pair[0]))


def gaps(files: Iterable[LogFile]) -> list[tuple[LogFile, LogFile]]:
    """Neighbours between which something is missing that no restore explains."""
    ordered = sorted(files)
    pairs = zip(ordered, ordered[1:])
    return [(one, other) for one, other in pairs if not follows(one, other) and not begins_history(other.name)]


def runs(files: Iterable[LogFile]) -> list[list[LogFile]]:
    """The files in runs without a gap, oldest first."""
    found: list[list[LogFile]] = []
    for file in sorted(files):
        if found and follows(found[-1][-1], file):
            found[-1].append(file)
        else:
            found.append([file])
    return found


def from_position(files: Iterable[LogFile], name: str, not_after: float) -> list[LogFile]:
    """The files from the one called ``name`` on, which existed at ``not_after``, up to the first gap."""
    ordered = sorted(files)
    starts = [index for index, file in enumerate(ordered) if file.name == name and file.created <= not_after]
    if not starts:
        return []
    sequence = [ordered[starts[-1]]]
    for file in ordered[starts[-1] + 1 :]:
        if not follows(sequence[-1], file):
            break
        sequence.append(file)
    return sequence


def _missing(last: LogFile, first: LogFile) -> str:
    if begins_history(first.name):
        return f"the server was restored: its log goes on with {first.name} after {last.name}"
    return f"the server purged what was between {last.name} and {first.name} before it was saved"


def _reset(last: LogFile, found: Sequence[LogFile]) -> str:
    return f"after {last.name} the server began anew with {found[0].name} (RESET MASTER)"
