"""The record of a disaster drill: what was rehearsed, how long it took, whether it passed, and what proves it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from . import __version__
from .errors import InvalidInput
from .units import format_bytes, format_duration, format_instant, parse_instant

PHASES = ("declare", "provision", "restore", "recover", "validate")
WINDOW = timedelta(days=365)
LEAST_SUCCESS = 0.95  # a lower rate over the last twelve months is a finding
DEFECT_DUE = timedelta(days=30)
INTERVAL = timedelta(days=365)

Drill = dict[str, Any]


def build(facts: Mapping[str, Any], earlier: Sequence[Drill] = ()) -> Drill:
    """The record of one drill from what was measured.

    ``facts`` has ``id``, ``scenario``, ``scope``, ``participants``, ``target_time`` (the moment to recover to),
    ``phases`` (``name``, ``started``, ``finished``), ``records`` (those of the restores, as hosts wrote them),
    ``measured`` (by instance, what was measured beside a record: targets, ``rpo_seconds``, ``tables``, ``rows``),
    ``expected`` (names of the instances in scope), ``defects`` (``what``, ``owner``, ``due``), ``evidence``
    (``name``, ``sha256``), ``sign_off`` (roles), ``interval_days`` and ``revision``. ``earlier`` are the drills before.
    Phases that are not given are read from the records. RTO achieved runs from the declaration to the end of the
    restore of the instance. Raises InvalidInput.
    """
    phases = [_phase(item) for item in (*facts["phases"], *phases_of(facts["records"], facts["phases"]))]
    if not phases:
        raise InvalidInput("a drill has at least one phase", where="phases", remedy=f"Phases are {', '.join(PHASES)}")
    began, ended = phases[0]["started"], max(item["finished"] for item in phases)
    beside = facts.get("measured") or {}
    instances = [_instance(record, beside.get(record["instance"], {}), began) for record in facts["records"]]
    missing = [name for name in facts.get("expected", ()) if name not in {item["instance"] for item in instances}]
    criteria = _criteria(instances, missing)
    passed = all(item["met"] for item in criteria)
    drill: Drill = {
        "id": facts["id"],
        "scenario": facts["scenario"],
        "scope": facts["scope"],
        "participants": list(facts.get("participants", ())),
        "target_time": facts.get("target_time") or None,
        "started": began,
        "finished": ended,
        "seconds": _seconds(began, ended),
        "phases": phases,
        "instances": instances,
        "criteria": criteria,
        "result": "passed" if passed else "failed",
        "defects": [*map(_defect, facts.get("defects", ())), *_found_defects(criteria, ended)],
        "evidence": [*facts.get("evidence", ()), *_record_hashes(facts["records"])],
        "sign_off": list(facts.get("sign_off", ())),
        "next": _day(ended, timedelta(days=int(facts.get("interval_days") or INTERVAL.days))),
        "revision": facts.get("revision", ""),
        "version": __version__,
    }
    drill["success"] = success([*earlier, drill], ended)
    return drill


def phases_of(records: Sequence[Mapping[str, Any]], given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Restore, recover and validate as the records of restores tell them, where they are not given.

    Data are read back until the first of a record's phases ends, recovered until the server answers, and validated
    until the record is finished; a phase of the drill is over when it is for the last instance.
    """
    ends: dict[str, list[datetime]] = {"restore": [], "recover": [], "validate": []}
    for record in records:
        measured = record.get(record.get("job", "")) or {}
        started, took = _instant(record["started"]), measured.get("rto_seconds")
        if took is None:
            continue
        first = next(iter((measured.get("phases") or {}).values()), took)
        ends["restore"].append(started + timedelta(seconds=min(first, took)))
        ends["recover"].append(started + timedelta(seconds=took))
        ends["validate"].append(_instant(record["finished"]))
    known = {item.get("name") for item in given}
    if not ends["restore"]:
        return []
    begins = min(_instant(record["started"]) for record in records)
    found = []
    for name, moments in ends.items():
        if name not in known:
            found.append({"name": name, "started": format_instant(begins), "finished": format_instant(max(moments))})
        begins = max(begins, min(moments))
    return found


def success(drills: Sequence[Drill], now: str) -> dict[str, Any]:
    """How many of the drills of the twelve months before ``now`` passed, and the finding if these are too few."""
    moment = _instant(now)
    recent = {drill["id"]: drill for drill in drills if timedelta(0) <= moment - _instant(drill["finished"]) <= WINDOW}
    passed = sum(drill["result"] == "passed" for drill in recent.values())
    rate = passed / len(recent) if recent else None
    found: dict[str, Any] = {"drills": len(recent), "passed": passed, "rate": rate, "finding": None}
    if rate is None:
        found["finding"] = "no drill in the last twelve months"
    elif rate < LEAST_SUCCESS:
        found["finding"] = (
            f"{rate:.1%} of the drills of the last twelve months passed; at least {LEAST_SUCCESS:.0%} must"
        )
    return found


