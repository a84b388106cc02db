"""Taking away what should not be there: planned from the catalog, undoable, and in the record."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..adapters import Adapters
from ..config import load
from ..engines import registry
from ..engines.audit import Auditor
from ..errors import HoldfastError, InvalidInput, Refused, Unsupported
from ..jobs import run_job
from ..model import Instance, Job
from ..owner import run_as_owner
from ..records import Record
from ..units import utcnow
from .compare import judge_member, of_the_server
from .facts import plain
from .model import Action, Membership, Right, Step
from .policy import Policy
from .policy_read import resolve
from .rights import unwanted
from .snapshot import Store, read_json, write_json, write_text

NAMED = (Action.REVOKE, Action.LOCK, Action.EXPIRE, Action.DROP)
ACTIONS = ("policy", *map(str, NAMED), "undo")
_MOST_ROUNDS = 3  # of what only shows when what was in front of it is gone
_ORDER = (Action.REVOKE, Action.LOCK, Action.EXPIRE, Action.DROP)

_DETAILS = {
    str(Action.REVOKE): frozenset({"role", "attribute", "privilege", "kind", "object", "database"}),
    str(Action.DROP): frozenset({"reassign"}),
}

Wanted = tuple[Action, str, dict[str, Any]]
Prepare = Callable[[Instance], None]


@dataclass(frozen=True)
class Request:
    """What to change.

    ``details`` of a revocation are ``role``, ``attribute``, or privilege, kind, object and database; of a drop
    ``reassign``, the account that gets what this one owns.
    """

    action: str
    account: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    policy: Mapping[str, Any] | None = None  # db_access_policy; without it that of the last audit
    undo: str = ""  # name of the undo that is taken back
    confirm: str = ""  # the name of the instance


def make_request(action: str, **options: Any) -> Request:
    """A request from the words of a person. Raises InvalidInput."""
    request = Request(action, **options)
    if action not in ACTIONS:
        raise InvalidInput(f"unknown action {action!r}", remedy=f"Known are {', '.join(ACTIONS)}")
    named = action in tuple(map(str, NAMED))
    if named and not request.account:
        raise InvalidInput(f"{action} needs an account", remedy="Name it as the server writes it")
    if not named and (request.account or request.details):
        raise InvalidInput(f"{action} takes no account", remedy="Leave account and rights away")
    known = _DETAILS.get(action, frozenset())
    strange = sorted(set(request.details) - known)
    if strange:
        raise InvalidInput(f"{action} takes no {', '.join(strange)}", remedy="Use another action, or leave it away")
    if action == str(Action.REVOKE) and len({"role", "privilege", "attribute"} & set(request.details)) != 1:
        raise InvalidInput("revoke needs a role, an attribute or a privilege", remedy="Name one of them")
    if (action == "undo") != bool(request.undo):
        raise InvalidInput("undo and the name of an undo belong together", remedy="The record of the change names it")
    return request


def plan(name: str, request: Request, prepare: Prepare) -> dict[str, Any]:
    """What a request would do: ``steps`` and ``notes``. Raises Refused with everything that stands in its way."""
    instance = load(name)
    found: dict[str, Any] = run_as_owner(instance, partial(_plan, name, request, prepare))
    return found


def start(name: str, request: Request, prepare: Prepare) -> Record:
    """Carry a request out and return its record. Raises Refused without the right confirmation."""
    instance = load(name)
    if request.confirm != name:
        raise Refused(
            f"{request.confirm!r} does not confirm a change of access",
            where=name,
            remedy=f"Look at the plan in check mode, then give the name of the instance, {name}",
        )

    def work() -> Record:
        complete = load(name)
        prepare(complete)
        return run_job(complete, Job.ACCESS_CHANGE, call=partial(_change, request=request))

    record: Record = run_as_owner(instance, work)
    return record


def describe(steps: Sequence[Mapping[str, Any]]) -> str:
    """A plan as a person reads it."""
    lines = []
    for step in steps:
        lines.append(_remark(f"{step['what']}{' in ' + step['database'] if step['database'] else ''}"))
        lines.extend(f"  + {line}" for line in step["statements"])
        lines.extend(f"  undo: {line}" for line in step["undo"])
        if step["irreversible"]:
            lines.append(f"  cannot be undone: {_remark(step['irreversible'])}")
    return "\n".join(lines)


def _remark(text: str) -> str:
    """A text as one line: names are data, and one that holds the end of a line would end the remark it stands in."""
    return " ".join(text.splitlines())


def _plan(name: str, request: Request, prepare: Prepare) -> dict[str, Any]:
    instance = load(name)
    prepare(instance)
    with Adapters(instance) as adapters:
        steps, notes = _steps(instance, registry.auditor(adapters.engine), request, [])
    return {"steps": plain(steps), "notes": notes}


def _change(instance: Instance, record: Record, *, request: Request) -> dict[str, Any]:
    said: dict[str, Any] = {"action": request.action, "steps": [], "undo": "", "notes": []}
    record["access_change"] = said
    skipped: list[Wanted] = []
    wanted: list[Wanted] = []
    with Adapters(instance) as adapters:
        auditor = registry.auditor(adapters.engine)
        _round(instance, auditor, request, said, skipped)
        if request.action == "policy":
            wanted = _until_nothing_is_left(instance, auditor, request, said, skipped)
    left = [item for item in wanted if item not in skipped]
    if left:
        raise HoldfastError(
            f"{len(left)} things are still not as the policy has them: {_words(left[0])}",
            where=instance.name,
            remedy="Look at what the plan of another run says; the undo script holds what was changed",
        )
    return {}


def _round(instance: Instance, auditor: Auditor, request: Request, said: dict[str, Any], skipped: list[Wanted]) -> bool:
    """Plan and take the steps of a request, after those that were taken already; whether there was anything to do."""
    steps, notes = _steps(instance, auditor, request, skipped)
    said["notes"] = list(dict.fromkeys([*said["notes"], *notes]))
    if steps:
        every = [*map(revived, said["steps"]), *steps]
        said["undo"] = write_undo(instance, every, said["undo"])
        said["steps"] = plain(every)
        auditor.change(steps)
    return bool(steps)


def _until_nothing_is_left(
    instance: Instance, auditor: Auditor, request: Request, said: dict[str, Any], skipped: list[Wanted]
) -> list[Wanted]:
    """Go on with what shows only now that the first steps are taken, and return what is still not as the policy has it.

    MariaDB keeps a GRANT OPTION when the last privilege beside it is revoked.
    """
    wanted: list[Wanted] = []
    for _ in range(_MOST_ROUNDS):
        before = wanted
        wanted = _wanted_by_policy(auditor, _policy(instance, request))[0]
        if wanted == before or all(item in skipped for item in wanted):
            break
        try:
            if not _round(instance, auditor, request, said, skipped):
                break
        except Refused as error:
            said["notes"].append(error.what)
            break
    return wanted


def _steps(
    instance: Instance, auditor: Auditor, request: Request, skipped: list[Wanted]
) -> tuple[list[Step], list[str]]:
    """The steps of a request, and what a person should know; ``skipped`` takes what the engine cannot do."""
    if request.action == "undo":
        return _undo_steps(instance, request.undo), []
    if request.action == "policy":
        wanted, notes = _wanted_by_policy(auditor, _policy(instance, request))
    else:
        wanted, notes = [(Action(request.action), request.account, dict(request.details))], []
    steps: list[Step] = []
    refused = []
    for item in wanted:
        action, account, details = item
        try:
            steps.extend(auditor.plan(action, account, **details))
        except Refused as error:
            refused.append(f"{_words(item)}: {error.what}")
        except Unsupported as error:
            if request.action != "policy":
                raise
            skipped.append(item)
            notes.append(f"{_words(item)}: not applicable: {error.reason}")
    if refused:
        raise Refused(
            "; ".join(refused),
            where=instance.name,
            remedy="Nothing was done. Change what is asked for, or the policy",
        )
    return steps, notes


def _policy(instance: Instance, request: Request) -> Policy:
    raw = request.policy if request.policy is not None else read_json(Store(instance).policy)
    policy = resolve(raw, instance.name)
    if not policy.given:
        raise InvalidInput("there is no policy to bring it to", where=instance.name, remedy="Declare db_access_policy")
    return policy


def _wanted_by_policy(auditor: Auditor, policy: Policy) -> tuple[list[Wanted], list[str]]:
    """What must go, of what the policy names; and what it names and is not there, which no run of this makes."""
    accounts = {account.name: account for account in auditor.accounts()}
    found: list[Wanted] = []
    notes = []
    gone = set()
    for name, entry in policy.accounts.items():
        account = accounts.get(name)
        if account is None:
            if entry.state == "present" and name != "PUBLIC":
                notes.append(f"the policy names the account {name}, and there is none; it is not made")
        elif entry.state == "absent":
            gone.add(name)
            found.append((Action.DROP, name, {}))
        elif entry.state == "locked" and account.login and not account.locked:
            found.append((Action.LOCK, name, {}))
    kept = {name for name, account in accounts.items() if not account.system and name not in gone}
    memberships = auditor.memberships()
    held = {(item.role, item.member) for item in memberships}
    theirs = (item for item in memberships if item.member not in gone and not of_the_server(item, accounts))
    found.extend(_unwanted_members(theirs, policy))
    notes.extend(
        f"the policy gives {role} to {member}, which does not hold it; it is not granted"
        for role in policy.roles
        for member in policy.holders(role) or ()
        if (role, member) not in held and role in accounts and member in kept
    )
    found.extend(_unwanted_rights(auditor, policy, gone))
    return sorted(found, key=lambda item: (_ORDER.index(item[0]), item[1], sorted(item[2].items()))), notes


def _unwanted_members(memberships: Iterable[Membership], policy: Policy) -> Iterable[Wanted]:
    for item in memberships:
        verdict = judge_member(policy, item)
        if verdict:
            yield Action.REVOKE, item.member, {"role": item.role, **({"admin": True} if verdict == "admin" else {})}


def _unwanted_rights(auditor: Auditor, policy: Policy, gone: set[str]) -> Iterable[Wanted]:
    seen = set()
    for right in unwanted(auditor.rights(), policy):
        # One that comes by a role goes with the role, one that is lent with what lends it; one of an owner, or of
        # default privileges, is for a person. To call a routine that runs as its owner is a right like others.
        if right.account in gone or right.via or right.source not in ("grant", "routine"):
            continue
        wanted = _of_right(right)
        key = (right.account, *sorted(wanted.items()))
        if key not in seen:
            seen.add(key)
            yield Action.REVOKE, right.account, wanted


def _of_right(right: Right) -> dict[str, str]:
    return {"privilege": right.privilege, "kind": right.kind, "object": right.object, "database": right.database}


def _words(wanted: Wanted) -> str:
    action, account, details = wanted
    told = "".join(f" {value}" for name, value in details.items() if value and name != "admin")
    return f"{action} {account}{told}{' with admin option' if details.get('admin') else ''}"


def write_undo(instance: Instance, steps: Sequence[Step], path: str = "") -> str:
    """Write how to undo steps before they are taken, for people and for ``undo``, and return the path of it.

    ``path`` is that of an undo of the first of them, which this one replaces.
    """
    store = Store(instance)
    store.ready()
    name = os.path.basename(path).removesuffix(".sql") or f"undo-{utcnow():%Y%m%dT%H%M%S%fZ}"
    back = [_reversed(step) for step in reversed(steps)]
    write_json(os.path.join(store.directory, f"{name}.json"), plain(back))
    lines = [f"-- Undoes a change of access of {instance.name}. Run each part in the database that stands above it."]
    database = None
    for step in back:
        if step.database != database:
            database = step.database
            lines.append(f"\n-- database: {_remark(database) or 'any'}")
        lines.append(f"-- {_remark(step.what)}")
        if step.irreversible:
            lines.append(f"-- what this cannot bring back: {_remark(step.irreversible)}")
        lines.extend(f"{statement.rstrip(';')};" for statement in step.statements)
    path = os.path.join(store.directory, f"{name}.sql")
    write_text(path, "\n".join(lines) + "\n")
    return path


_BACK = {Action.REVOKE: Action.GRANT, Action.GRANT: Action.REVOKE, Action.DROP: Action.CREATE}


def _reversed(step: Step) -> Step:
    action = _BACK.get(step.action, step.action)
    what = step.what[len("undo: ") :] if step.what.startswith("undo: ") else f"undo: {step.what}"
    return Step(action, step.account, what, step.undo, step.statements, step.database, step.irreversible)


def _undo_steps(instance: Instance, name: str) -> list[Step]:
    store = Store(instance)
    known = [item[: -len(".json")] for item in _listed(store.directory) if item.startswith("undo-")]
    wanted = os.path.basename(name)
    wanted = wanted.removesuffix(".sql")
    if wanted not in known:
        raise InvalidInput(
            f"there is no undo {name!r}", where=instance.name, remedy=f"There are {', '.join(known[-3:]) or 'none'}"
        )
    with open(os.path.join(store.directory, f"{wanted}.json"), encoding="utf-8") as stream:
        return [revived(item) for item in json.load(stream)]


def revived(item: Mapping[str, Any]) -> Step:
    """A step that was written down as plain data."""
    texts = {key: tuple(item[key]) for key in ("statements", "undo")}
    return Step(**{**item, **texts, "action": Action(item["action"])})


def _listed(directory: str) -> list[str]:
    try:
        return sorted(item for item in os.listdir(directory) if item.endswith(".json"))
    except FileNotFoundError:
        return []
