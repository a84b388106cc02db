"""Service levels: the schedule that follows from objectives, and the refusal of objectives that it cannot meet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from . import schedule
from .engines.catalog import ENGINES, EngineFacts, supported
from .model import BackupType, Job, Keep, Retention, ServiceLevel
from .units import format_duration
from .validation import Checker, Path

DEFAULT_LEVEL = "standard"
# A level of the inventory replaces the one of the same name as a whole.
DEFAULT_LEVELS: Mapping[str, Mapping[str, Any]] = {
    "standard": {
        "rpo": "15m",
        "rto": "1h",
        "full": "0 1 * * *",
        "incremental": "0 * * * *",
        "log": "continuous",
        "archive": "0 3 * * 0",
        "keep": {"full": "7d", "incremental": "2d", "log": "7d", "archive": "52w", "minimum_full": 2},
        "restore_test": "weekly",
    },
    "critical": {
        "rpo": "5m",
        "rto": "30m",
        "full": "0 1 * * *",
        "incremental": "0 * * * *",
        "log": "continuous",
        "archive": "0 3 * * *",
        "keep": {
            "full": "14d",
            "incremental": "3d",
            "log": "14d",
            "archive": {"daily": 14, "weekly": 8, "monthly": 12, "yearly": 7},
            "minimum_full": 3,
        },
        "restore_test": "daily",
    },
    "development": {
        "rpo": "26h",  # a day between backups, and the time that one takes
        "rto": "4h",
        "full": "0 2 * * 0",
        "incremental": "0 2 * * 1-6",
        "log": "none",
        "keep": {"full": "14d", "incremental": "7d", "minimum_full": 1},
        "restore_test": "monthly",
    },
}

SHORTEST_LOG_INTERVAL = timedelta(minutes=1)
LONGEST_LOG_INTERVAL = timedelta(minutes=15)

_AFTER_QUIET_HOURS = range(schedule.QUIET_HOURS.stop, schedule.QUIET_HOURS.stop + 1)

# The order is that of documentation and messages.
_SCHEDULED = (Job.FULL, Job.DIFFERENTIAL, Job.INCREMENTAL, Job.LOGICAL, Job.ARCHIVE)
_UPKEEP: Mapping[Job, str] = {
    Job.VERIFY: "daily",
    Job.EXPIRE: "daily",
    Job.RESTORE_TEST: "weekly",
    Job.ACCESS_AUDIT: "daily",
}
_OPTIONAL = (Job.RESTORE_TEST, Job.ACCESS_AUDIT)
_PHYSICAL = (Job.FULL, Job.DIFFERENTIAL, Job.INCREMENTAL)
_KEEP_KEYS = ("full", "differential", "incremental", "log", "logical", "archive", "minimum_full")
_GFS = {"daily": 1, "weekly": 7, "monthly": 31, "yearly": 366}
_MOST = 9999  # backups that a count keeps
_LEVEL_KEYS = ("rpo", "rto", *map(str, _SCHEDULED), "log", "keep", *map(str, _UPKEEP))
_CRON_VALID = f"{schedule.CRON_FORM}, or one of {', '.join(schedule.WORDS)}"


@dataclass
class Level:
    """A service level as it was written, as far as it could be read: schedules may still be words."""

    name: str
    rpo: timedelta | None = None
    rto: timedelta | None = None
    log: bool | None = None  # whether the log is backed up; None when a template decides
    jobs: dict[Job, str] = field(default_factory=dict)
    keep: dict[str, Keep] = field(default_factory=dict)
    keep_log: timedelta | None = None
    minimum_full: int = 2
    templated: bool = False  # a template on the way means that not everything can be judged yet

    def gap(self, *jobs: Job) -> timedelta | None:
        """The longest time between two runs of any of these jobs; None when none of them runs."""
        found = [_cron(self.jobs[job], self.name, job) for job in jobs if job in self.jobs]
        return schedule.longest_gap(*found) if found else None

    def lifetime(self, kind: str) -> timedelta | None:
        """How long a backup of this kind is kept at most; None when that is not known."""
        keep, gap = self.keep.get(kind), self.gap(Job(kind))
        if keep is None or gap is None:
            return None
        count = max(keep.count, self.minimum_full if kind == "full" else 0)
        rules = [keep.age or timedelta(0), count * gap]
        rules += [timedelta(days=days) * int(getattr(keep, name)) for name, days in _GFS.items()]
        return max(rules)

    def crons(self, name: str) -> dict[Job, schedule.Cron]:
        """The schedule of one instance, less its log."""
        return {job: _cron(text, name, job) for job, text in self.jobs.items()}

    def for_instance(self, name: str) -> ServiceLevel:
        """The level of one instance, with every schedule as a cron expression. Call it when nothing was found wrong."""
        rpo, rto = self.rpo or timedelta(0), self.rto or timedelta(0)
        jobs = {job: str(cron) for job, cron in self.crons(name).items()}
        interval = log_interval(rpo) if self.log else None
        if interval:
            jobs[Job.LOG] = str(schedule.every(int(interval.total_seconds()) // 60))
        nothing = Keep()
        retention = Retention(
            full=self.keep["full"],
            differential=self.keep.get("differential", nothing),
            incremental=self.keep.get("incremental", nothing),
            log=self.keep_log or timedelta(0),
            logical=self.keep.get("logical", nothing),
            archive=self.keep.get("archive", nothing),
            minimum_full=self.minimum_full,
        )
        return ServiceLevel(self.name, rpo, rto, retention, jobs, interval)


def log_interval(rpo: timedelta) -> timedelta:
    """How often the log is saved to serve an RPO: a fifth of it, in whole minutes, so that four misses are survived."""
    minutes = timedelta(minutes=int(rpo.total_seconds() / 5) // 60)
    return min(max(minutes, SHORTEST_LOG_INTERVAL), LONGEST_LOG_INTERVAL)


def read_level(name: str, raw: object, check: Checker, path: Path) -> Level:
    """Read a level and note everything that is wrong with it, objectives that its schedule cannot meet included."""
    level = Level(name)
    before = len(check.issues)
    given = check.mapping(path, raw, _LEVEL_KEYS, ("rpo", "rto", "full", "keep"))
    if given is None:
        level.templated = True
        return level
    level.templated = any(check.is_template(value) for value in given.values())
    if "rpo" in given:
        level.rpo = check.duration((*path, "rpo"), given["rpo"])
    if "rto" in given:
        level.rto = check.duration((*path, "rto"), given["rto"])
    log = check.choice((*path, "log"), given.get("log", "none"), ("continuous", "none"), "kind of log backup")
    level.log = None if log is None else log == "continuous"
    _read_jobs(level, given, check, path)
    if "keep" in given:
        _read_keep(level, given["keep"], check, (*path, "keep"))
    if len(check.issues) == before and not level.templated:
        _check_rpo(level, level.rpo or timedelta(0), check, path)
        _check_retention(level, check, (*path, "keep"))
    return level


def _read_jobs(level: Level, given: Mapping[str, Any], check: Checker, path: Path) -> None:
    for job in (*_SCHEDULED, *_UPKEEP):
        text = given.get(str(job), _UPKEEP.get(job))
        if text is None or (job in _OPTIONAL and text == "never"):
            continue
        valid = _CRON_VALID + (", or never" if job in _OPTIONAL else "")
        if check.parsed((*path, str(job)), text, partial(_cron, name=level.name, job=job), valid=valid):
            level.jobs[job] = str(text)


def _cron(text: object, name: str, job: Job) -> schedule.Cron:
    # Nothing expires that was not verified, so it goes after the hours in which verification falls.
    hours = _AFTER_QUIET_HOURS if job is Job.EXPIRE else schedule.QUIET_HOURS
    return schedule.resolve(text, name, str(job), hours)


def _read_keep(level: Level, raw: object, check: Checker, path: Path) -> None:
    given = check.mapping(path, raw, _KEEP_KEYS, ("full",))
    if given is None:
        return
    level.templated = level.templated or any(check.is_template(value) for value in given.values())
    for kind, value in given.items():
        if kind == "log":
            level.keep_log = check.duration((*path, kind), value)
        elif kind == "minimum_full":
            level.minimum_full = check.whole((*path, kind), value, 1, _MOST) or level.minimum_full
        elif kind in _KEEP_KEYS:
            keep = _read_rule(kind, value, check, (*path, kind))
            if keep is not None:
                level.keep[kind] = keep
            level.templated = level.templated or (keep is None and isinstance(value, Mapping))


def _read_rule(kind: str, value: object, check: Checker, path: Path) -> Keep | None:
    known = ("count", "age", *(_GFS if kind == "archive" else ()))
    if check.is_template(value):
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        count = check.whole(path, value, 1, _MOST)
        return None if count is None else Keep(count=count)
    if not isinstance(value, Mapping):
        age = check.duration(path, value) if isinstance(value, str) else None
        if age is None and not isinstance(value, str):
            check.note(path, value, "is not valid", f"an age such as 7d, a count such as 3, or keys {', '.join(known)}")
        return None if age is None else Keep(age=age)
    before = len(check.issues)
    rule = check.mapping(path, value, known) or {}
    if not rule:
        check.note(path, value, "keeps nothing", f"at least one of {', '.join(known)}")
    found: dict[str, Any] = {}
    for name in known:
        if name in rule:
            where = (*path, name)
            found[name] = (
                check.duration(where, rule[name]) if name == "age" else check.whole(where, rule[name], 1, _MOST)
            )
    complete = len(check.issues) == before and None not in found.values()
    return Keep(**found) if complete else None


def _check_rpo(level: Level, rpo: timedelta, check: Checker, path: Path) -> None:
    where, text = (*path, "rpo"), format_duration(rpo)
    if level.log:
        facts = min((ENGINES[name] for name in supported()), key=lambda facts: facts.smallest_rpo)
        if rpo < facts.smallest_rpo:
            interval = format_duration(facts.log_interval)
            check.note(
                where,
                text,
                f"cannot be met: the log is saved at most every {interval} and then uploaded",
                f"{format_duration(facts.smallest_rpo)} or more",
            )
        return
    gap = level.gap(*_PHYSICAL)
    if gap is not None and gap > rpo:
        check.note(
            where,
            text,
            f"cannot be met: up to {format_duration(gap)} pass between two backups and the log is not backed up",
            f"log: continuous, more frequent backups, or an RPO of {format_duration(gap)} or more",
        )


def _check_retention(level: Level, check: Checker, path: Path) -> None:
    for job in _SCHEDULED:
        _check_kept(level, job, check, (*path, str(job)))
    full = level.lifetime("full")
    if full is None:
        return
    for kind in ("differential", "incremental"):
        lifetime = level.lifetime(kind)
        if lifetime is not None and lifetime > full:
            check.note(
                (*path, kind),
                format_duration(lifetime),
                f"is longer than the full backups it needs are kept ({format_duration(full)})",
                f"at most {format_duration(full)}, or a longer keep.full",
            )
    if level.log and level.keep_log is None:
        check.note((*path, "log"), None, "is missing: the log is backed up", "a duration such as 7d")
    elif not level.log and level.keep_log is not None:
        check.note(
            (*path, "log"), format_duration(level.keep_log), "keeps a log that is not backed up", "log: continuous"
        )
    elif level.keep_log is not None and level.keep_log > full:
        check.note(
            (*path, "log"),
            format_duration(level.keep_log),
            f"has no full backup to start from: they are kept {format_duration(full)}",
            f"at most {format_duration(full)}, or a longer keep.full",
        )


def _check_kept(level: Level, job: Job, check: Checker, path: Path) -> None:
    if job not in level.jobs:
        return
    keep, gap = level.keep.get(str(job)), level.gap(job)
    if keep is None:
        check.note(path, None, f"is missing: {job} backups are scheduled", "an age such as 7d or a count such as 3")
    elif gap is not None and keep.age is not None and keep == Keep(age=keep.age) and keep.age < gap:
        check.note(
            path,
            format_duration(keep.age),
            f"would leave no {job} backup: up to {format_duration(gap)} pass until the next one",
            f"{format_duration(gap)} or more, or a count",
        )


def unmet_by(level: Level, facts: EngineFacts, repositories: int | None) -> list[tuple[str, str]]:
    """Why an engine with this many repositories cannot serve a level, each with what would be valid."""
    unmet = []
    if level.log and level.rpo is not None and level.rpo < facts.smallest_rpo:
        unmet.append(
            (
                f"its RPO of {format_duration(level.rpo)} is out of reach for {facts.title}",
                f"a level with an RPO of {format_duration(facts.smallest_rpo)} or more",
            )
        )
    unmet.extend(
        (
            f"it schedules {job} backups, which {facts.physical_tool} for {facts.title} does not take",
            f"a level of {', '.join(sorted(map(str, facts.types)))}",
        )
        for job in (*_PHYSICAL, Job.LOGICAL)
        if job in level.jobs and BackupType(str(job)) not in facts.types
    )
    if Job.ARCHIVE in level.jobs and repositories == 1:
        unmet.append(
            (
                "it schedules archive copies, and the instance has a single repository",
                "a second repository, or a level without archive",
            )
        )
    return unmet
