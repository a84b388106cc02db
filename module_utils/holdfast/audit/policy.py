"""Who may do what, as people declare it: roles, members, rights, administrators, owners and exceptions.

The policy of a fleet is one mapping with a part of its own for each instance that needs one. What is left out of it is
not judged: a policy that names no right forbids none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from fnmatch import fnmatchcase

VARIABLE = "db_access_policy"
KINDS = ("person", "service", "shared")
STATES = ("present", "locked", "absent")
DORMANT_DAYS = 90  # PCI DSS 8.2.6
REVIEW_MONTHS = 6  # PCI DSS 7.2.4
WARN_DAYS = 30
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def fits(text: str, pattern: str) -> bool:
    """Whether a pattern means a text: ``*`` and ``?`` stand for others, and nothing else does."""
    return fnmatchcase(text, pattern.replace("[", "[[]"))


@dataclass(frozen=True)
class Rule:
    """A right that is granted or forbidden. ``kind``, ``object`` and ``database`` may hold ``*`` and ``?``."""

    privileges: frozenset[str]  # in capitals; ALL is every one
    kind: str = "*"
    object: str = "*"
    database: str = "*"

    def covers(self, privilege: str, kind: str, name: str, database: str) -> bool:
        """Whether the rule speaks of that right."""
        return (
            bool(self.privileges & {privilege.upper(), "ALL"})
            and fits(kind, self.kind)
            and fits(name, self.object)
            and (self.database == "*" or fits(database, self.database))
        )

    def includes(self, other: Rule) -> bool:
        """Whether this one speaks of something of everything that the other does: it leaves nothing of it as it was."""
        return (
            bool(self.privileges & other.privileges or "ALL" in self.privileges)
            and fits(other.kind, self.kind)
            and fits(other.object, self.object)
            and fits(other.database, self.database)
        )

    def __str__(self) -> str:
        where = f" of {self.database}" if self.database != "*" else ""
        return f"{', '.join(sorted(self.privileges))} on {self.kind} {self.object}{where}"


@dataclass(frozen=True)
class Entry:
    """An account or a role of the policy. ``rights`` is None where the policy does not say which it has."""

    name: str
    owner: str = ""  # who answers for it
    kind: str = ""  # person | service | shared; of an account
    state: str = "present"
    roles: tuple[str, ...] = ()  # that it may hold
    members: tuple[str, ...] | None = None  # of a role: None where the policy does not say
    admins: tuple[str, ...] = ()  # of a role: the members that may hand it on
    rights: tuple[Rule, ...] | None = None
    forbidden: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Waiver:
    """An exception: findings of a check that a person answers for until a day."""

    check: str
    subject: str  # a pattern; ``*`` is all
    reason: str
    owner: str
    expires: date

    def covers(self, check: str, subject: str, account: str = "") -> bool:
        """Whether a finding is meant."""
        return self.check == check and (fits(subject, self.subject) or bool(account and fits(account, self.subject)))


@dataclass(frozen=True)
class Window:
    """When changes of power are expected, in the time zone of the host."""

    days: tuple[int, ...]  # Monday is 0
    begin: time
    end: time

    def holds(self, moment: datetime) -> bool:
        """Whether a moment lies in it. One that begins in the evening and ends in the morning is of the first day."""
        local = moment.astimezone()
        now, day = local.time(), local.weekday()
        if self.begin <= self.end:
            return day in self.days and self.begin <= now < self.end
        return (day in self.days and now >= self.begin) or ((day - 1) % 7 in self.days and now < self.end)


@dataclass(frozen=True)
class Policy:
    """The policy of one instance. ``administrators`` is None where it does not say who they are."""

    given: bool = False  # whether there is one at all
    administrators: tuple[str, ...] | None = None
    accounts: Mapping[str, Entry] = field(default_factory=dict)
    roles: Mapping[str, Entry] = field(default_factory=dict)
    exceptions: tuple[Waiver, ...] = ()
    dormant_days: int = DORMANT_DAYS
    review_months: int = REVIEW_MONTHS
    warn_days: int = WARN_DAYS
    window: Window | None = None

    def entry(self, name: str) -> Entry | None:
        """What it says of an account or a role."""
        return self.accounts.get(name) or self.roles.get(name)

    def holders(self, role: str) -> tuple[str, ...] | None:
        """Who may hold a role: members of the role, and accounts that name it. None where nothing is said of it."""
        named = [name for name, entry in {**self.roles, **self.accounts}.items() if role in entry.roles]
        entry = self.roles.get(role)
        if entry is None or entry.members is None:
            return tuple(named) if named else None
        return tuple(dict.fromkeys((*entry.members, *entry.admins, *named)))

    def roles_of(self, name: str) -> tuple[str, ...]:
        """The roles that somebody may hold, also through other roles."""
        found: dict[str, None] = {}
        waiting = [name]
        while waiting:
            holder = waiting.pop()
            entry = self.entry(holder)
            more = set(entry.roles) if entry else set()
            more |= {role for role, item in self.roles.items() if holder in (*(item.members or ()), *item.admins)}
            for role in sorted(more - set(found)):
                found[role] = None
                waiting.append(role)
        return tuple(found)


def contradictions(policy: Policy) -> Sequence[tuple[str, str, str, str]]:
    """What a policy both asks for and rules out: account or role, key, what is wrong, and what would be valid."""
    found: list[tuple[str, str, str, str]] = []
    for name, entry in {**policy.roles, **policy.accounts}.items():
        found.extend((name, *item) for item in _of_state(policy, name, entry))
        found.extend((name, *item) for item in _of_rights(policy, name, entry))
    return found


def _of_state(policy: Policy, name: str, entry: Entry) -> Sequence[tuple[str, str, str]]:
    if entry.state == "present":
        return ()
    found = []
    if name in (policy.administrators or ()):
        valid = "another account in administrators, or state: present"
        found.append(("state", f"is to be {entry.state}, and {name} is an administrator", valid))
    holds = policy.roles_of(name)
    if entry.state == "absent" and (holds or entry.rights):
        what = f"holds {', '.join(holds)}" if holds else "has rights"
        found.append(("state", f"is to be absent, and {what}", "state: present, or neither roles nor rights"))
    return found


def _of_rights(policy: Policy, name: str, entry: Entry) -> Sequence[tuple[str, str, str]]:
    found = []
    for source in (name, *policy.roles_of(name)):
        given = policy.entry(source)
        for granted in (given.rights or ()) if given else ():
            if any(rule.includes(granted) for rule in entry.forbidden):
                through = "" if source == name else f" through {source}"
                message = f"grants and forbids the same{through}: {granted}"
                found.append(("forbidden", message, "a right either in rights or in forbidden"))
    return found
