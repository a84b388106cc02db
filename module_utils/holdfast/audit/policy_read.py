"""Reading ``db_access_policy``: everything that is wrong with it is noted, with its place."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from typing import Any

from ..problems import InvalidInventory, problem_of
from ..validation import Checker, Path, did_you_mean
from .policy import DAYS, KINDS, STATES, VARIABLE, Entry, Policy, Rule, Waiver, Window, contradictions

_SHARED = ("administrators", "accounts", "roles", "exceptions", "dormant_days", "review_months", "warn_days")
_KEYS = (*_SHARED, "change_window", "instances")
_ACCOUNT = ("owner", "kind", "state", "roles", "rights", "forbidden")
_ROLE = ("owner", "members", "admins", "roles", "rights", "forbidden")
_RULE = ("privileges", "kind", "object", "database")
_WAIVER = ("check", "subject", "reason", "owner", "expires")
_WINDOW = ("days", "hours")
_NUMBERS = {"dormant_days": 3650, "review_months": 24, "warn_days": 365}

_CHECK = re.compile(r"[A-Z]{2}[0-9]{2}")
_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]|24):([0-5][0-9])")
_DATE_FORM = "a day, YYYY-MM-DD"


@dataclass
class _Draft:
    """One part of a policy, with the places of what it names."""

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, Path] = field(default_factory=dict)
    complete: bool = True  # no template stands for a part of it

    def over(self, shared: _Draft) -> _Draft:
        """This one over what all instances have: names are added, single values replaced."""
        merged = dict(shared.values)
        for key, value in self.values.items():
            if key in ("accounts", "roles"):
                merged[key] = {**merged.get(key, {}), **value}
            elif key in ("administrators", "exceptions"):
                merged[key] = (*merged.get(key, ()), *value)
            else:
                merged[key] = value
        return _Draft(merged, {**shared.places, **self.places}, self.complete and shared.complete)


def read_policy(
    raw: object, check: Checker, known: Collection[str] | None = None, *, only: str = ""
) -> dict[str, Policy]:
    """The policy of every instance that has a part of its own, and of ``only``; ``known`` are the fleet's instances."""
    path: Path = (VARIABLE,)
    given = check.mapping(path, raw, _KEYS)
    if given is None:
        return {}
    shared = _read_part(given, check, path)
    parts = check.mapping((*path, "instances"), given.get("instances") or {}) or {}
    found: dict[str, Policy] = {}
    noted: set[tuple[Path, str]] = set()
    for name in dict.fromkeys(("", *map(str, parts), only)):
        where: Path = (*path, "instances", name)
        if name in parts and known is not None and name not in known:
            valid = f"{did_you_mean(name, known)}instances are {', '.join(sorted(known))}"
            check.note(where, name, "unknown instance", valid, at_key=True)
        own = check.mapping(where, parts[name], (*_SHARED, "change_window")) if name in parts else {}
        draft = _read_part(own or {}, check, where).over(shared)
        found[name] = Policy(given=True, **draft.values)
        if draft.complete:
            _note_names(found[name], draft, check, noted)
    return found


def resolve(raw: Mapping[str, Any] | None, instance: str) -> Policy:
    """The policy of an instance. Raises InvalidInventory with everything that is wrong with it."""
    if not raw:
        return Policy()
    check = Checker(rendered=True)
    found = read_policy(raw, check, only=instance)
    if check.issues:
        wrong = [problem_of(instance, {VARIABLE: raw}, issue, None) for issue in check.issues]
        raise InvalidInventory(sorted(wrong), where=instance)
    return found[instance]


def _read_part(given: Mapping[str, Any], check: Checker, path: Path) -> _Draft:
    draft = _Draft(complete=not any(check.is_template(value) for value in given.values()))
    values = draft.values
    if given.get("administrators") is not None:
        values["administrators"] = _names((*path, "administrators"), given["administrators"], check)
    for kind, keys in (("accounts", _ACCOUNT), ("roles", _ROLE)):
        entries = check.mapping((*path, kind), given.get(kind) or {}) or {}
        values[kind] = {}
        for name, item in entries.items():
            where = (*path, kind, str(name))
            values[kind][str(name)] = _read_entry(str(name), item, check, where, keys)
            draft.places[str(name)] = where
            draft.complete = draft.complete and not _has_template(item, check)
    values["exceptions"] = tuple(_waivers(given.get("exceptions") or (), check, (*path, "exceptions")))
    for key, most in _NUMBERS.items():
        if given.get(key) is not None:
            number = check.whole((*path, key), given[key], 1, most)
            if number is not None:
                values[key] = number
    if given.get("change_window"):
        values["window"] = _read_window(given["change_window"], check, (*path, "change_window"))
    return draft


def _has_template(raw: object, check: Checker) -> bool:
    if isinstance(raw, Mapping):
        return any(_has_template(value, check) for value in raw.values())
    if isinstance(raw, (list, tuple)):
        return any(_has_template(value, check) for value in raw)
    return check.is_template(raw)


