"""What monitoring reads: Prometheus text for the textfile collector of the node exporter, made from records alone.

Moments are given as timestamps, not as ages: a file that is no longer written must not look young.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

from . import forecast, guard, overdue
from .errors import HoldfastError
from .history import History
from .model import Instance, Job, WindowKind
from .records import Record, Records
from .units import parse_instant, utcnow
from .windows import is_open

HELP: Mapping[str, str] = {
    "holdfast_recoverable_until_timestamp_seconds": "Every change before this moment is in the repository; "
    "time() minus this is the RPO now, at most.",
    "holdfast_rpo_exposure_bytes": "Log that was not in the repository when the last log job ended.",
    "holdfast_rpo_target_seconds": "RPO of the service level.",
    "holdfast_rto_achieved_seconds": "Time that the last measured restore took.",
    "holdfast_rto_forecast_seconds": "Time that a restore is expected to take now; absent while nothing was measured.",
    "holdfast_rto_target_seconds": "RTO of the service level.",
    "holdfast_backup_last_success_timestamp_seconds": "End of the newest successful backup.",
    "holdfast_backup_size_bytes": "Size of the database at its newest backup.",
    "holdfast_restore_test_last_success_timestamp_seconds": "End of the newest restore test that met every objective.",
    "holdfast_maintenance_window_open": "Whether a maintenance window of the instance is open: 1 or 0; absent without "
    "such a window.",
    "holdfast_window_override": "Whether somebody lets work through closed windows: 1 or 0; absent without windows.",
    "holdfast_job_overdue": "Whether a job of the schedule was due over an hour ago and has not succeeded since.",
    "holdfast_access_findings": "Open findings of the last access audit, by severity.",
    "holdfast_access_unanswered_checks": "Questions of the last access audit that had no answer.",
    "holdfast_access_new_power": "Powers that access audits saw as new, until one after somebody asked for an audit.",
    "holdfast_access_changes_outside_window": "Changes of power outside change_window that the server's log told of, "
    "likewise.",
    "holdfast_access_review_due_timestamp_seconds": "When the next access review is overdue; 0 when there never was "
    "one; absent while the control host has not told.",
    "holdfast_job_last_success": "Whether the last run of the job succeeded: 1 or 0.",
    "holdfast_job_last_run_timestamp_seconds": "End of the last run of the job.",
    "holdfast_job_last_duration_seconds": "Duration of the last run of the job.",
}
_OF_REPLICAS = (str(Job.REPLICATION), str(Job.ACCESS_AUDIT), str(Job.ACCESS_CHANGE))
_DAY = 24 * 60 * 60
_PHYSICAL = (str(Job.FULL), str(Job.DIFFERENTIAL), str(Job.INCREMENTAL))


class Sample(NamedTuple):
    """One value of a metric. Plain data, so that it passes from the owner's process to the one that prints."""

    name: str
    labels: Mapping[str, str]
    value: float


def of_instance(instance: Instance) -> list[Sample]:
    """Every metric of one instance. One whose value is not known is left out."""
    records = Records(instance)
    records.reap()
    resting = overdue.is_replica(instance)
    found = samples(instance, list(records), forecast.of_instance(instance).seconds, resting=resting)
    late = of_schedule(instance, History.read(records), utcnow(), resting=resting)
    return [*found, *late, *of_windows(instance, utcnow())]


def of_schedule(instance: Instance, history: History, now: datetime, *, resting: bool) -> list[Sample]:
    """Which jobs of the schedule are overdue."""
    late = {job for job, _ in overdue.overdue(instance, history, now.astimezone(), resting=resting)}
    jobs = (job for job in instance.service_level.schedule if not resting or job is Job.ACCESS_AUDIT)
    labels = _labels_of(instance)
    return [Sample("holdfast_job_overdue", {**labels, "job_name": str(job)}, float(job in late)) for job in jobs]


def of_windows(instance: Instance, now: datetime) -> list[Sample]:
    """Whether the instance is in a maintenance window: alert rules leave it alone then, and no other one."""
    if not instance.windows:
        return []
    override = float(guard.in_force(instance, now) is not None)
    found = [Sample("holdfast_window_override", _labels_of(instance), override)]
    if not any(window.kind is WindowKind.MAINTENANCE for window in instance.windows):
        return found
    with suppress(HoldfastError):  # unknown time zones are told by status, and by every job
        on = is_open(instance.windows, WindowKind.MAINTENANCE, now)
        found.append(Sample("holdfast_maintenance_window_open", _labels_of(instance), float(on)))
    return found


def _labels_of(instance: Instance) -> dict[str, str]:
    return {"db_instance": instance.name, "engine": instance.engine, "service_level": instance.service_level.name}


