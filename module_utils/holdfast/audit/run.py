"""An audit of one instance: every check asked, the policy held against what is there, compared with the run before."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from .. import __version__
from ..adapters import Adapters
from ..engines import registry
from ..engines.audit import Auditor
from ..errors import AuditIncomplete
from ..model import Instance
from ..records import Record
from ..units import format_instant, utcnow
from . import rights as all_rights
from .compare import compare
from .facts import Facts, answer, ask, counted, plain
from .model import Check, Result, Severity, Status
from .policy import Policy
from .policy_read import resolve
from .reviews import told_due
from .snapshot import FORMAT, Snapshot, Store, date_findings, new_power, read_json, write_json

log = logging.getLogger(__name__)

_MOST_POWER = 100  # that a record names; the snapshot has all

Raw = Mapping[str, Any]


def audit(
    instance: Instance, record: Record, *, raw_policy: Raw | None = None, scheduled: bool = False
) -> dict[str, Any]:
    """Audit an instance. ``raw_policy`` is db_access_policy; without it, the one of the last audit is used again.

    What is new is against the last audit, or, unless it is ``scheduled``, against the last that was not.

    The snapshot is kept also when a check could not be answered; then AuditIncomplete names those.
    """
    store = Store(instance)
    store.ready()
    raw = raw_policy if raw_policy is not None else read_json(store.policy)
    policy = resolve(raw, instance.name)
    if raw_policy is not None:
        write_json(store.policy, raw_policy)
    snapshot = _look(instance, policy, store, scheduled=scheduled)
    snapshot["policy"] = _about(policy, raw)
    store.save(snapshot, scheduled=scheduled)
    record["access"] = {
        **summary(snapshot),
        "scheduled": scheduled,
        "review_due": told_due(store, policy.review_months),
    }
    for item in snapshot["difference"]["power"]:
        log.warning("new power: %s %s", item["account"], item["what"])
    wrong = [item["id"] for item in snapshot["checks"] if item["status"] == str(Status.ERROR)]
    wrong += [name for name, part in snapshot["parts"].items() if part["status"] == str(Status.ERROR)]
    if wrong:
        reasons = {item["reason"] for item in snapshot["checks"] if item["status"] == str(Status.ERROR)}
        reasons |= {part["reason"] for part in snapshot["parts"].values() if part["status"] == str(Status.ERROR)}
        raise AuditIncomplete(
            f"{len(wrong)} of its questions had no answer: {counted(wrong)}: {counted(sorted(reasons), 2)}",
            where=instance.name,
            remedy="What the others found is kept; see `holdfast audit --last`",
        )
    return {}


def _look(instance: Instance, policy: Policy, store: Store, *, scheduled: bool) -> Snapshot:
    started = format_instant(utcnow())
    before, rights_before = store.before(scheduled=scheduled)
    with Adapters(instance) as adapters:
        info = adapters.engine.inspect()
        auditor = registry.auditor(adapters.engine)
        facts = _facts(auditor, before)
        known = facts.names() if facts.accounts.known else None
        rights = all_rights.read(auditor.rights, policy, store.rights, rights_before, known)
    results = [
        *(_but_administrators(item, policy) for item in facts.results),
        *_in_order([*compare(policy, facts, _ids(facts)), *rights.results]),
    ]
    parts = {
        "accounts": facts.accounts.as_dict(),
        "memberships": facts.memberships.as_dict(),
        "escalations": facts.escalations.as_dict(),
        "rights": rights.part.as_dict(),
        "log": facts.grants.as_dict(),
    }
    seen, position = facts.grants.value or ((), (before or {}).get("log", {}).get("position", ""))
    snapshot: Snapshot = {
        "format": FORMAT,
        "holdfast": __version__,
        "instance": instance.name,
        "engine": instance.engine,
        "version": info.version,
        "role": info.role,
        "system_identifier": info.system_identifier,
        "started": started,
        "parts": parts,
        "checks": [_of_check(result) for result in results],
        "findings": _findings(results, policy),
        "accounts": plain(list(facts.accounts.value or ())),
        "memberships": plain(list(facts.memberships.value or ())),
        "escalations": plain(list(facts.escalations.value or ())),
        "rights": {"count": rights.part.value, "accounts": rights.accounts, "marks": rights.marks},
        "log": {"position": position, "seen": plain(list(seen))[-all_rights.MOST_SHOWN :]},
        "difference": {"since": before["started"] if before else None},
    }
    date_findings(snapshot, before, store.last())
    snapshot["difference"].update(
        power=new_power(snapshot, before, rights.gained or ()),
        gained=_shown(rights.gained),
        lost=_shown(rights.lost),
    )
    snapshot["finished"] = format_instant(utcnow())
    return snapshot


def _facts(auditor: Auditor, before: Snapshot | None) -> Facts:
    position = str((before or {}).get("log", {}).get("position", ""))
    results = [answer(check, lambda check=check: auditor.answer(check)) for check in auditor.checks()]  # type: ignore[misc]
    return Facts(
        ask(lambda: list(auditor.accounts())),
        ask(lambda: list(auditor.memberships())),
        ask(lambda: list(auditor.escalations())),
        ask(lambda: auditor.observed_grants(position)),
        results,
    )


def _but_administrators(result: Result, policy: Policy) -> Result:
    """Who has the power of an administrator and is one by the policy is no finding."""
    if not result.check.power or result.status is not Status.FOUND:
        return result
    left = tuple(item for item in result.findings if item.account not in (policy.administrators or ()))
    return replace(result, findings=left, status=Status.FOUND if left else Status.PASSED)


def _ids(facts: Facts) -> list[str]:
    return [result.check.id for result in facts.results]


def _in_order(results: Sequence[Result]) -> list[Result]:
    return sorted(results, key=lambda result: result.check.id)


def _of_check(result: Result) -> dict[str, Any]:
    return {
        **describe(result.check),
        "status": str(result.status),
        "reason": result.reason,
        "asked": format_instant(result.asked),
    }


def describe(check: Check) -> dict[str, Any]:
    """A check as data."""
    return {
        "id": check.id,
        "title": check.title,
        "severity": str(check.severity),
        "rationale": check.rationale,
        "remediation": check.remediation,
        "statement": check.statement.strip(),
        "controls": {framework: list(numbers) for framework, numbers in check.controls.items()},
    }


def _findings(results: Sequence[Result], policy: Policy) -> list[dict[str, Any]]:
    today = date.today()  # noqa: DTZ011 - the host's own day
    order = {severity: place for place, severity in enumerate(Severity)}
    found = []
    for result in results:
        for item in sorted(result.findings, key=lambda item: (order[item.severity], item.database, item.subject)):
            waiver = next(
                (
                    waiver
                    for waiver in policy.exceptions
                    if waiver.expires >= today and waiver.covers(item.check, item.subject, item.account)
                ),
                None,
            )
            entry: dict[str, Any] = {**plain(item), "state": "open"}
            if waiver:
                why = {"reason": waiver.reason, "owner": waiver.owner, "expires": waiver.expires.isoformat()}
                entry.update(state="excepted", exception=why)
            found.append(entry)
    return found


def _shown(rights: Sequence[Any] | None) -> dict[str, Any]:
    listed = [all_rights.words(item) for item in (rights or ())[: all_rights.MOST_SHOWN]]
    accounts = [item.account for item in (rights or ())[: all_rights.MOST_SHOWN]]
    return {
        "count": None if rights is None else len(rights),
        "shown": [{"account": account, "what": what} for account, what in zip(accounts, listed)],
    }


def _about(policy: Policy, raw: Raw | None) -> dict[str, Any]:
    text = json.dumps(raw or {}, sort_keys=True, separators=(",", ":"), default=str)
    return {
        "given": policy.given,
        "sha256": hashlib.sha256(text.encode()).hexdigest() if policy.given else "",
        "review_months": policy.review_months,
        "warn_days": policy.warn_days,
        "dormant_days": policy.dormant_days,
        "exceptions": [
            {
                "check": item.check,
                "subject": item.subject,
                "reason": item.reason,
                "owner": item.owner,
                "expires": item.expires.isoformat(),
            }
            for item in policy.exceptions
        ],
        "owners": {name: entry.owner for name, entry in policy.accounts.items() if entry.owner},
        "kinds": {name: entry.kind for name, entry in policy.accounts.items() if entry.kind},
    }


def summary(snapshot: Snapshot) -> dict[str, Any]:
    """What the record of a run says of its snapshot."""
    open_ = [item for item in snapshot["findings"] if item["state"] == "open"]
    counts = Counter(item["severity"] for item in open_)
    status = Counter(item["status"] for item in snapshot["checks"])
    difference = snapshot["difference"]
    return {
        "version": snapshot["version"],
        "checks": {str(item): status[str(item)] for item in Status},
        "findings": {str(severity): counts[str(severity)] for severity in Severity},
        "excepted": len(snapshot["findings"]) - len(open_),
        "new": len(difference["new"]),
        "fixed": len(difference["fixed"]),
        "accounts": len(snapshot["accounts"]),
        "rights": snapshot["rights"]["count"],
        "power": difference["power"][:_MOST_POWER],
        "outside_window": sum(item["check"] == "AC14" for item in open_),
        "alert": "new-power" if difference["power"] else "",
    }