def canonical(value: object) -> bytes:
    """The one form of JSON data that hashes are taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str).encode()


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def hashes(paths: Sequence[str]) -> list[dict[str, str]]:
    """Name and hash of each file. Raises InvalidInput for one that cannot be read."""
    found = []
    for path in paths:
        hasher = hashlib.sha256()
        try:
            with open(path, "rb") as stream:
                for chunk in iter(lambda: stream.read(1 << 20), b""):
                    hasher.update(chunk)
        except OSError as error:
            raise InvalidInput(f"evidence cannot be read: {error.strerror}", where=path) from None
        found.append({"name": os.path.basename(path), "sha256": hasher.hexdigest()})
    return found


def _phase(raw: Mapping[str, Any]) -> dict[str, Any]:
    name = raw.get("name")
    if name not in PHASES:
        raise InvalidInput(f"unknown phase {name!r}", where="phases", remedy=f"Phases are {', '.join(PHASES)}")
    started, finished = _utc(raw.get("started"), f"phase {name}"), _utc(raw.get("finished"), f"phase {name}")
    return {"name": name, "started": started, "finished": finished, "seconds": _seconds(started, finished)}


def _instance(record: Mapping[str, Any], beside: Mapping[str, Any], declared: str) -> dict[str, Any]:
    measured = {**(record.get(record.get("job", "")) or {}), **beside}
    backup = measured.get("backup") or {}
    size, took = measured.get("size_bytes"), measured.get("rto_seconds")
    check = measured.get("check") or {}
    finished = measured.get("backup_finished") or backup.get("finished")
    return {
        "instance": record["instance"],
        "host": record.get("host", ""),
        "result": record["result"],
        "error": (record.get("error") or {}).get("what"),
        "backup_id": measured.get("backup_id") or backup.get("id"),
        "backup_type": measured.get("backup_type") or backup.get("type"),
        "repository": measured.get("repository"),
        "backup_age_seconds": _seconds(finished, declared) if finished else None,
        "size_bytes": size,
        "bytes_per_second": round(size / took) if size and took else None,
        "restore_started": record["started"],
        "restore_finished": record["finished"],
        "restore_seconds": took,
        "phases": dict(measured.get("phases") or {}),
        "rto_seconds": _seconds(declared, record["finished"]) if took is not None else None,
        "rto_target_seconds": measured.get("rto_target_seconds"),
        "rpo_seconds": measured.get("rpo_seconds"),
        "rpo_target_seconds": measured.get("rpo_target_seconds"),
        "reached": measured.get("reached"),
        "checker": check.get("checker"),
        "checked_objects": check.get("objects"),
        "check_problems": check.get("problems"),
        "tables": measured.get("tables"),
        "rows": measured.get("rows"),
        "validation": list(measured.get("validation") or ()),
        "configuration": measured.get("configuration"),
    }


def _criteria(instances: Sequence[Mapping[str, Any]], missing: Sequence[str]) -> list[dict[str, Any]]:
    failed = [f"{item['instance']}: {item['error']}" for item in instances if item["result"] != "ok"]
    absent = [f"{name}: was not restored" for name in missing]
    late = [text for item in instances for text in _missed(item, "rto")]
    lost = [text for item in instances for text in _missed(item, "rpo")]
    unchecked = [f"{item['instance']}: no checker ran" for item in instances if item["check_problems"] is None]
    damaged = [
        f"{item['instance']}: {item['check_problems']} problems found" for item in instances if item["check_problems"]
    ]
    empty = [f"{item['instance']}: nothing was counted" for item in instances if not item["tables"]]
    wrong = [
        f"{item['instance']}: {query['name']}: {query.get('found')!r}, not {query.get('expected')!r}"
        for item in instances
        for query in item["validation"]
        if not query.get("ok")
    ]
    return [
        _criterion("Every instance in scope was restored from a real backup", [*absent, *failed]),
        _criterion("Every instance was back within its RTO, from the declaration on", late),
        _criterion("No instance lost more than its RPO", lost),
        _criterion("The engine's own checker found nothing wrong", [*unchecked, *damaged]),
        _criterion("Tables and rows came back and were counted", empty),
        _criterion("The validation queries of the users gave what they should", wrong),
    ]


def _criterion(text: str, against: Sequence[str]) -> dict[str, Any]:
    return {"criterion": text, "met": not against, "against": list(against)}


def _missed(item: Mapping[str, Any], objective: str) -> list[str]:
    achieved, target = item[f"{objective}_seconds"], item[f"{objective}_target_seconds"]
    if achieved is None or target is None:
        return [f"{item['instance']}: not measured"]
    if achieved <= target:
        return []
    return [f"{item['instance']}: {_time(achieved)}, target {_time(target)}"]


def _defect(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {"what": str(raw["what"]), "owner": raw.get("owner") or None, "due": raw.get("due") or None}


def _found_defects(criteria: Sequence[Mapping[str, Any]], ended: str) -> list[dict[str, Any]]:
    due = _day(ended, DEFECT_DUE)
    return [{"what": text, "owner": None, "due": due} for item in criteria for text in item["against"]]


def _record_hashes(records: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    return [
        {"name": f"record {record.get('id', '')} of {record['instance']}", "sha256": digest(canonical(record))}
        for record in records
    ]


def _utc(text: object, where: str) -> str:
    try:
        moment = parse_instant(text) if isinstance(text, str) else None
    except ValueError:
        moment = None
    if moment is None:
        raise InvalidInput(f"not an instant: {text!r}", where=where, remedy="Give ISO 8601 with a time zone")
    return str(format_instant(moment))


def _instant(text: str) -> datetime:
    moment = parse_instant(text)
    assert moment is not None
    return moment


def _seconds(started: str, finished: str) -> float:
    return round((_instant(finished) - _instant(started)).total_seconds(), 1)


def _day(start: str, after: timedelta) -> str:
    return (_instant(start) + after).date().isoformat()


def _time(seconds: float) -> str:
    return format_duration(timedelta(seconds=seconds))


def throughput(item: Mapping[str, Any]) -> str:
    """Size and speed of a restore in words."""
    speed = item["bytes_per_second"]
    return f"{format_bytes(item['size_bytes'])}" + (f" at {format_bytes(speed)}/s" if speed else "")