def samples(
    instance: Instance, records: Sequence[Record], forecast_seconds: float | None, *, resting: bool = False
) -> list[Sample]:
    """The metrics that records tell. Of a replica whose primary takes the backups, those of its own alone."""
    history = History.read(records)
    level = instance.service_level
    labels = _labels_of(instance)
    backup = _newest(history.last_ok.get(job) for job in _PHYSICAL)
    measured = forecast.measurements(records)
    log = history.last_ok.get(str(Job.LOG))
    values: dict[str, float | None] = {
        "holdfast_recoverable_until_timestamp_seconds": _recoverable(level.runs(Job.LOG), log, backup),
        "holdfast_rpo_exposure_bytes": log.get("lost_bytes") if log else None,
        "holdfast_rpo_target_seconds": level.rpo.total_seconds(),
        "holdfast_rto_achieved_seconds": measured[-1].total_seconds if measured else None,
        "holdfast_rto_forecast_seconds": forecast_seconds,
        "holdfast_rto_target_seconds": level.rto.total_seconds(),
        "holdfast_backup_size_bytes": (backup or {}).get("backup", {}).get("size_bytes"),
        "holdfast_restore_test_last_success_timestamp_seconds": _ended(history.last_ok.get(str(Job.RESTORE_TEST))),
    }
    found = [Sample(name, labels, value) for name, value in values.items() if value is not None and not resting]
    for job, record in () if resting else history.last_ok.items():
        when = _ended(record)
        if "backup" in record and when is not None:
            found.append(Sample("holdfast_backup_last_success_timestamp_seconds", {**labels, "type": job}, when))
    found.extend(_access(history, labels))
    for job, record in history.last.items():
        if resting and job not in _OF_REPLICAS:
            continue  # it tells of the time before
        of_job = {**labels, "job_name": job}
        found.append(Sample("holdfast_job_last_success", of_job, 1.0 if record["result"] == "ok" else 0.0))
        found.append(Sample("holdfast_job_last_run_timestamp_seconds", of_job, _ended(record) or 0.0))
        found.append(Sample("holdfast_job_last_duration_seconds", of_job, record["seconds"]))
    return found


def _access(history: History, labels: Mapping[str, str]) -> Iterator[Sample]:
    if history.access is None:
        return
    for severity, count in history.access["findings"].items():
        yield Sample("holdfast_access_findings", {**labels, "severity": severity}, float(count))
    yield Sample("holdfast_access_unanswered_checks", labels, float(history.access["checks"]["error"]))
    yield Sample("holdfast_access_new_power", labels, float(len(history.power)))
    yield Sample("holdfast_access_changes_outside_window", labels, float(history.outside_window))
    due = history.access.get("review_due")
    if due is not None:
        moment = parse_instant(f"{due}T00:00:00Z") if due else None
        # The day itself is still in time.
        yield Sample("holdfast_access_review_due_timestamp_seconds", labels, moment.timestamp() + _DAY if moment else 0)


def render(found: Iterable[Sample]) -> str:
    """Samples in Prometheus' text format."""
    by_name: dict[str, list[Sample]] = {name: [] for name in HELP}
    for sample in found:
        by_name[sample.name].append(sample)
    lines: list[str] = []
    for name, listed in by_name.items():
        if listed:
            lines += [f"# HELP {name} {HELP[name]}", f"# TYPE {name} gauge"]
            lines += [f"{name}{{{_labels(sample.labels)}}} {_number(sample.value)}" for sample in listed]
    return "\n".join(lines) + "\n" if lines else ""


def write(path: str, text: str) -> None:
    """Put the text where the collector reads it, in one step: half a file would be half the metrics."""
    directory = os.path.dirname(os.path.abspath(path))
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=".holdfast-", dir=directory)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise HoldfastError(
            f"the metrics cannot be written: {error.strerror}",
            where=path,
            remedy="Name a file in the textfile directory",
        ) from None


def _recoverable(log_runs: bool, log: Record | None, backup: Record | None) -> float | None:
    if log_runs:
        ended = _ended(log)
        return None if log is None or ended is None else ended - float(log.get("lost_seconds", 0.0))
    return _ended(backup)


def _newest(records: Iterable[Record | None]) -> Record | None:
    return max((record for record in records if record), key=lambda record: str(record["finished"]), default=None)


def _ended(record: Record | None) -> float | None:
    when = parse_instant(record["finished"]) if record else None
    return when.timestamp() if when else None


def _labels(labels: Mapping[str, Any]) -> str:
    return ",".join(f'{name}="{_escape(str(value))}"' for name, value in labels.items())


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:.3f}"
