"""From inventory, answers and earlier answers to the files of the plan."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from shlex import quote
from typing import Any

from .. import reports
from ..errors import HoldfastError
from ..files import File
from . import build, facts, revision
from .commands import Commands
from .context import Context

NAME = "disaster-recovery-plan"
GATHERED = "gathered.json"
_HUMAN = {"db_plan": "plan", "db_contacts": "contacts", "db_sites": "sites"}


@dataclass(frozen=True)
class Made:
    """A plan that is not written yet, with what a person should know of it."""

    files: list[File]
    gaps: list[str]
    order: list[list[str]]
    review_due: str
    notes: list[str]


def plan(
    inventory: facts.Facts,
    *,
    human: Mapping[str, Any],
    answers: Mapping[str, Mapping[str, Any]],
    sources: Sequence[str],
    directory: str,
    drills: str = "",
    project: str = "",
) -> Made:
    """Make the plan. ``inventory`` is what ``facts.of_inventory`` says; the others are the options of db_dr_plan."""
    rendered = {key: human[name] for name, key in _HUMAN.items() if human.get(name)}
    everything = {**inventory, **rendered}
    gathered = _read(os.path.join(directory, GATHERED))
    now = _answered(everything["instances"], answers)
    known = {**gathered, **now}
    names = [item["name"] for item in everything["instances"]]
    context = Context(
        facts=everything,
        told={name: known[name] for name in names if name in known},
        earlier={name: known[name].get("checked") or "" for name in names if name in known and name not in now},
        drills=facts.read_drills(drills),
        commands=Commands(" -i ".join(quote(_relative(path, project)) for path in sources)),
        revision=revision.of(sources),
    )
    document = build.build(context)
    wanted = reports.both_forms(directory, NAME, document)
    if now:
        wanted.append(reports.data(os.path.join(directory, GATHERED), known))
    due = context.review_due
    return Made(
        files=wanted,
        gaps=build.gaps(document),
        order=everything["order"],
        review_due=due.isoformat() if due else "",
        notes=_notes(context, date.today()),  # noqa: DTZ011 - a day, as the people of a place write it
    )


def _answered(instances: Sequence[facts.Facts], answers: Mapping[str, Mapping[str, Any]]) -> dict[str, facts.Facts]:
    found: dict[str, facts.Facts] = {}
    for host, answer in answers.items():
        found.update(facts.of_host(answer, [item for item in instances if item["host"] == host]))
    return found


def _notes(context: Context, today: date) -> list[str]:
    notes = []
    due = context.review_due
    if due is None:
        notes.append("the plan was never reviewed: db_plan.reviewed is empty")
    elif due <= today:
        notes.append(f"the yearly review of the plan was due on {due}: set db_plan.reviewed after it")
    if context.earlier:
        names = ", ".join(sorted(context.earlier))
        notes.append(f"{names}: the host did not answer, the plan says what it told earlier")
    silent = [item["name"] for item in context.instances if item["name"] not in context.told]
    if silent:
        notes.append(f"{', '.join(silent)}: no host has told of it, so nothing measured is in the plan")
    return notes


def _read(path: str) -> dict[str, facts.Facts]:
    try:
        with open(path, encoding="utf-8") as stream:
            value = json.load(stream)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise HoldfastError(
            f"cannot be read: {error}", where=path, remedy="Remove it; the hosts tell it anew"
        ) from None
    return value if isinstance(value, dict) else {}


def _relative(path: str, project: str) -> str:
    absolute = os.path.abspath(path)
    inside = project and not os.path.relpath(absolute, project).startswith("..")
    return os.path.relpath(absolute, project) if inside else absolute
