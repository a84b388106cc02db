"""Which backups stay and which go, decided from their list alone: no repository is touched here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Callable, NamedTuple

from .model import Backup, BackupType, Keep, Retention
from .units import format_duration, format_instant

CLOCK_TOLERANCE = timedelta(seconds=60)

_PERIODS: Mapping[str, Callable[[datetime], tuple[int, ...]]] = {
    "daily": lambda when: (when.year, when.month, when.day),
    "weekly": lambda when: tuple(when.isocalendar())[:2],
    "monthly": lambda when: (when.year, when.month),
    "yearly": lambda when: (when.year,),
}


class Decision(NamedTuple):
    """What happens to a backup, and why."""

    backup: Backup
    reason: str


@dataclass(frozen=True)
class Window:
    """What can be restored: a state between ``oldest`` and ``newest``, and any moment from ``continuous_from`` on.

    ``newest`` is the end of the newest backup; the log goes on from there. Before ``continuous_from`` every backup
    restores to its own end. All are None when nothing can be restored, ``continuous_from`` also when there is no full
    backup to start from.
    """

    oldest: datetime | None
    newest: datetime | None
    continuous_from: datetime | None


@dataclass(frozen=True)
class Plan:
    """The outcome for one repository, oldest backup first.

    Log from before the start of ``oldest_log_of`` can go, save what an older kept backup needs to become consistent.
    """

    keep: tuple[Decision, ...]
    expire: tuple[Decision, ...]
    oldest_log_of: Backup | None
    window_before: Window
    window_after: Window


def plan(
    backups: Sequence[Backup],
    keep: Retention,
    *,
    verified: AbstractSet[str],
    now: datetime,
    damaged: AbstractSet[str] = frozenset(),
    archive: bool = False,
) -> Plan:
    """Decide for every backup of one repository. ``verified`` and ``damaged`` are ids by their newest verification.

    - Age counts from the newest usable backup, so that neither backups that have stopped nor a clock that runs ahead
      cost any history.
    - Days, weeks, months and years are those of UTC. They count when they hold a usable backup.
    - A backup that is unfit for a restore counts for nothing. Nothing goes unless a usable and verified backup that
      stands alone (a full one, for a logical one a logical one) is newer.
    - Full backups inside the log window stay, with the one that the window starts from, which must be verified.
    """
    return _Planner(backups, keep, verified, damaged, now, archive).plan()


class _Planner:
    def __init__(
        self,
        backups: Sequence[Backup],
        keep: Retention,
        verified: AbstractSet[str],
        damaged: AbstractSet[str],
        now: datetime,
        archive: bool,
    ) -> None:
        self.backups = sorted(backups, key=lambda backup: (backup.finished, backup.id))
        self.by_id = {backup.id: backup for backup in self.backups}
        self.keep = keep
        self.verified = verified
        self.damaged = damaged
        self.now = now
        self.archive = archive
        self.usable = [backup for backup in self.backups if self._unfit(backup) is None]
        self.fulls = [backup for backup in self.usable if backup.type is BackupType.FULL]
        self.reference = self.usable[-1].finished if self.usable else now
        self.held: dict[str, str] = {}

    def plan(self) -> Plan:
        base = self._log_base()
        if self._from_the_future():
            newest = self.backups[-1]
            reason = f"the clock is behind backup {newest.id}, so nothing expires"
            self.held = {backup.id: reason for backup in self.backups}
        else:
            self._hold_by_rules()
            self._hold_fulls(base)
            self._hold_without_successor()
            self._hold_needed()
        kept = [backup for backup in self.backups if backup.id in self.held]
        gone = [backup for backup in self.backups if backup.id not in self.held]
        return Plan(
            keep=tuple(Decision(backup, self.held[backup.id]) for backup in kept),
            expire=tuple(Decision(backup, self._why_gone(backup)) for backup in gone),
            oldest_log_of=None if self._from_the_future() else base,
            window_before=self._window(self.backups, base),
            window_after=self._window(kept, base),
        )

    def _unfit(self, backup: Backup) -> str | None:
        """Why a backup cannot be restored; None when it can, as far as anyone knows."""
        needed = backup
        for _ in self.backups:
            if needed.error is not None:
                return needed.error
            if needed.id in self.damaged:
                return f"{needed.id} is damaged"
            if needed.parent is None:
                return None
            parent = self.by_id.get(needed.parent)
            if parent is None:
                return f"{needed.parent}, which it needs, is gone"
            needed = parent
        return "it needs itself"

    def _from_the_future(self) -> bool:
        return bool(self.backups) and self.backups[-1].finished > self.now + CLOCK_TOLERANCE

    def _rule(self, type_: BackupType) -> Keep:
        if self.archive and type_ is BackupType.FULL:
            return self.keep.archive
        rules = {
            BackupType.FULL: self.keep.full,
            BackupType.DIFFERENTIAL: self.keep.differential,
            BackupType.INCREMENTAL: self.keep.incremental,
            BackupType.LOGICAL: self.keep.logical,
        }
        return rules.get(type_, Keep())

    def _hold(self, backup: Backup, reason: str) -> None:
        self.held.setdefault(backup.id, reason)

    def _hold_by_rules(self) -> None:
        for type_ in BackupType:
            rule = self._rule(type_)
            usable = [backup for backup in reversed(self.usable) if backup.type is type_]
            for number, backup in enumerate(usable[: rule.count], 1):
                self._hold(backup, f"number {number} of the newest {rule.count}")
            for name, period in _PERIODS.items():
                self._hold_periods(usable, name, period, getattr(rule, name))
            for backup in self.backups:
                if backup.type is type_ and rule.age is not None and self._age(backup) <= rule.age:
                    self._hold(backup, f"younger than {format_duration(rule.age)}")

    def _hold_periods(
        self, newest_first: Sequence[Backup], name: str, period: Callable[[datetime], tuple[int, ...]], count: int
    ) -> None:
        seen: list[tuple[int, ...]] = []
        for backup in newest_first:
            key = period(backup.finished.astimezone(timezone.utc))
            if key not in seen and len(seen) < count:
                seen.append(key)
                self._hold(backup, f"{name} {len(seen)} of {count}")

    def _hold_fulls(self, base: Backup | None) -> None:
        count = self.keep.minimum_full
        for backup in reversed(self.fulls[-count:] if count else []):
            self._hold(backup, f"one of at least {count} full backups")
        for backup in self.fulls:
            if backup is base:
                self._hold(backup, f"start of the log that is kept {format_duration(self.keep.log)}")
            elif base is not None and backup.finished > base.finished:
                self._hold(backup, f"inside the log that is kept {format_duration(self.keep.log)}")

    def _hold_without_successor(self) -> None:
        """Whatever has no proven successor stays."""
        proven = {item.type: item.finished for item in self.usable if item.id in self.verified}
        for backup in self.backups:
            kind = BackupType.LOGICAL if backup.type is BackupType.LOGICAL else BackupType.FULL
            if kind not in proven or proven[kind] <= backup.finished:
                self._hold(backup, f"no {kind} backup that is verified is newer")

    def _hold_needed(self) -> None:
        for backup in reversed(self.backups):
            child: Backup | None = backup if backup.id in self.held else None
            for _ in self.backups:
                parent = self.by_id.get(child.parent) if child is not None and child.parent is not None else None
                if child is None or parent is None:
                    break
                self._hold(parent, f"{child.id} needs it")
                child = parent

    def _log_base(self) -> Backup | None:
        """The newest verified full backup from before the log window, or else the oldest one of all."""
        start = self.reference - self.keep.log
        before = [backup for backup in self.fulls if backup.finished <= start and backup.id in self.verified]
        return before[-1] if before else (self.fulls[0] if self.fulls else None)

    def _age(self, backup: Backup) -> timedelta:
        return self.reference - backup.finished

    def _why_gone(self, backup: Backup) -> str:
        unfit = self._unfit(backup)
        if unfit is not None:
            return f"unfit for a restore: {unfit}"
        rule = self._rule(backup.type)
        limits = [f"the newest {rule.count}"] if rule.count else []
        limits += [f"{format_duration(rule.age)} of age"] if rule.age is not None else []
        limits += [f"{getattr(rule, name)} {name}" for name in _PERIODS if getattr(rule, name)]
        if not limits:
            return f"no rule keeps {backup.type} backups"
        return f"{format_duration(self._age(backup))} old, outside {' and '.join(limits)}"

    def _window(self, backups: Sequence[Backup], base: Backup | None) -> Window:
        ends = [backup.finished for backup in backups if self._unfit(backup) is None]
        return Window(min(ends, default=None), max(ends, default=None), base.finished if base else None)


def describe(window: Window) -> str:
    """A window in one line, for people."""
    if window.oldest is None:
        return "nothing can be restored"
    text = f"{format_instant(window.oldest)} to {format_instant(window.newest)}"
    if window.continuous_from is None:
        return text
    return f"{text}, any moment from {format_instant(window.continuous_from)} on"
