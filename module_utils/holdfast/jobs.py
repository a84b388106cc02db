"""The life of a job: lock, clock, retries, time limit, and one record whatever happens."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType
from typing import Any

from . import guard, pair, restore_test, schedule, windows, work
from .errors import (
    Busy,
    ClockWentBack,
    HoldfastError,
    Interrupted,
    InvalidInput,
    Refused,
    TimeLimitExceeded,
    WindowClosed,
)
from .guard import Judgement
from .locks import job_lock
from .model import ON_REQUEST, Instance, Job
from .records import Record, Records, finish, open_record
from .units import format_duration, format_instant, parse_duration, parse_instant, utcnow

log = logging.getLogger(__name__)

TIME_LIMITS: Mapping[Job, timedelta] = {
    Job.FULL: timedelta(hours=12),
    Job.ARCHIVE: timedelta(hours=24),
    Job.LOGICAL: timedelta(hours=12),
    Job.DIFFERENTIAL: timedelta(hours=6),
    Job.INCREMENTAL: timedelta(hours=6),
    Job.LOG: timedelta(minutes=10),
    Job.VERIFY: timedelta(hours=12),
    Job.EXPIRE: timedelta(hours=2),
    Job.RESTORE_TEST: timedelta(hours=12),
    Job.RESTORE: timedelta(hours=48),
    Job.RESCUE: timedelta(hours=24),
    Job.REPLICATION: timedelta(hours=48),
    Job.ACCESS_AUDIT: timedelta(hours=1),
    Job.ACCESS_CHANGE: timedelta(minutes=30),
    Job.LOG_CHANGE: timedelta(minutes=30),
    Job.PATCH: timedelta(hours=4),
}
SCHEDULED_WAIT = timedelta(hours=1)  # for the lock: the hourly incremental meets the daily full every day
RETRY_DELAYS = (5.0, 30.0)  # seconds before the second and the third attempt
CLOCK_TOLERANCE = timedelta(seconds=60)  # what time synchronisation may step without anyone being told

Work = Callable[[Instance, Record], dict[str, Any]]
WORK: Mapping[Job, Work] = {
    Job.LOG: work.save_log,
    Job.VERIFY: work.verify,
    Job.EXPIRE: work.expire,
    Job.RESTORE_TEST: restore_test.run,
}


def time_limit(instance: Instance, job: Job) -> timedelta:
    """How long the job may run: the option ``time_limit_<job>`` of the instance, or the default."""
    text = instance.options.get(f"time_limit_{job}")
    if text is None:
        return TIME_LIMITS[job]
    try:
        return parse_duration(text)
    except ValueError as error:
        raise InvalidInput(f"time_limit_{job}: {error}", where=instance.name) from None


def run_job(
    instance: Instance, job: Job, *, scheduled: bool = False, on_request: bool = False, call: Work | None = None
) -> Record:
    """Run one job of an instance to its end and return its record, ``ok`` or ``failed``.

    Must run as the instance's OS user. ``scheduled`` jobs wait for the lock, others fail as busy at once; they are
    bound to the windows of the instance, unless somebody wants this one now (``on_request``). ``call`` replaces the
    job's own work, for jobs that take arguments.
    """
    records = Records(instance)
    records.reap()
    record = open_record(instance, job)
    records.announce(record)
    began = time.monotonic()
    error: HoldfastError | None = None
    try:
        wait = SCHEDULED_WAIT if scheduled and job is not Job.LOG else timedelta(0)
        bound = scheduled and not on_request and job not in ON_REQUEST
        judged = _judge(instance, job, record, bound=bound)
        if judged.problem:
            record.update(_postpone(instance, job, judged))
        else:
            with _limits(instance, job, judged), job_lock(instance, job, wait):
                _check_clock(instance, records)
                reason = _rests(instance, job, scheduled)
                if reason:
                    record["skipped"] = reason
                else:
                    record.update(_attempt(instance, job, record, call or WORK.get(job, work.take_backup)))
    except HoldfastError as caught:
        error = caught
    except Exception as caught:
        log.exception("unexpected error")
        error = HoldfastError(
            f"unexpected {type(caught).__name__}: {caught}", where=instance.name, remedy="See the log; this is a defect"
        )
    if isinstance(error, Busy) and scheduled and job is Job.LOG:
        records.withdraw(record)  # the previous log job is still at it, and the next is minutes away
        return finish(record)
    done = finish(record, error=error.as_dict() if error else None, seconds=time.monotonic() - began)
    done["exit_code"] = error.exit_code if error else 0
    records.append(done)
    log.log(logging.ERROR if error else logging.INFO, "%s", summary(done))
    return done


def summary(record: Record) -> str:
    """One line that says how a job ended."""
    took = format_duration(timedelta(seconds=record["seconds"]))
    if "postponed" in record:
        to = f" to its run at {record['postponed']}" if record["postponed"] else ""
        return f"{record['instance']}: {record['job']} postponed{to}: {record['skipped']}"
    if "skipped" in record:
        return f"{record['instance']}: {record['job']} skipped: {record['skipped']}"
    if record["result"] == "ok":
        return f"{record['instance']}: {record['job']} done in {took}"
    error = record["error"]
    where = "" if error["where"] in ("", record["instance"]) else f" ({error['where']})"
    remedy = f". {error['remedy']}" if error["remedy"] else ""
    return f"{record['instance']}: {record['job']} failed after {took}: {error['what']}{where}{remedy}"


def _judge(instance: Instance, job: Job, record: Record, *, bound: bool) -> Judgement:
    """What windows make of a job, for the record and, where it is bound to them, for what follows."""
    try:
        judged = guard.judge(instance, windows.work_of(job))
    except HoldfastError as error:
        if bound:
            raise
        log.warning("%s: what its windows say of %s is not known: %s", instance.name, job, error)
        return Judgement()
    if judged.verdict:
        record["window"] = judged.fields()
        if judged.problem and not bound and job not in ON_REQUEST:
            log.warning("%s: %s goes on outside its windows: %s", instance.name, job, judged.verdict.why)
    return judged if bound else Judgement()


def _postpone(instance: Instance, job: Job, judged: Judgement) -> dict[str, Any]:
    """What the record of a job says that does not begin now."""
    assert judged.verdict is not None
    cron = instance.service_level.schedule.get(job)
    run = windows.next_run(instance.windows, schedule.parse(cron), utcnow()) if cron else None
    return {"skipped": judged.verdict.why, "postponed": format_instant(run)}


def _rests(instance: Instance, job: Job, scheduled: bool) -> str:
    """Why a job has nothing to do here. Raises Refused where somebody asked for it."""
    # Accounts of a replica are its primary's, but not all that lets somebody in: files, addresses, its own log.
    reason = "" if job in ON_REQUEST or job is Job.ACCESS_AUDIT else pair.resting(instance)
    if reason and not scheduled:
        raise Refused(reason, where=instance.name, remedy="Name its primary instead")
    return reason


def _attempt(instance: Instance, job: Job, record: Record, call: Work) -> dict[str, Any]:
    # The next log job is closer than any retry, and who asked for a restore decides what is tried next.
    delays: tuple[float, ...] = () if windows.is_light(job) or job in ON_REQUEST else RETRY_DELAYS
    for attempt, delay in enumerate((*delays, None), start=1):
        record["attempts"] = attempt
        try:
            return call(instance, record)
        except HoldfastError as error:
            if not error.retryable or delay is None:
                raise
            log.warning("attempt %d failed, next in %.0f s: %s", attempt, delay, error)
            time.sleep(delay)
    raise AssertionError("unreachable")


def _check_clock(instance: Instance, records: Records) -> None:
    # Only the record written last is asked: after one loud failure jobs go on, also when the earlier time was wrong.
    newest = records.newest()
    last = parse_instant(newest["finished"]) if newest else None
    now = utcnow()
    if last is not None and now + CLOCK_TOLERANCE < last:
        raise ClockWentBack(
            f"the clock is {format_duration(last - now)} behind the newest record",
            where=instance.name,
            remedy="Check the time synchronisation of this host; the next run goes on with the time as it is then",
        )


@contextmanager
def _limits(instance: Instance, job: Job, judged: Judgement) -> Iterator[None]:
    """Turn SIGTERM, SIGINT, the time limit and the end of the window into errors: every end leaves a record."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    limit = time_limit(instance, job)
    left = judged.closes - utcnow() if judged.closes else limit

    def interrupt(number: int, _frame: FrameType | None) -> None:
        raise Interrupted(f"stopped by {signal.Signals(number).name}", where=instance.name)

    def expire(_number: int, _frame: FrameType | None) -> None:
        if left < limit and judged.verdict:
            raise WindowClosed(
                f"stopped, as {judged.verdict.why}",
                where=instance.name,
                remedy="Begin it earlier, give it a longer window, or find out what is slow",
            )
        raise TimeLimitExceeded(
            f"still running after its time limit of {format_duration(limit)}",
            where=instance.name,
            remedy=f"Find out what is slow, or set the option time_limit_{job} of the instance",
        )

    handlers = {signal.SIGTERM: interrupt, signal.SIGINT: interrupt, signal.SIGALRM: expire}
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    signal.setitimer(signal.ITIMER_REAL, max(0.001, min(limit, left).total_seconds()))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in previous.items():
            signal.signal(number, handler)
