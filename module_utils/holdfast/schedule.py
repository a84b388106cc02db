"""Cron expressions: what they mean, when they run next, how far apart, and how systemd says the same.

Times are naive and in the host's local time zone, as cron and systemd read them. On the day that clocks change, a run
in the hour that is skipped comes right after it, and one in the hour that is repeated comes once; a gap can be an hour
longer.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cache
from typing import NamedTuple

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_ALL_DAYS = frozenset(range(1, 32))
_ALL_WEEKDAYS = frozenset(range(7))
_STAR = ("*", "*/1")
_DAY = 24 * 60

WORDS = ("hourly", "daily", "weekly", "monthly")
# From 3 to 7 no zone of Europe or America changes its clocks, and the full backups of an ordinary night are done.
QUIET_HOURS = range(3, 7)
LONGEST_DELAY = timedelta(minutes=15)  # by which schedulers spread the jobs of a fleet
CRON_FORM = 'five fields "minute hour day month weekday", for example "0 1 * * *"'


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("weekday", 0, 7, _WEEKDAYS),
)


@dataclass(frozen=True)
class Cron:
    """A parsed expression. Weekdays count from Sunday as 0. When both are restricted, a day of either kind matches."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    @property
    def any_day(self) -> bool:
        """Whether the day of month is not restricted."""
        return self.days == _ALL_DAYS

    @property
    def any_weekday(self) -> bool:
        """Whether the weekday is not restricted."""
        return self.weekdays == _ALL_WEEKDAYS

    def __str__(self) -> str:
        """The expression with numbers only, as every cron reads it."""
        sets = (self.minutes, self.hours, self.days, self.months, self.weekdays)
        return " ".join(_cron_field(values, field) for values, field in zip(sets, _FIELDS))

    def matches(self, when: datetime) -> bool:
        """Whether it runs in this minute."""
        return when.minute in self.minutes and when.hour in self.hours and self.matches_day(when.date())

    def matches_day(self, day: date) -> bool:
        """Whether it runs at all on this day."""
        if day.month not in self.months:
            return False
        by_date, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        if self.any_day or self.any_weekday:
            return by_date and by_weekday
        return by_date or by_weekday

    def times(self) -> list[int]:
        """The minutes of a matching day at which it runs, ascending."""
        return sorted(hour * 60 + minute for hour in self.hours for minute in self.minutes)

    def next(self, after: datetime) -> datetime:
        """The first run later than this moment."""
        return next(self._runs(after, 1))

    def previous(self, before: datetime) -> datetime:
        """The last run earlier than this moment."""
        return next(self._runs(before, -1))

    def _runs(self, start: datetime, step: int) -> Iterator[datetime]:
        times = self.times()[::step]
        day = start.date()
        while True:
            if self.matches_day(day):
                for time in times:
                    run = datetime(day.year, day.month, day.day, time // 60, time % 60)  # noqa: DTZ001  # local time
                    if (run > start) if step > 0 else (run < start):
                        yield run
            day += timedelta(days=step)


def parse(text: object) -> Cron:
    """Parse an expression of five fields. Raises ValueError, whose text says why, also for one that never runs."""
    if not isinstance(text, str) or len(text.split()) != 5:
        raise ValueError(f"a cron expression has {CRON_FORM}")
    return _parse(" ".join(text.lower().split()))


@cache
def _parse(text: str) -> Cron:
    words = text.split()
    minutes, hours, days, months, weekdays = (_parse_field(word, field) for word, field in zip(words, _FIELDS))
    cron = Cron(minutes, hours, days, months, frozenset(day % 7 for day in weekdays))
    if words[2] not in _STAR and words[4] not in _STAR:
        if "*" in words[2] + words[4]:
            raise ValueError(
                "cron and Kubernetes read a step on * differently when both the day of month and the weekday are "
                "restricted; list the days"
            )
        if cron.any_day or cron.any_weekday:
            # A day of either kind matches, so 1-31 with a weekday is every day, while * with it is that weekday.
            cron = replace(cron, days=_ALL_DAYS, weekdays=_ALL_WEEKDAYS)
    if cron.any_weekday and all(_LONGEST_MONTH[month - 1] < min(days) for month in months):
        raise ValueError(f"it never runs: none of its months has a day {min(days)}")
    return cron


def _parse_field(text: str, field: _Field) -> frozenset[int]:
    values: list[int] = []
    for part in text.split(","):
        match = re.match(r"^(?:(\*)|([a-z0-9]+)(?:-([a-z0-9]+))?)(?:/([0-9]+))?$", part)
        if not match:
            raise ValueError(f"{field.name} {part!r} is not a number, a list, a range or a step")
        star, first, last, step = match.groups()
        if step and not star and not last:
            raise ValueError(f"{field.name} {part!r} has a step without a range; write {first}-{field.high}/{step}")
        low = field.low if star else _number(first, field)
        high = field.high if star else _number(last, field) if last else low
        if low > high:
            raise ValueError(f"{field.name} range {part!r} runs backwards; write it as two ranges")
        if step and int(step) == 0:
            raise ValueError(f"{field.name} {part!r} has a step of 0")
        values.extend(range(low, high + 1, int(step or 1)))
    return frozenset(values)


def _number(text: str, field: _Field) -> int:
    if text in field.names:
        return field.names.index(text) + (1 if field.names is _MONTHS else 0)
    if not text.isdigit() or not field.low <= int(text) <= field.high:
        names = f" or {field.names[0]} to {field.names[-1]}" if field.names else ""
        raise ValueError(f"{field.name} {text!r} is not {field.low} to {field.high}{names}")
    return int(text)


def _cron_field(values: frozenset[int], field: _Field) -> str:
    high = 6 if field.name == "weekday" else field.high
    if len(values) == high - field.low + 1:
        return "*"
    step = _even_step(sorted(values), field.low, high)
    return f"*/{step}" if step else ",".join(_range(first, last, "-") for first, last in _spans(sorted(values)))


def _even_step(values: Sequence[int], low: int, high: int) -> int | None:
    """N when the values are what ``*/N`` means in the minute or hour field."""
    if low or high < 23 or len(values) < 3 or values[0] != 0:
        return None
    step = values[1]
    return step if list(values) == list(range(0, high + 1, step)) else None


def _spans(values: Sequence[int]) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    for value in values:
        if spans and spans[-1][1] == value - 1:
            spans[-1] = (spans[-1][0], value)
        else:
            spans.append((value, value))
    return spans


def _range(first: int, last: int, between: str) -> str:
    return str(first) if first == last else f"{first}{between}{last}"


def resolve(text: object, name: str, job: str, hours: range = QUIET_HOURS) -> Cron:
    """Parse an expression, or one of WORDS as a moment in these hours that depends on the instance's name and the job.

    So a fleet with ``restore_test: weekly`` does not test all its instances at once. Raises ValueError.
    """
    if text not in WORDS:
        return parse(text)
    digest = int.from_bytes(hashlib.sha256(f"{job} {name}".encode()).digest()[:8], "big")
    digest, minute = divmod(digest, 60)
    digest, hour = divmod(digest, len(hours))
    moment = f"{minute} {hours[hour]}"
    return parse(
        {
            "hourly": f"{minute} * * * *",
            "daily": f"{moment} * * *",
            "weekly": f"{moment} * * {digest % 7}",
            "monthly": f"{moment} {digest % 28 + 1} * *",
        }[str(text)]
    )


def every(minutes: int) -> Cron:
    """Runs at most this many minutes apart, for an interval of 1 to 59 minutes; shorter at the turn of the hour."""
    return parse(f"*/{minutes} * * * *")


def coincide(one: Cron, other: Cron) -> bool:
    """Whether the two are ever due in the same minute."""
    if not set(one.times()) & set(other.times()):
        return False
    return any(one.matches_day(day) and other.matches_day(day) for days in _years().values() for day in days)


def _days_of(year: int) -> list[date]:
    first = date(year, 1, 1)
    return [first + timedelta(days=number) for number in range((date(year + 1, 1, 1) - first).days)]


def _kind(year: int) -> tuple[int, int]:
    """Years of the same kind have the same calendar: weekday of the first day, and number of days."""
    first = date(year, 1, 1)
    return first.weekday(), (date(year + 1, 1, 1) - first).days


@cache
def _years() -> dict[tuple[int, int], list[date]]:
    """One year of each of the 14 kinds."""
    return {_kind(year): _days_of(year) for year in range(2000, 2028)}


class _Runs(NamedTuple):
    first: int  # minutes from the start of the period
    last: int
    gap: int  # the longest between two runs of the period


def longest_gap(*crons: Cron) -> timedelta:
    """The longest time between two successive runs of any of the expressions, over the 400 years of the calendar."""
    return _longest_gap(frozenset(crons))


@cache
def _longest_gap(crons: frozenset[Cron]) -> timedelta:
    if all(cron.any_day and len(cron.months) == 12 for cron in crons):
        two_weeks = _period_runs(crons, _days_of(2000)[:14])
        return timedelta(minutes=two_weeks.gap if two_weeks else 0)
    kinds = {kind: _period_runs(crons, days) for kind, days in _years().items()}
    longest, last, start = 0, None, 0
    # The calendar repeats after 400 years; the first run after them can be 8 years later.
    for year in range(2000, 2409):
        kind = _kind(year)
        runs = kinds[kind]
        if runs:
            if last is not None:
                longest = max(longest, start + runs.first - last)
            longest = max(longest, runs.gap)
            last = start + runs.last
        start += kind[1] * _DAY
    return timedelta(minutes=longest)


def _period_runs(crons: frozenset[Cron], days: Sequence[date]) -> _Runs | None:
    times = {cron: cron.times() for cron in crons}
    spans: dict[frozenset[Cron], _Runs] = {}
    first, last, gap = None, 0, 0
    for number, day in enumerate(days):
        due = frozenset(cron for cron in crons if cron.matches_day(day))
        if not due:
            continue
        if due not in spans:
            spans[due] = _day_runs([time for cron in due for time in times[cron]])
        runs = spans[due]
        start = number * _DAY
        if first is None:
            first = start + runs.first
        else:
            gap = max(gap, start + runs.first - last)
        gap = max(gap, runs.gap)
        last = start + runs.last
    return None if first is None else _Runs(first, last, gap)


def _day_runs(times: Sequence[int]) -> _Runs:
    ordered = sorted(set(times))
    return _Runs(
        ordered[0], ordered[-1], max((later - earlier for earlier, later in zip(ordered, ordered[1:])), default=0)
    )


def on_calendar(cron: Cron) -> list[str]:
    """The same moments as systemd ``OnCalendar=`` lines; two when cron means either of a day of month and a weekday."""
    months = _systemd_field(cron.months, _FIELDS[3])
    days = _systemd_field(cron.days, _FIELDS[2])
    clock = f"{_systemd_field(cron.hours, _FIELDS[1])}:{_systemd_field(cron.minutes, _FIELDS[0])}:00"
    weekdays = _weekday_names(cron.weekdays, "..")
    by_date = f"*-{months}-{days} {clock}"
    by_weekday = f"{weekdays} *-{months}-* {clock}"
    if cron.any_weekday:
        return [by_date]
    if cron.any_day:
        return [by_weekday]
    return [by_date, by_weekday]


def _systemd_field(values: frozenset[int], field: _Field) -> str:
    if len(values) == field.high - field.low + 1:
        return "*"
    step = _even_step(sorted(values), field.low, field.high)
    if step:
        return f"00/{step}"
    return ",".join(
        f"{first:02}" if first == last else f"{first:02}..{last:02}" for first, last in _spans(sorted(values))
    )


def _weekday_names(values: frozenset[int], between: str) -> str:
    # The week of systemd starts on Monday.
    ordered = sorted((value - 1) % 7 for value in values)
    names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    return ",".join(
        names[first] if first == last else f"{names[first]}{between}{names[last]}" for first, last in _spans(ordered)
    )


def describe(cron: Cron) -> str:
    """The expression in words: ``every 15 minutes``, ``daily at 01:00``, ``at 03:00 on Sun``."""
    when = _describe_times(cron)
    days: list[str] = []
    if not cron.any_day:
        days.append("on day " + ", ".join(_range(first, last, "-") for first, last in _spans(sorted(cron.days))))
    if not cron.any_weekday:
        days.append("on " + _weekday_names(cron.weekdays, "-").replace(",", ", "))
    text = " or ".join(days)
    if len(cron.months) < 12:
        spans = _spans(sorted(cron.months))
        names = [
            _MONTHS[first - 1].title() if first == last else f"{_MONTHS[first - 1].title()}-{_MONTHS[last - 1].title()}"
            for first, last in spans
        ]
        text = f"{text} in {', '.join(names)}".strip()
    if not text:
        return f"daily {when}" if when.startswith("at ") else when
    return f"{when} {text}"


def _describe_times(cron: Cron) -> str:
    minutes = sorted(cron.minutes)
    if len(cron.hours) == 24:
        step = _even_step(minutes, 0, 59)
        if step and 60 % step == 0:
            return "every minute" if step == 1 else f"every {step} minutes"
        if len(minutes) > 6:
            return f"hourly at minute {_cron_field(cron.minutes, _FIELDS[0])}"
        return "hourly at " + ", ".join(f":{minute:02}" for minute in minutes)
    hour_step = _even_step(sorted(cron.hours), 0, 23)
    if hour_step and 24 % hour_step == 0 and len(minutes) == 1:
        return f"every {hour_step} hours at :{minutes[0]:02}"
    times = cron.times()
    if len(times) <= 6:
        return "at " + ", ".join(f"{time // 60:02}:{time % 60:02}" for time in times)
    hours = ", ".join(_range(first, last, "-") for first, last in _spans(sorted(cron.hours)))
    return f"at minute {_cron_field(cron.minutes, _FIELDS[0])} of the hours {hours}"
