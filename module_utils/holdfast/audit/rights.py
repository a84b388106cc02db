"""The rights of every account, one after the other: judged, counted and kept, never held all at once.

What is kept is one line a right in a compressed file that the owner of the instance alone can read. What an account has
of its own is compared with the run before; what it has through others is, by the memberships that it has them from.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import IO, Any

from .checks import CHECKS
from .compare import NO_POLICY, finding
from .facts import Part, ask
from .model import PUBLIC, Finding, Result, Right, Status
from .policy import Entry, Policy, Rule
from .reach import reaches

MOST_FINDINGS = 20_000  # of one check; one more says how many there are
MOST_SHOWN = 200  # of gained and lost rights; the numbers are whole


@dataclass
class Rights:
    """What became of them. ``gained`` and ``lost`` are against the run before, None when there was none."""

    part: Part[int]  # how many
    accounts: dict[str, dict[str, int]] = field(default_factory=dict)  # "SELECT on table": how many
    marks: dict[str, str] = field(default_factory=dict)  # by account: the same for the same rights, in any order
    results: list[Result] = field(default_factory=list)
    gained: Sequence[Right] | None = None
    lost: Sequence[Right] | None = None


def read(
    rights: Callable[[], Iterable[Right]],
    policy: Policy,
    path: str,
    before: str,
    known: Collection[str] | None = None,
) -> Rights:
    """Go through the rights, and write them to ``path``.new; ``before`` is the file of the run before, if it is there.

    ``known`` are the accounts that the server has, where they could be read.
    """
    judge = _Judge(policy, known)
    counts: dict[str, Counter[str]] = {}
    marks: Counter[str] = Counter()
    own: set[str] = set()

    def all_of_them() -> int:
        number = 0
        with _writing(path + ".new") as stream:
            for right in rights():
                line = _line(right)
                if line in own:
                    continue  # granted by several
                if _is_own(right):
                    own.add(line)
                judge.see(right)
                counts.setdefault(right.account, Counter())[f"{right.privilege} on {right.kind}"] += 1
                marks[right.account] ^= int.from_bytes(hashlib.blake2b(line.encode(), digest_size=8).digest(), "big")
                stream.write(line + "\n")
                number += 1
        return number

    part = ask(all_of_them)
    found = Rights(part, results=judge.results(part))
    if part.value is None:
        return found
    found.accounts = {name: dict(count) for name, count in counts.items()}
    found.marks = {name: f"{mark:016x}" for name, mark in marks.items()}
    if os.path.exists(before):
        earlier = {line for line in _lines(before) if _is_own(_right(line))}
        found.gained = [_right(line) for line in sorted(own - earlier)]
        found.lost = [_right(line) for line in sorted(earlier - own)]
    return found


def _is_own(right: Right) -> bool:
    return right.via in ((), ("owner",))


def unwanted(rights: Iterable[Right], policy: Policy) -> Iterator[Right]:
    """The rights that the policy forbids or does not give, of accounts of which it says what they have."""
    judge = _Judge(policy)
    return (right for right in rights if judge.verdict(right))


def of_account(path: str, account: str) -> list[dict[str, Any]]:
    """The rights of one account, as the last audit kept them."""
    if not os.path.exists(path):
        return []
    wanted = sorted({line for line in _lines(path) if _right(line).account == account})
    return [{**vars(right), "via": list(right.via)} for right in map(_right, wanted)]


def words(right: Right) -> str:
    """A right as a sentence has it."""
    where = f" of {right.database}" if right.database else ""
    option = " with grant option" if right.grantable else ""
    through = f", through {' > '.join(right.via)}" if right.via else ""
    return f"{right.privilege} on {right.kind} {right.object}{where}{option}{through}"


class _Judge:
    """Holds each right against the policy. Only what the policy speaks of is judged."""

    def __init__(self, policy: Policy, known: Collection[str] | None = None) -> None:
        """``known`` are the accounts that the server has, where they could be read."""
        self._policy = policy
        self._restricted = {
            name: entry.forbidden
            for name, entry in {**policy.roles, **policy.accounts}.items()
            if entry.forbidden and name not in (policy.administrators or ()) and (known is None or name in known)
        }
        self._found: dict[str, list[Finding]] = {"AC07": [], "AC15": []}
        self._over: Counter[str] = Counter()
        self._allowed: dict[str, tuple[list[Rule], frozenset[str]]] = {}
        self._subjects: set[tuple[str, str, str]] = set()

    def see(self, right: Right) -> None:
        """Note a right that should not be, and who can do by it what is forbidden."""
        check = self.verdict(right)
        if check:
            self._note(check, right)
        everybody = right.account == PUBLIC
        for name in self._restricted if everybody else self._restricted.keys() & {right.account}:
            mine = replace(right, account=name, via=(PUBLIC, *right.via)) if everybody else right
            if check == "AC15" and name == right.account:
                continue
            if any(reaches(mine, rule) for rule in self._restricted[name]):
                self._note("AC15", mine)

    def verdict(self, right: Right) -> str:
        """The check that finds a right; empty where it is as it should be, or the policy says nothing of it."""
        entry = self._policy.entry(right.account)
        if entry is None or (entry.rights is None and not entry.forbidden):
            return ""
        if right.account in (self._policy.administrators or ()):
            return ""
        if any(_covers(rule, right) for rule in entry.forbidden):
            return "AC15"
        return "AC07" if entry.rights is not None and not self._is_given(entry, right) else ""

    def results(self, part: Part[Any]) -> list[Result]:
        found = []
        for id_, listed in self._found.items():
            check = CHECKS[id_]
            if not self._speaks(id_):
                reason = NO_POLICY if not self._policy.given else f"the policy {_LACKS[id_]}"
                found.append(Result(check, Status.NOT_APPLICABLE, reason=reason))
            elif part.value is None:
                found.append(Result(check, part.status, reason=part.reason))
            else:
                text = f"{self._over[id_]} further ones are not listed"
                findings = [*listed, finding(id_, "further rights", text)] if self._over[id_] else listed
                found.append(Result(check, Status.FOUND if findings else Status.PASSED, tuple(findings)))
        return found

    def _speaks(self, id_: str) -> bool:
        entries = [*self._policy.accounts.values(), *self._policy.roles.values()]
        return any(entry.forbidden if id_ == "AC15" else entry.rights is not None for entry in entries)

    def _note(self, id_: str, right: Right) -> None:
        subject = f"{right.account}: {right.privilege} on {right.kind} {right.object}"
        key = (id_, subject, right.database)
        if key in self._subjects:
            return  # the same right by another way
        if len(self._found[id_]) >= MOST_FINDINGS:
            self._over[id_] += 1
            return
        self._subjects.add(key)
        severity = CHECKS[id_].severity
        self._found[id_].append(Finding(id_, subject, words(right), severity, right.account, right.database))

    def _is_given(self, entry: Entry, right: Right) -> bool:
        if entry.name not in self._allowed:
            self._allowed[entry.name] = self._given_to(entry)
        rules, unjudged = self._allowed[entry.name]
        if unjudged.intersection(right.via) or (right.via and right.via[-1] == PUBLIC):
            return True  # of a role whose rights the policy leaves open, or judged as a right of PUBLIC
        return any(_covers(rule, right) for rule in rules)

    def _given_to(self, entry: Entry) -> tuple[list[Rule], frozenset[str]]:
        rules, unjudged = list(entry.rights or ()), set()
        for name in self._policy.roles_of(entry.name):
            role = self._policy.roles.get(name)
            if role is None or role.rights is None:
                unjudged.add(name)
            else:
                rules.extend(role.rights)
        return rules, frozenset(unjudged)


_LACKS = {"AC07": "says of no account or role which rights it has", "AC15": "forbids no right"}


def _covers(rule: Rule, right: Right) -> bool:
    return rule.covers(right.privilege, right.kind, right.object, right.database)


def _line(right: Right) -> str:
    return json.dumps(
        [
            right.account,
            right.privilege,
            right.kind,
            right.database,
            right.object,
            right.grantable,
            right.via,
            right.source,
        ],
        ensure_ascii=False,
        separators=(",", ":"),
    )


def _right(line: str) -> Right:
    account, privilege, kind, database, name, grantable, via, source = json.loads(line)
    return Right(account, privilege, kind, name, database, grantable, tuple(via), source)


def _lines(path: str) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        for line in stream:
            yield line.rstrip("\n")


@contextmanager
def _writing(path: str) -> Iterator[IO[str]]:
    """A compressed file that is there as a whole or not at all."""
    with suppress(FileNotFoundError):
        os.unlink(path)  # of a run that was killed
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as raw, gzip.open(raw, "wt", compresslevel=1, encoding="utf-8") as stream:
            yield stream
    except BaseException:
        os.unlink(path)
        raise
