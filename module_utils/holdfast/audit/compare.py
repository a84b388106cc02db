"""The server as it is against the policy as it should be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Callable

from ..errors import HoldfastError, Unsupported
from ..units import utcnow
from .checks import CHECKS
from .facts import Facts, Part, answer
from .model import Account, Escalation, Finding, Membership, Result, Severity, Status
from .policy import Policy

NO_POLICY = "no db_access_policy is declared"
# Names that stand for a task or for anybody, and not for one person or program.
GENERIC = frozenset(
    [
        "admin",
        "administrator",
        "app",
        "application",
        "dba",
        "demo",
        "dev",
        "developer",
        "devops",
        "everyone",
        "generic",
        "guest",
        "office",
        "ops",
        "shared",
        "support",
        "sysadmin",
        "team",
        "temp",
        "test",
        "tester",
        "user",
        "users",
    ]
)
_PUBLIC = "PUBLIC"

Judge = Callable[[Policy, Facts], Sequence[Finding]]


def finding(check: str, subject: str, found: str, *, account: str = "", severity: Severity | None = None) -> Finding:
    """A finding of a check that knows no engine."""
    return Finding(check, subject, found, severity or CHECKS[check].severity, account)


def compare(policy: Policy, facts: Facts, known_checks: Iterable[str]) -> list[Result]:
    """The results of the checks that hold a policy against facts, but for those of rights and of reviews."""
    judges: dict[str, Judge] = {
        "AC01": _without_owner,
        "AC02": _dormant,
        "AC03": _never_expires,
        "AC04": _expired,
        "AC05": _shared,
        "AC06": _members,
        "AC08": _administrators,
        "AC09": lambda policy, facts: _unknown(policy, facts, set(known_checks)),
        "AC10": _should_be_gone,
        "AC11": lambda policy, _: exceptions_at_their_end(policy, date.today()),  # noqa: DTZ011 - the host's own day
        "AC13": _escalations,
        "AC14": _outside_window,
    }
    results = []
    for id_, judge in judges.items():
        result = answer(CHECKS[id_], lambda judge=judge: judge(policy, facts))  # type: ignore[misc]
        results.append(_with_note(result, facts) if id_ == "AC02" else result)
    return results


def _told(part: Part[Any], what: str) -> Any:
    if part.value is not None:
        return part.value
    if part.status is Status.NOT_APPLICABLE:
        raise Unsupported("server", what, part.reason)
    raise HoldfastError(f"{what} could not be read: {part.reason}")


def _need_policy(policy: Policy, has: object = True, lacks: str = NO_POLICY) -> None:
    if not policy.given or not has:
        raise Unsupported("policy", "the comparison", lacks if policy.given else NO_POLICY)


def _logins(facts: Facts) -> Iterator[Account]:
    for account in _told(facts.accounts, "accounts"):
        if account.login and not account.system:
            yield account


def _without_owner(policy: Policy, facts: Facts) -> list[Finding]:
    _need_policy(policy)
    found = []
    for account in _logins(facts):
        entry = policy.accounts.get(account.name)
        if entry is None:
            text = "an administrator of the policy, and" if account.name in (policy.administrators or ()) else "it"
            found.append(finding("AC01", account.name, f"{text} has no entry in accounts", account=account.name))
        elif not entry.owner:
            found.append(finding("AC01", account.name, "its entry in accounts names no owner", account=account.name))
    return found


def _dormant(policy: Policy, facts: Facts) -> list[Finding]:
    found, limit = [], utcnow() - timedelta(days=policy.dormant_days)
    untold = {}
    for account in _logins(facts):
        if account.locked:
            continue
        if account.last_seen is None and "last_seen" in account.unknown:
            untold[account.name] = account.unknown["last_seen"]
            continue
        if account.last_seen is None and (account.created is None or _aware(account.created) > limit):
            continue
        seen = account.last_seen
        if seen is None or _aware(seen) < limit:
            said = f"last seen {_day(seen)} ({account.last_seen_source})" if seen else "never seen"
            text = f"{said}, more than {policy.dormant_days} days ago" if seen else f"{said} since it was made"
            found.append(finding("AC02", account.name, text, account=account.name))
    if untold and not found:
        # Nothing found among those that can be told of is no pass for the others.
        why = next(iter(untold.values()))
        everybody = all(item.name in untold or item.locked for item in _logins(facts))
        raise Unsupported("server", "last use", why if everybody else _not_known(len(untold), why))
    return found


def _not_known(number: int, why: str) -> str:
    return f"of {number} accounts the last use is not known: {why}"


def _with_note(result: Result, facts: Facts) -> Result:
    """What the server cannot tell of some accounts is said beside what it tells of others."""
    if result.status is not Status.FOUND:
        return result
    accounts = [item for item in facts.accounts.value or () if item.login and not item.system]
    untold = [item for item in accounts if item.last_seen is None and "last_seen" in item.unknown]
    if not untold:
        return result
    reason = _not_known(len(untold), untold[0].unknown["last_seen"])
    return Result(result.check, result.status, result.findings, reason, result.asked)


def _never_expires(_policy: Policy, facts: Facts) -> list[Finding]:
    return [
        finding("AC03", item.name, f"authenticates by {item.method or 'password'}, without an end", account=item.name)
        for item in _logins(facts)
        if item.password == "set"  # noqa: S105 - whether there is one
        and item.expires is None
        and not item.locked
        and "expires" not in item.unknown
    ]


def _expired(_policy: Policy, facts: Facts) -> list[Finding]:
    now = utcnow()
    return [
        finding("AC04", item.name, f"expired on {_day(item.expires)}", account=item.name)
        for item in _logins(facts)
        if item.expires is not None and _aware(item.expires) < now and not item.locked
    ]


def _shared(policy: Policy, facts: Facts) -> list[Finding]:
    found = []
    for account in _logins(facts):
        entry = policy.accounts.get(account.name)
        kind = entry.kind if entry else ""
        if kind == "shared":
            found.append(finding("AC05", account.name, "the policy says that it is shared", account=account.name))
        elif not kind and account.name.partition("@")[0].lower() in GENERIC:
            text = "its name stands for nobody in particular, and the policy does not say what kind it is"
            found.append(finding("AC05", account.name, text, account=account.name))
    return found


def _members(policy: Policy, facts: Facts) -> list[Finding]:
    _need_policy(policy)
    memberships: Sequence[Membership] = _told(facts.memberships, "memberships")
    accounts = {account.name: account for account in facts.accounts.value or ()}
    found = []
    for item in memberships:
        if of_the_server(item, accounts):
            continue
        verdict, subject = judge_member(policy, item), f"{item.member} in {item.role}"
        if verdict == "member":
            found.append(finding("AC06", subject, f"{item.member} holds {item.role}", account=item.member))
        elif verdict == "admin":
            text = f"{item.member} may hand {item.role} on to others"
            found.append(finding("AC06", f"{subject} with admin option", text, account=item.member))
    return found


def of_the_server(item: Membership, accounts: Mapping[str, Account]) -> bool:
    """Whether a membership is one that the server brought, or its own login has.

    A role that a person granted to PUBLIC, or to a role of the server, is had by everybody who has that.
    """
    role, member = accounts.get(item.role), accounts.get(item.member)
    return member is not None and member.system and (member.login or (role is not None and role.system))


def judge_member(policy: Policy, item: Membership) -> str:
    """What is wrong with a membership: that it is one (``member``), or its admin option; empty where nothing is."""
    holders, entry, role = policy.holders(item.role), policy.entry(item.member), policy.roles.get(item.role)
    if item.member in (policy.administrators or ()) or (holders is None and not (entry and entry.roles)):
        return ""
    if item.member not in (holders or ()):
        return "member"
    return "admin" if item.admin and item.member not in (role.admins if role else ()) else ""


def _administrators(policy: Policy, facts: Facts) -> list[Finding]:
    _need_policy(policy, policy.administrators is not None, "the policy names no administrators")
    return [
        finding("AC08", item.name, "can do everything on this server", account=item.name)
        for item in _told(facts.accounts, "accounts")
        if item.superuser and not item.system and item.name not in (policy.administrators or ())
    ]


def _unknown(policy: Policy, facts: Facts, known_checks: set[str]) -> list[Finding]:
    _need_policy(policy)
    _told(facts.accounts, "accounts")
    names = facts.names() | {_PUBLIC}
    wanted = {f"account {name}": name for name, entry in policy.accounts.items() if entry.state != "absent"}
    wanted.update({f"role {name}": name for name in policy.roles})
    wanted.update({f"administrator {name}": name for name in policy.administrators or ()})
    found = [
        finding("AC09", subject, "the policy names it, and the server has none of that name")
        for subject, name in wanted.items()
        if name not in names
    ]
    own = {id_[:2] for id_ in known_checks} | {"AC"}
    unknown = [item.check for item in policy.exceptions if item.check not in known_checks | set(CHECKS)]
    # Exceptions for checks of another engine are none of this one's business.
    found.extend(
        finding("AC09", f"exception for {id_}", "there is no such check")
        for id_ in dict.fromkeys(unknown)
        if id_[:2] in own
    )
    return found


def _should_be_gone(policy: Policy, facts: Facts) -> list[Finding]:
    _need_policy(policy)
    found = []
    for account in _told(facts.accounts, "accounts"):
        entry = policy.accounts.get(account.name)
        if entry and entry.state == "absent":
            found.append(finding("AC10", account.name, "the policy says absent, and it is there", account=account.name))
        elif entry and entry.state == "locked" and account.login and not account.locked:
            found.append(
                finding("AC10", account.name, "the policy says locked, and it may log in", account=account.name)
            )
    return found


def exceptions_at_their_end(policy: Policy, today: date) -> list[Finding]:
    """Exceptions that have expired, or soon will."""
    _need_policy(policy)
    found = []
    for waiver in policy.exceptions:
        left = (waiver.expires - today).days
        subject = f"{waiver.check} {waiver.subject}"
        if left < 0:
            text = f"ended on {waiver.expires.isoformat()}: {waiver.reason} ({waiver.owner})"
            found.append(finding("AC11", subject, text))
        elif left <= policy.warn_days:
            text = f"ends on {waiver.expires.isoformat()}, in {left} days: {waiver.reason} ({waiver.owner})"
            found.append(finding("AC11", subject, text, severity=Severity.LOW))
    return found


def _escalations(policy: Policy, facts: Facts) -> list[Finding]:
    found = []
    paths: Sequence[Escalation] = _told(facts.escalations, "escalations")
    for path in paths:
        if path.account in (policy.administrators or ()):
            continue
        severity = Severity.HIGH if path.reaches == "every row" else Severity.CRITICAL
        steps = "; then ".join(path.steps)
        subject = f"{path.account} to {path.reaches}: {steps}"
        text = f"{path.account} can reach {path.reaches}: {steps}"
        found.append(finding("AC13", subject, text, account=path.account, severity=severity))
    return found


def _outside_window(policy: Policy, facts: Facts) -> list[Finding]:
    _need_policy(policy, policy.window, "the policy names no change_window")
    assert policy.window is not None
    seen, _position = _told(facts.grants, "changes of power in the log")
    found = []
    for item in seen:
        moment = _moment(item)
        if moment is None or not policy.window.holds(moment):
            when = moment.isoformat(timespec="seconds") if moment else str(item.get("time") or "at a time not known")
            subject = f"{when} {item.get('account', '')}".strip()
            text = f"{item.get('account', 'somebody')}: {item.get('statement', '')}"
            found.append(finding("AC14", subject, text, account=str(item.get("account", ""))))
    return found


def _moment(item: Mapping[str, Any]) -> datetime | None:
    value = item.get("time")
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return None
    return _aware(found)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.astimezone()


def _day(moment: datetime | None) -> str:
    return _aware(moment).date().isoformat() if moment else ""
