"""Copies of an audit log as a chain: each link names the one before it, so that none can be altered or left out. Pure.

A link is one line of JSON. Its ``hash`` is that of the link before it together with everything else that it says, the
hash of the copied bytes among it. Whoever holds the newest link can tell whether any before it was touched.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..audit.model import Finding
from ..errors import HoldfastError
from .checks import CHECKS

Link = dict[str, Any]

SEGMENT, GAP, ALTERED = KINDS = ("segment", "gap", "altered")
START = "0" * 64  # what the first link names as the one before it
CHAIN = "chain.jsonl"


def seal(previous: Link | None, said: Mapping[str, Any]) -> Link:
    """The link that follows another one and says this."""
    link = dict(
        said, number=(previous["number"] + 1 if previous else 1), previous=previous["hash"] if previous else START
    )
    return {**link, "hash": digest(link)}


def digest(link: Mapping[str, Any]) -> str:
    """The hash of a link, over everything in it but the hash itself."""
    text = json.dumps({key: value for key, value in link.items() if key != "hash"}, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def segment_name(number: int) -> str:
    """The file with the bytes of a link."""
    return f"{number:08d}.gz"


def read(directory: str) -> tuple[list[Link], str]:
    """The links of a chain, and what is wrong with the file they are in; empty when there is none yet.

    A last line that was cut short by a crash is no link: nothing was promised before it was whole.
    """
    try:
        with open(os.path.join(directory, CHAIN), "rb") as stream:
            lines = stream.read().split(b"\n")
    except FileNotFoundError:
        return [], ""
    links: list[Link] = []
    for place, line in enumerate(lines[:-1], start=1):
        try:
            link = json.loads(line)
            assert isinstance(link, dict)
            links.append(link)
        except (ValueError, AssertionError):
            return links, f"line {place} is no link"
    return links, ""


def append(directory: str, link: Link) -> None:
    """Write a link to the end of a chain. A part of one that a crash left there is cut off before."""
    path = os.path.join(directory, CHAIN)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        end = os.fstat(descriptor).st_size
        data = os.pread(descriptor, end, 0)
        os.ftruncate(descriptor, data.rfind(b"\n") + 1)
        os.lseek(descriptor, 0, os.SEEK_END)
        line = (json.dumps(link, sort_keys=True) + "\n").encode()
        if os.write(descriptor, line) != len(line):
            raise HoldfastError(
                "no space is left for a link of the chain", where=path, remedy="Make room, and run again"
            )
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass
class Verdict:
    """What the verification of a chain found. ``newest`` is its last good link."""

    newest: Link | None = None
    links: int = 0
    size: int = 0
    findings: list[Finding] = field(default_factory=list)


def verify(directory: str, *, segments: bool = True, since: int = 0) -> Verdict:
    """Read a chain back, with every copy. ``segments`` says whether the copies are here, those after ``since``."""
    links, wrong = read(directory)
    verdict = Verdict()
    previous: Link | None = None
    for link in links:
        problem = _link_problem(link, previous)
        if problem:
            verdict.findings.append(_altered(place_of(link), problem))
            return verdict
        previous = verdict.newest = link
        verdict.links += 1
        verdict.size += int(link.get("bytes", 0))
        verdict.findings.extend(told(link))
        if segments and link["kind"] == SEGMENT and link["number"] > since:
            problem = segment_problem(directory, link)
            if problem:
                verdict.findings.append(_altered(place_of(link), problem))
    if wrong:
        verdict.findings.append(_altered(os.path.join(directory, CHAIN), wrong))
    return verdict


def told(link: Link) -> list[Finding]:
    """The finding that a link itself is: a gap, or an alteration that was seen when it was made."""
    if link["kind"] == GAP:
        return [Finding("LG09", place_of(link), str(link["what"]), CHECKS["LG09"].severity)]
    return [_altered(place_of(link), str(link["what"]))] if link["kind"] == ALTERED else []


def continues(known: Link | None, links: Sequence[Link], same: str) -> str:
    """Why the links of a host do not go on from the newest one known elsewhere; empty when they do.

    ``same`` is the hash that the host has for the newest known number.
    """
    if known and same != known["hash"]:
        now = f"has {same[:12]}" if same else "does not have it"
        return f"link {known['number']} was copied as {known['hash'][:12]}, and the host {now}: a new chain was made"
    previous = known
    for link in links:
        problem = _link_problem(link, previous)
        if problem:
            return f"{place_of(link)}: {problem}"
        previous = link
    return ""


def segment_problem(directory: str, link: Link) -> str:
    """What is wrong with the copied bytes of a link; empty when they are as they were."""
    path = os.path.join(directory, segment_name(link["number"]))
    try:
        with gzip.open(path) as stream:
            found = hashlib.sha256()
            for chunk in iter(lambda: stream.read(1 << 20), b""):
                found.update(chunk)
    except FileNotFoundError:
        return f"its copy {os.path.basename(path)} is missing"
    except (OSError, EOFError, ValueError) as error:
        return f"its copy {os.path.basename(path)} cannot be read: {error}"
    return "" if found.hexdigest() == link["sha256"] else f"its copy {os.path.basename(path)} was altered"


def place_of(link: Mapping[str, Any]) -> str:
    """Where in the log a link is, as a finding names it."""
    where = f"{link.get('file', '?')}"
    if link.get("kind") == SEGMENT:
        where += f" bytes {link.get('from')} to {link.get('to')}"
    return f"{where} (link {link.get('number', '?')}, {str(link.get('time', ''))[:19]}Z)"


def _link_problem(link: Link, previous: Link | None) -> str:
    number, before = (previous["number"] + 1, previous["hash"]) if previous else (1, START)
    if not {"number", "previous", "hash", "kind"} <= set(link) or link["kind"] not in KINDS:
        return "it is no link"
    if link["hash"] != digest(link):
        return "what it says is not what its hash was made of"
    if link["number"] != number:
        return f"link {number} is missing before it"
    return "" if link["previous"] == before else "it does not follow the link before it"


def _altered(place: str, what: str) -> Finding:
    return Finding("LG10", place, what, CHECKS["LG10"].severity)


def unseen(links: Iterable[Link], number: int) -> list[Link]:
    """The links after a number."""
    return [link for link in links if link["number"] > number]
