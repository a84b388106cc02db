"""A patch of one host: fetched whole, installed while the servers run, each server restarted once; or all of it undone.

Everything that can be had is on the host before the first package changes, the versions before too. From then on
nothing needs a network, and every failure leads back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

from ..errors import HoldfastError, PatchFailed, Refused, WindowClosed
from ..units import parse_instant, utcnow
from . import gate, packages
from .apt import Apt, archives
from .journal import Journal
from .packages import Change, Package
from .wish import HALF, NOTHING, PATCHED, PLANNED, UNDONE, UNTOUCHED, Outcome, Wish

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.5


class Server(Protocol):
    """What is asked of :class:`~.member.Member`."""

    name: str
    server: Any

    def look(self, wish: Wish) -> dict[str, Any]: ...  # noqa: D102
    def write_marker(self) -> None: ...  # noqa: D102
    def drain(self, patience: float) -> Any: ...  # noqa: D102
    def undrain(self) -> None: ...  # noqa: D102
    def stop(self) -> None: ...  # noqa: D102
    def start(self, patience: float) -> None: ...  # noqa: D102
    def outdated(self) -> bool: ...  # noqa: D102
    def down(self) -> bool: ...  # noqa: D102


class Deployment:
    """One host, its servers, and what is wanted."""

    def __init__(
        self,
        apt: Apt,
        members: Sequence[Server],
        journal: Journal,
        wish: Wish,
        now: Callable[[], datetime] = utcnow,
        permit: Callable[[], None] = lambda: None,
    ) -> None:
        self.apt = apt
        self.members = members
        self.journal = journal
        self.wish = wish
        self.now = now
        self.permit = permit  # called when nothing stands in the way any more
        self.outcome = Outcome()
        self._before: dict[str, dict[str, Any]] = {}
        self._entry: dict[str, Any] = {}  # of the journal
        self._down: dict[str, float] = {}  # since when a server lets nobody in

    def plan(self) -> Outcome:
        """What would be done. Changes nothing. Raises Refused with everything that stands in the way."""
        known = self.apt.installed()
        due = self._due(known)
        self._holds(known)
        self._before = {member.name: member.look(self.wish) for member in self.members}
        if not due:
            if not self.wish.kinds:
                self._refuse()  # all that is asked is whether the servers may be restarted now
            self.outcome.versions = self._versions()
            return self.outcome
        self.outcome.changes = self.apt.simulate(due)
        self.outcome.result = PLANNED
        sources = self._sources(known)
        touched = {known[item.package].source for item in self.outcome.changes if item.package in known}
        self.outcome.restarts = [name for name, source in sources.items() if source in touched]
        if len(self.outcome.restarts) < len(self.members):
            self.outcome.notes.append("a server that runs on files which are replaced is restarted as well")
        self._refuse()
        return self.outcome

    def run(self) -> Outcome:
        """Do it. Every end is an outcome; its ``error`` is set when it is not what was wanted."""
        try:
            with self.journal.alone():
                self._recover()
                self.apt.refresh()
                self.plan()
                if self.outcome.result == NOTHING:
                    self._hold(self.apt.installed())
                    return self.outcome
                self._carry_out()
        except HoldfastError as error:
            if self.outcome.result in (PLANNED, NOTHING):
                self.outcome.result = UNTOUCHED
            self.outcome.error = error.as_dict()
        return self.outcome

    def _due(self, known: dict[str, Package]) -> dict[str, str]:
        ours, sources = set(self.journal.held()), self._sources(known).values()
        tools = {name for member in self.members for name in member.server.packages()}
        wanted = {}
        for item in self.apt.upgradable():
            kind = packages.kind_of(item.package, known, sources, tools)
            if not item.before or str(kind) not in self.wish.kinds or (self.wish.security and not item.security):
                continue
            if known[item.package].held and item.package not in ours:
                self.outcome.notes.append(f"{item.package} {item.before} is held by somebody else and stays")
                continue
            wanted[item.package] = item.after
        return wanted

    def _sources(self, known: dict[str, Package]) -> dict[str, str]:
        """The source package of each server, by instance."""
        found = {}
        for member in self.members:
            owner = self.apt.owner(member.server.executable())
            if owner in known:
                found[member.name] = known[owner].source
            else:
                self.outcome.notes.append(f"the server of {member.name} came with no package: it is not patched here")
        return found

    def _refuse(self) -> None:
        removed = [item.describe() for item in self.outcome.changes if not item.after]
        found = [f"apt would remove packages: {', '.join(removed)}"] if removed else []
        broken = self.apt.broken()
        if broken:
            found.append(f"dpkg has not finished with {', '.join(broken)}: run `dpkg --configure -a` first")
        for state in self._before.values():
            found += gate.reasons(state, self.wish, self.now())
        if found:
            raise Refused("\n".join(found), remedy="Nothing was changed")

    def _carry_out(self) -> None:
        self.permit()
        self._fetch()
        self._keep_to_windows("nothing was changed")
        for member in self.members:
            member.write_marker()
        self._before = {member.name: member.look(self.wish) for member in self.members}
        self._entry = {
            "began": self.now().isoformat(),
            "changes": [vars(item) for item in self.outcome.changes],
            "restarted": [],
        }
        self.journal.write(self._entry)
        try:
            self._install()
            self._keep_to_windows("the versions before are put back")
            self._restart_outdated()
        except HoldfastError as error:
            log.warning("the patch failed: %s", error)
            self._undo(error)
            return
        except Exception as error:
            log.exception("unexpected error")
            self._undo(HoldfastError(f"unexpected {type(error).__name__}: {error}", remedy="This is a defect"))
            return
        self._hold(self.apt.installed())
        self.journal.clear()
        self.outcome.result = PATCHED
        self.outcome.versions = self._versions()

    def _fetch(self) -> None:
        self.journal.empty()
        self.apt.fetch({item.package: item.after for item in self.outcome.changes}, self.journal.new)
        old = {item.package: item.before for item in self.outcome.changes if item.before}
        kept = self.apt.keep(old, self.journal.old)
        if len(kept) < len(old):
            raise PatchFailed(
                f"only {len(kept)} of the {len(old)} versions before could be kept: there would be no way back",
                remedy="Nothing was changed",
            )
        self._step(f"{len(self.outcome.changes)} packages were fetched, and {len(kept)} versions before were kept")

    def _keep_to_windows(self, consequence: str) -> None:
        closed = [
            state["instance"]
            for state in self._before.values()
            if state.get("closes") and (parse_instant(state["closes"]) or self.now()) <= self.now()
        ]
        if closed:
            raise WindowClosed(
                f"the maintenance window of {', '.join(closed)} ended meanwhile: {consequence}",
                remedy="Begin earlier, or give it a longer window",
            )

    def _install(self) -> None:
        with self.apt.no_restarts():
            self.apt.install(archives(self.journal.new))
        broken = self.apt.broken()
        if broken:
            raise PatchFailed(f"dpkg did not finish with {', '.join(broken)}")
        self._step("the new packages are installed; the servers still run the versions before")

    def _restart_outdated(self) -> None:
        known = self.apt.installed()
        for member in self.members:
            if not member.outdated():
                continue
            self._restart(member)
            owner = known.get(self.apt.owner(member.server.executable()))
            self._verify(member, owner.version if owner else "")
        for member in self.members:
            self._await_replication(member)

    def _restart(self, member: Server) -> None:
        self._entry["restarted"].append(member.name)
        self.journal.write(self._entry)
        self._down.setdefault(member.name, time.monotonic())
        drained = member.drain(self.wish.drain)
        interrupted = f", {drained.interrupted} were interrupted" if drained.interrupted else ""
        self._step(f"{member.name}: {drained.idle} idle sessions ended{interrupted}")
        member.stop()
        member.start(self.wish.patience)
        self._answers(member)

    def _answers(self, member: Server) -> None:
        began = self._down.pop(member.name, None)
        if began is not None:
            self.outcome.seconds_down[member.name] = round(time.monotonic() - began, 3)
            self._step(f"{member.name} answers again, after {self.outcome.seconds_down[member.name]:.1f} s")

    def _verify(self, member: Server, version: str) -> None:
        found = gate.worse(self._before[member.name], member.look(self.wish), version)
        if found:
            raise PatchFailed("; ".join(found), where=member.name)
        self._step(f"{member.name} has its version, its role and its data")

    def _await_replication(self, member: Server) -> None:
        deadline = time.monotonic() + self.wish.patience
        while True:
            found = gate.unattached(self._before[member.name], member.look(self.wish), self.wish)
            if not found:
                return
            if time.monotonic() > deadline:
                raise PatchFailed("; ".join(found), where=member.name)
            time.sleep(_POLL_SECONDS)

    def _undo(self, error: HoldfastError) -> None:
        """Bring the versions before back, and every server with them."""
        self.outcome.error = error.as_dict()
        try:
            self._put_back(self._entry["restarted"])
        except HoldfastError as second:
            self._give_up(error, second.what)
            return
        except Exception as second:
            log.exception("unexpected error")
            self._give_up(error, f"unexpected {type(second).__name__}: {second}")
            return
        self.outcome.result = UNDONE
        self.outcome.versions = self._versions()

    def _give_up(self, error: HoldfastError, second: str) -> None:
        self.outcome.result = HALF
        self.outcome.error = PatchFailed(
            f"{error.what}. Then putting the versions before back failed: {second}",
            where=error.where,
            remedy=f"Install the packages in {self.journal.old} with dpkg --install, start the server, and run"
            " patch.yml again",
        ).as_dict()

    def _put_back(self, restarted: Sequence[str]) -> None:
        added = [item.package for item in self.outcome.changes if not item.before]
        with self.apt.no_restarts():
            self.apt.put_back(archives(self.journal.old), added)
        broken = self.apt.broken()
        if broken:
            raise PatchFailed(f"dpkg did not finish with {', '.join(broken)}")
        self._step("the versions before are installed again")
        for member in self.members:
            if member.name in restarted or member.down():
                member.stop()
                member.start(self.wish.patience)
                self._step(f"{member.name} was started with the version before")
            else:
                # It runs on the files of before. What replaced them is the same.
                member.undrain()
            self._answers(member)
        self._hold(self.apt.installed())
        self.journal.clear()

    def _recover(self) -> None:
        """Undo what a run that was killed has begun."""
        entry = self.journal.read()
        if entry is None:
            return
        self.outcome.changes = [Change(**{**item, "origins": tuple(item["origins"])}) for item in entry["changes"]]
        self._step(f"a patch that began at {entry['began']} was killed before its end: it is undone first")
        self._put_back(entry["restarted"])
        self.outcome.changes = []

    def _hold(self, known: dict[str, Package]) -> None:
        """Hold the packages of the servers, or no longer; what somebody else holds is none of ours."""
        held, released = self._holds(known)
        self.apt.release(released)
        # dpkg forgets a hold when it installs.
        self.apt.hold(held)
        self.journal.hold(held)

    def _holds(self, known: dict[str, Package]) -> tuple[list[str], list[str]]:
        """The packages to hold, and those to hold no longer."""
        sources, ours = set(self._sources(known).values()), set(self.journal.held())
        wanted = {item.name for item in known.values() if item.source in sources} if self.wish.hold else set()
        held = wanted - ({item.name for item in known.values() if item.held} - ours)
        released = (ours - held) & set(known)
        fresh = sorted(held - ours)
        self.outcome.holds = [f"{', '.join(fresh)}: held"] if fresh else []
        self.outcome.holds += [f"{', '.join(sorted(released))}: no longer held"] if released else []
        return sorted(held), sorted(released)

    def _versions(self) -> dict[str, str]:
        return {member.name: member.look(self.wish).get("version", "") for member in self.members}

    def _step(self, text: str) -> None:
        log.info("%s", text)
        self.outcome.steps.append(text)
