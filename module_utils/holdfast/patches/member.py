"""One instance on the host that is patched: what it says of itself, and its server's end and beginning."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from .. import config, guard, pair, process
from ..adapters import Adapters
from ..engines import registry
from ..engines.patching import Drained
from ..engines.replication import Peer
from ..errors import HoldfastError, RestartRequired
from ..history import History
from ..model import Instance, Job
from ..owner import run_as_owner
from ..records import Records
from ..units import format_instant
from ..windows import Work
from .wish import Wish

_REPLACED = re.compile(r" (/(?:usr|lib|opt)[^\n]*) \(deleted\)$", re.MULTILINE)
_BACKUPS = (Job.FULL, Job.DIFFERENTIAL, Job.INCREMENTAL, Job.ARCHIVE)
_PROOFS = (Job.VERIFY, Job.RESTORE_TEST)


class Member:
    """An instance of this host, seen by root."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.instance = config.load(name)
        self.server = registry.maintained(self.instance)

    def look(self, wish: Wish) -> dict[str, Any]:
        """Everything that gates ask of it. Never raises what can be told."""
        found: dict[str, Any] = run_as_owner(self.instance, partial(_look, self.name, wish))
        return found

    def write_marker(self) -> None:
        """Leave a row that must be there afterwards; a replica gets that of its primary."""
        run_as_owner(self.instance, partial(_write_marker, self.name))

    def drain(self, patience: float) -> Drained:
        """Let nobody new in and wait for those who work."""
        found = run_as_owner(self.instance, partial(_drain, self.name, patience))
        return Drained(**found)

    def undrain(self) -> None:
        """Let everybody in again, where the server was not stopped."""
        run_as_owner(self.instance, partial(_undrain, self.name))

    def stop(self) -> None:
        """Stop the server."""
        self.server.stop()

    def start(self, patience: float) -> None:
        """Start it and wait until it answers."""
        self.server.start(patience)

    def outdated(self) -> bool:
        """Whether the server runs on files that were replaced since it started, or does not run at all."""
        pid = self._pid()
        if not pid:
            return True
        try:
            with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as stream:
                return bool(_REPLACED.search(stream.read()))
        except FileNotFoundError:
            return True

    def down(self) -> bool:
        """Whether the server does not run."""
        return not self._pid()

    def use(self, wish: Wish, record: dict[str, Any]) -> None:
        """Put the override of windows in force, on record, if it is needed."""
        if wish.override:
            record.update(run_as_owner(self.instance, partial(_use, self.name, wish, record)))

    def _pid(self) -> int:
        unit = registry.adapters(self.instance.engine).engine()(self.instance).place().service
        if unit is None:
            raise RestartRequired(
                "no systemd service is known for this server",
                where=self.name,
                remedy="A server that somebody started by hand cannot be patched: have its service start it",
            )
        shown = process.run(["systemctl", "show", "--property=MainPID", "--value", unit]).check().stdout
        return int(shown.strip() or 0)


def _look(name: str, wish: Wish) -> dict[str, Any]:
    instance = config.load(name)
    judged = guard.judge(instance, Work.RESTART, wish.override)
    history = History.read(Records(instance))
    known = pair.read(instance)
    found: dict[str, Any] = {
        "instance": name,
        "engine": instance.engine,
        "window_problem": judged.problem,
        "closes": format_instant(judged.closes),
        "fenced": known.fenced if known else "",
        "running": [record["job"] for record in Records(instance).running() if record["job"] != str(Job.PATCH)],
        "backup": _newest(history, _BACKUPS),
        "verified": _newest(history, _PROOFS),
        "damaged": sorted(history.damaged(instance.primary_repository.name)),
        "error": "",
    }
    try:
        found.update(_ask(instance, known, wish))
    except HoldfastError as error:
        found["error"] = error.what
    return found


def _newest(history: History, jobs: Sequence[Job]) -> str | None:
    return max((record["finished"] for job, record in history.last_ok.items() if job in map(str, jobs)), default=None)


def _ask(instance: Instance, known: pair.Pair | None, wish: Wish) -> dict[str, Any]:
    with Adapters(instance) as adapters:
        engine = adapters.engine
        info, marker = engine.inspect(), engine.newest_marker()
        found: dict[str, Any] = {
            "version": info.version,
            "role": info.role,
            "tables": sorted(engine.tables()),
            "marker": marker.id if marker else None,
            "checks": {label: engine.query(statement, base) for label, statement, base in _checks(instance, wish)},
            "long": list(registry.maintained(instance).long_transactions(wish.longest_transaction)),
            "streaming": False,
            "lag_seconds": None,
            "problem": "",
            "replicas": [],
        }
    server = registry.replication(instance, known.peer if known else Peer("", "", 0))
    try:
        state = server.state()
    finally:
        server.close()
    found.update(streaming=state.streaming, lag_seconds=state.lag_seconds, problem=state.problem)
    return dict(found, replicas=list(state.replicas))


def _checks(instance: Instance, wish: Wish) -> list[tuple[str, str, str | None]]:
    mine = [item for item in wish.checks if item["instance"] == instance.name]
    return [(str(item["name"]), str(item["statement"]), item.get("database") or None) for item in mine]


def _write_marker(name: str) -> None:
    with Adapters(config.load(name)) as adapters:
        adapters.engine.write_marker()


def _drain(name: str, patience: float) -> Mapping[str, int]:
    return vars(registry.maintained(config.load(name)).drain(patience))


def _undrain(name: str) -> None:
    registry.maintained(config.load(name)).undrain()


def _use(name: str, wish: Wish, record: dict[str, Any]) -> dict[str, Any]:
    guard.use(config.load(name), Work.RESTART, wish.override, record)
    return record


def state_directory() -> str:
    """Where this host keeps what a patch needs to find its way back."""
    return os.path.join(config.STATE, "patching")