def _read_entry(name: str, raw: object, check: Checker, path: Path, keys: tuple[str, ...]) -> Entry:
    given = check.mapping(path, raw if raw is not None else {}, keys) or {}
    entry = Entry(name)
    if given.get("owner"):
        entry = replace(entry, owner=check.text((*path, "owner"), given["owner"], "who answers for it") or "")
    if given.get("kind"):
        entry = replace(entry, kind=check.choice((*path, "kind"), given["kind"], KINDS, "kind of account") or "")
    if given.get("state"):
        state = check.choice((*path, "state"), given["state"], STATES, "state")
        entry = replace(entry, state=state or "present")
    entry = replace(entry, roles=_names((*path, "roles"), given.get("roles") or (), check))
    entry = replace(entry, admins=_names((*path, "admins"), given.get("admins") or (), check))
    if given.get("members") is not None:
        entry = replace(entry, members=_names((*path, "members"), given["members"], check))
    if given.get("rights") is not None:
        entry = replace(entry, rights=tuple(_rules(given["rights"], check, (*path, "rights"))))
    return replace(entry, forbidden=tuple(_rules(given.get("forbidden") or (), check, (*path, "forbidden"))))


def _rules(raw: object, check: Checker, path: Path) -> Iterator[Rule]:
    for index, item in enumerate(check.sequence(path, raw, "rights")):
        where = (*path, index)
        given = check.mapping(where, item, _RULE, ("privileges",))
        if given is None:
            continue
        listed = given.get("privileges", ())
        listed = [listed] if isinstance(listed, str) and not check.is_template(listed) else listed
        privileges = _names((*where, "privileges"), listed, check)
        if "privileges" in given and not privileges and not check.is_template(listed):
            check.note((*where, "privileges"), None, "is empty", "privileges such as SELECT, or ALL")
        parts = {
            key: check.text((*where, key), given[key], "a name, with * for any part of it") or "*"
            for key in ("kind", "object", "database")
            if given.get(key)
        }
        yield Rule(frozenset(name.upper() for name in privileges), **parts)


def _names(path: Path, raw: object, check: Checker) -> tuple[str, ...]:
    found = [
        check.text((*path, index), item, "a name") for index, item in enumerate(check.sequence(path, raw, "names"))
    ]
    return tuple(item for item in found if item is not None)


def _waivers(raw: object, check: Checker, path: Path) -> Iterator[Waiver]:
    for index, item in enumerate(check.sequence(path, raw, "exceptions")):
        where = (*path, index)
        given = check.mapping(where, item, _WAIVER, ("check", "reason", "owner", "expires"))
        if given is None:
            continue
        id_ = "check" in given and check.text((*where, "check"), given["check"], "the id of a check", _CHECK.fullmatch)
        texts = {key: key in given and check.text((*where, key), given[key], "a text") for key in ("reason", "owner")}
        subject = check.text(
            (*where, "subject"), given.get("subject") or "*", "what the finding is about, with * for any"
        )
        expires = _read_day((*where, "expires"), given["expires"], check) if "expires" in given else None
        if id_ and texts["reason"] and texts["owner"] and subject and expires:
            yield Waiver(id_, subject, str(texts["reason"]), str(texts["owner"]), expires)


def _read_day(path: Path, value: object, check: Checker) -> date | None:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if check.is_template(value):
        return None
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        check.note(path, str(value), "is not a day", _DATE_FORM)
        return None


def _read_window(raw: object, check: Checker, path: Path) -> Window | None:
    given = check.mapping(path, raw, _WINDOW, _WINDOW)
    if given is None or not all(key in given for key in _WINDOW):
        return None
    days = [
        check.choice((*path, "days", index), item, DAYS, "day")
        for index, item in enumerate(check.sequence((*path, "days"), given["days"], "days"))
    ]
    hours = check.text((*path, "hours"), given["hours"], "hours such as 09:00-17:00", _HOURS.fullmatch)
    match = _HOURS.fullmatch(hours) if hours else None
    if match is None:
        return None
    begin, end = (
        time(int(match[1]), int(match[2])),
        time.max if match[3] == "24" else time(int(match[3]), int(match[4])),
    )
    if begin == end:
        check.note((*path, "hours"), hours, "has no length", "hours such as 09:00-17:00")
        return None
    return Window(tuple(DAYS.index(day) for day in days if day), begin, end)


def _note_names(policy: Policy, draft: _Draft, check: Checker, noted: set[tuple[Path, str]]) -> None:
    """Note what only the whole shows: unknown names and contradictions."""

    def note(path: Path, value: object, message: str, valid: str) -> None:
        if (path, message) not in noted:
            noted.add((path, message))
            check.note(path, value, message, valid)

    everybody = {**policy.roles, **policy.accounts}
    for name, entry in everybody.items():
        where = draft.places[name]
        for key, listed, known, what in (
            ("roles", entry.roles, policy.roles, "role"),
            ("members", entry.members or (), everybody, "account or role"),
            ("admins", entry.admins, everybody, "account or role"),
        ):
            for index, item in enumerate(listed):
                if item not in known:
                    valid = f"{did_you_mean(item, known)}the policy has {', '.join(sorted(known)) or 'none'}"
                    note((*where, key, index), item, f"unknown {what}", valid)
                elif item == name:
                    note((*where, key, index), item, "is itself", f"another {what}")
    for name in set(policy.roles) & set(policy.accounts):
        note(draft.places[name], name, "is both an account and a role", "one of the two")
    for name, key, message, valid in contradictions(policy):
        note((*draft.places[name], key), None, message, valid)
