"""What the module db_logs does, an action each. Each returns what the module returns; ``failure`` says why it fails."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .. import config, reports
from ..audit.facts import plain
from ..errors import HoldfastError, InvalidInput, NotInstalled, Unsupported
from ..jobs import summary
from ..model import Instance
from ..units import format_bytes
from . import chain, collect, configure, emergency, fleet, host, purge, relief
from .settings import parse_share, resolve

Prepare = Callable[[Instance], None]
Options = Mapping[str, Any]
Result = dict[str, Any]


def set_up(names: Sequence[str], options: Options, _prepare: Prepare, *, change: bool) -> Result:
    """Bring a host to db_logs."""
    settings = resolve(options["settings"])
    # Rotation of a host is one file, so every instance of it is in it, whichever are named.
    del names
    instances = [config.load(name) for name in config.names()]
    if not instances:
        return _result(changed=False, changes=[], notes=["this host has no instance"])
    made = configure.plan(instances, options["settings"], settings)
    changes = [item.subject for item in made.changes]
    if not change:
        # Check mode installs nothing: what is missing now is there by then.
        made.notes += [str(item) for item in made.failures if item.code == NotInstalled.code]
        made.failures = [item for item in made.failures if item.code != NotInstalled.code]
    if made.failures:
        lines = "; ".join(map(str, made.failures))
        return _result(changed=False, changes=[], notes=made.notes, failure=f"nothing was changed: {lines}")
    if change:
        configure.apply(made, instances)
    return _result(changed=bool(changes), changes=changes, notes=made.notes, diff=made.diff())


def purge_log(names: Sequence[str], options: Options, prepare: Prepare, *, change: bool) -> Result:
    """Have servers remove the log that nobody needs."""
    purged: dict[str, Any] = {}
    notes: list[str] = []
    failures: list[str] = []
    changed = False
    for name in names:
        try:
            request = _request(name, options)
            purged[name] = purge.plan(name, request, prepare)
            if not change or not purge.changes(purged[name]):
                changed = changed or purge.changes(purged[name])
                continue
            record = purge.start(name, request, prepare)
            purged[name] = {**purged[name], **record.get("logs", {})}
            changed = changed or record["result"] == "ok"
            failures += [summary(record)] if record["result"] != "ok" else []
        except Unsupported as error:
            notes.append(f"{name}: {error.what}")
        except HoldfastError as error:
            failures.append(str(error) if name in error.where else f"{name}: {error}")
    texts = [f"{name}:\n{purge.describe(item)}" for name, item in purged.items()]
    changes = [f"{name}: {item}" for name, plan in purged.items() for item in (*plan["files"], *plan["statements"])]
    diff = {"prepared": "\n".join(texts) + "\n"}
    return _result(
        changed=changed, changes=changes, notes=notes, text="\n".join(texts), purged=purged, diff=diff,
        failure="; ".join(failures),
    )  # fmt: skip


def _request(name: str, options: Options) -> purge.Request:
    replicas = [str(item["name"]) for item in options["replicas"] if item.get("replica_of") == name]
    return purge.Request(replicas, [item for item in options["needs"] if item], options["slots"], options["confirm"])


def free(names: Sequence[str], options: Options, prepare: Prepare, *, change: bool) -> Result:
    """Free a disk, least harm first."""
    settings = resolve(options["settings"])
    try:
        share = parse_share(options["free"]) if options["free"] else settings.reserve
    except ValueError as error:
        raise InvalidInput(f"{options['free']!r}: {error}", where="free") from None
    each = {name: replace(_request(name, options), drop=()) for name in names}
    request = relief.Request(share, options["path"] or "", options["aside"], each)
    outcome = relief.run(names, request, prepare, change=change)
    said = outcome.as_dict()
    text = emergency.describe(said["steps"], outcome.goal)
    freed = [step["id"] for step in said["steps"] if step["done"]]
    wanted = [step["id"] for step in said["steps"] if step["bytes"]] if not outcome.reached and not change else freed
    failure = ""
    if change and not outcome.reached:
        now, wished = format_bytes(outcome.after), format_bytes(outcome.goal.wanted)
        failure = f"{now} are free, {wished} are wanted: all that may go has gone"
    return _result(
        changed=bool(wanted), changes=wanted, notes=outcome.notes, text=text, emergency=said,
        diff={"prepared": text + "\n"}, failure=failure,
    )  # fmt: skip


def gather(names: Sequence[str], options: Options, _prepare: Prepare, *, change: bool) -> Result:
    """Copy what is new in audit logs."""
    collected, changes, notes, failures = [], [], [], []
    for name in names:
        try:
            told = host.ask_server(config.load(name))
            source = told.audit()
            files = collect.parts(source.path, source.names)
            directory = collect.directory_of(name)
            known = int((options["known"].get(name) or {}).get("number", 0))
            if not change:
                waiting = collect.pending(directory, files)
                changes += [f"{name}: {format_bytes(waiting)} of {source.path or source.names}"] if waiting else []
                continue
            made = collect.collect(directory, files, forget=known)
            collected.append(_collected(name, directory, known))
            changes += [f"{name}: {chain.place_of(link)}" for link in made.links]
        except Unsupported as error:
            notes.append(f"{name}: {error.what}")
        except HoldfastError as error:
            failures.append(str(error) if name in error.where else f"{name}: {error}")
    return _result(
        changed=bool(changes), changes=changes, notes=notes, collected=collected, failure="; ".join(failures)
    )


def _collected(name: str, directory: str, known: int) -> dict[str, Any]:
    links, _ = chain.read(directory)
    new = chain.unseen(links, known)
    same = next((link["hash"] for link in links if link["number"] == known), "")
    paths = [
        os.path.join(directory, chain.segment_name(link["number"])) for link in new if link["kind"] == chain.SEGMENT
    ]
    return {"instance": name, "links": new, "segments": paths, "at_known": same}


def receive(_names: Sequence[str], options: Options, _prepare: Prepare, *, change: bool) -> Result:
    """Take fetched copies into the chains of the control host."""
    done = [
        fleet.receive(os.path.join(options["directory"], "chain"), item, change=change) for item in options["collected"]
    ]
    findings = [{**plain(item), "instance": entry.instance} for entry in done for item in entry.findings]
    changes = [f"{entry.instance}: {entry.links} links" for entry in done if entry.links]
    notes = [f"{item['instance']}: {item['check']} {item['subject']}: {item['found']}" for item in findings]
    return _result(changed=bool(changes), changes=changes, notes=notes, findings=findings)


def report(_names: Sequence[str], options: Options, _prepare: Prepare, *, change: bool) -> Result:
    """Write the findings of a fleet."""
    files, counts, notes = fleet.make(options["answers"], options["directory"])
    differing = reports.differing(files)
    if change:
        reports.save(differing)
    changes = [file.path for file in differing]
    return _result(
        changed=bool(changes), changes=changes, notes=notes, counts=counts, files=[file.path for file in files]
    )


def _result(**said: Any) -> Result:
    said.setdefault("text", "\n".join([*said["changes"], *said["notes"]]))
    return said


ACTIONS: Mapping[str, Callable[..., Result]] = {
    "configure": set_up,
    "purge": purge_log,
    "emergency": free,
    "collect": gather,
    "receive": receive,
    "report": report,
}
