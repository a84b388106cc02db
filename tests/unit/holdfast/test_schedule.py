"""Cron expressions, against a walker that looks at every minute and against systemd's own reading."""

from __future__ import annotations

import itertools
import random
import re
import shutil
import subprocess
from datetime import datetime, timedelta

import pytest
from ansible.module_utils.holdfast import schedule

MINUTE = timedelta(minutes=1)


def cron_says(text: str, when: datetime) -> bool:
    """The rules of crontab(5), written down once more and as plainly as possible."""

    def values(field: str, low: int, high: int) -> set[int]:
        found: set[int] = set()
        for part in field.split(","):
            span, _, step = part.partition("/")
            first, _, last = (span if span != "*" else f"{low}-{high}").partition("-")
            found.update(range(int(first), int(last or first) + 1, int(step or 1)))
        return found

    minute, hour, day, month, weekday = text.split()
    by_day = when.day in values(day, 1, 31)
    by_weekday = bool({when.isoweekday() % 7, when.isoweekday()} & values(weekday, 0, 7))
    either = not day.startswith("*") and not weekday.startswith("*")
    return (
        when.minute in values(minute, 0, 59)
        and when.hour in values(hour, 0, 23)
        and when.month in values(month, 1, 12)
        and (by_day or by_weekday if either else by_day and by_weekday)
    )


def random_field(rng: random.Random, low: int, high: int, *, star: float) -> str:
    if rng.random() < star:
        return "*"
    if rng.random() < 0.15:
        return f"*/{rng.randint(1, high)}"
    parts = []
    for _ in range(rng.randint(1, 3)):
        first = rng.randint(low, high)
        last = rng.randint(first, high)
        parts.append(rng.choice([str(first), f"{first}-{last}", f"{first}-{last}/{rng.randint(1, 9)}"]))
    return ",".join(parts)


def random_expressions(seed: int, count: int, *, once_a_day: bool = False) -> list[str]:
    """Expressions that are not refused; with ``once_a_day`` they run once on a day."""
    rng = random.Random(seed)
    found: list[str] = []
    while len(found) < count:
        text = " ".join(
            [
                str(rng.randrange(60)) if once_a_day else random_field(rng, 0, 59, star=0.1),
                str(rng.randrange(24)) if once_a_day else random_field(rng, 0, 23, star=0.3),
                random_field(rng, 1, 31, star=0.6),
                random_field(rng, 1, 12, star=0.8),
                random_field(rng, 0, 7, star=0.6),
            ]
        )
        try:
            schedule.parse(text)
        except ValueError:
            continue
        found.append(text)
    return found


@pytest.mark.parametrize("text", random_expressions(1, 40))
def test_every_minute_matches_as_cron_says(text: str) -> None:
    cron = schedule.parse(text)
    rng = random.Random(text)
    for _ in range(8):
        start = datetime(2023, 1, 1) + timedelta(days=rng.randrange(1500))
        for minute in rng.sample(range(1440), 300):
            when = start + minute * MINUTE
            assert cron.matches(when) == cron_says(text, when), when


@pytest.mark.parametrize("text", random_expressions(2, 25))
def test_next_and_previous_are_what_a_minute_walker_finds(text: str) -> None:
    cron = schedule.parse(text)
    start = datetime(2024, 2, 27, 13, 7)
    runs = [start + n * MINUTE for n in range(1, 4 * 1440) if cron_says(text, start + n * MINUTE)]
    if not runs:
        assert cron.next(start) >= start + timedelta(days=4)
        return
    found, when = [], start
    while len(found) < min(len(runs), 50):
        when = cron.next(when)
        found.append(when)
    assert found == runs[:50]
    for earlier, later in itertools.pairwise(found):
        assert cron.previous(later) == earlier
        assert cron.previous(later + timedelta(seconds=30)) == later


@pytest.mark.parametrize("text", random_expressions(3, 150))
def test_the_canonical_form_means_the_same(text: str) -> None:
    cron = schedule.parse(text)
    assert schedule.parse(str(cron)) == cron


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0 1 * * *", "0 1 * * *"),
        ("0  4 * JAN,jul Mon-Fri", "0 4 * 1,7 1-5"),
        ("0 0 * * 7", "0 0 * * 0"),
        ("0 0 * * 5-7", "0 0 * * 0,5-6"),
        ("*/20 */12 * * *", "*/20 0,12 * * *"),
        ("5-55/10 * * * *", "5,15,25,35,45,55 * * * *"),
        ("0 0 1-31 * 5", "0 0 * * *"),  # a day of either kind matches: every day is a day of month
        ("0 0 13 * 0-6", "0 0 * * *"),
        ("0 0 13 * 5", "0 0 13 * 5"),
        ("0 0 */2 * *", "0 0 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31 * *"),
    ],
)
def test_canonical_form(text: str, canonical: str) -> None:
    assert str(schedule.parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0 0 31 2 *", "never runs"),
        ("0 0 30 2 *", "never runs"),
        ("0 0 31 4,6,9,11 *", "never runs"),
        ("60 * * * *", "minute '60' is not 0 to 59"),
        ("0 24 * * *", "hour '24' is not 0 to 23"),
        ("0 0 0 * *", "day of month '0'"),
        ("0 0 * 13 *", "month '13' is not 1 to 12 or jan to dec"),
        ("0 0 * * 8", "weekday '8' is not 0 to 7 or sun to sat"),
        ("0 0 * foo *", "month 'foo'"),
        ("0 22-2 * * *", "runs backwards"),
        ("*/0 * * * *", "step of 0"),
        ("1/5 * * * *", "write 1-59/5"),
        ("1,,2 * * * *", "minute ''"),
        ("-1 * * * *", "minute '-1'"),
        ("0 0 */2 * 1", "list the days"),
        ("0 0 1 * */2", "list the days"),
        ("* * * *", "five fields"),
        ("* * * * * *", "five fields"),
        ("@daily", "five fields"),
        ("", "five fields"),
        (5, "five fields"),
        (None, "five fields"),
    ],
)
def test_refused(text: object, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        schedule.parse(text)


def test_a_leap_day_runs() -> None:
    cron = schedule.parse("0 0 29 2 *")
    assert cron.next(datetime(2024, 2, 29)) == datetime(2028, 2, 29)
    assert cron.next(datetime(2096, 2, 29)) == datetime(2104, 2, 29)
    assert cron.previous(datetime(2104, 2, 29)) == datetime(2096, 2, 29)


@pytest.mark.parametrize(
    ("texts", "gap"),
    [
        (["0 1 * * *"], timedelta(days=1)),
        (["0 * * * *"], timedelta(hours=1)),
        (["*/7 * * * *"], timedelta(minutes=7)),
        (["0 3 * * 0"], timedelta(days=7)),
        (["0 3 * * 1-5"], timedelta(days=3)),
        (["0 3 1 * *"], timedelta(days=31)),
        (["0 0 29 2 *"], timedelta(days=8 * 365 + 1)),
        (["0 0 31 * *"], timedelta(days=61)),
        (["0 0 1 1 *"], timedelta(days=366)),
        (["0 2 * * 0", "0 2 * * 1-6"], timedelta(days=1)),
        (["0 1 * * *", "0 * * * *"], timedelta(hours=1)),
        (["0 1 * * *", "0 9-17 * * *"], timedelta(hours=8)),
        (["30 2 28 2 *", "30 2 29 2 *"], timedelta(days=365)),
        (["0 0 1 * 0"], timedelta(days=7)),
    ],
)
def test_longest_gap(texts: list[str], gap: timedelta) -> None:
    assert schedule.longest_gap(*map(schedule.parse, texts)) == gap


@pytest.mark.parametrize(
    "texts",
    list(itertools.pairwise(random_expressions(5, 13, once_a_day=True))),
)
def test_longest_gap_is_what_walking_a_cycle_of_years_finds(texts: tuple[str, str]) -> None:
    crons = [schedule.parse(text) for text in texts]
    days = [datetime(1999, 1, 1) + timedelta(days=number) for number in range(28 * 365)]
    runs = sorted(
        {day + time * MINUTE for day in days for cron in crons if cron.matches_day(day) for time in cron.times()}
    )
    assert schedule.longest_gap(*crons) == max(later - earlier for earlier, later in itertools.pairwise(runs))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("0 1 * * *", "0 * * * *", True),
        ("0 1 * * *", "30 * * * *", False),
        ("0 3 * * 0", "0 3 * * 1", False),
        ("0 3 13 * *", "0 3 * * 5", True),
        ("0 3 30 * *", "0 3 * 2 *", False),
        ("0 3 29 2 *", "0 3 * * 1", True),
    ],
)
def test_coincide(one: str, other: str, expected: bool) -> None:
    assert schedule.coincide(schedule.parse(one), schedule.parse(other)) is expected


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("0 1 * * *", ["*-*-* 01:00:00"]),
        ("*/15 * * * *", ["*-*-* *:00/15:00"]),
        ("30 2,14 * * *", ["*-*-* 02,14:30:00"]),
        ("0 3 * * 0", ["Sun *-*-* 03:00:00"]),
        ("0 3 * * 1-5", ["Mon..Fri *-*-* 03:00:00"]),
        ("0 3 1 */3 *", ["*-01,04,07,10-01 03:00:00"]),
        ("0 0 13 * 5", ["*-*-13 00:00:00", "Fri *-*-* 00:00:00"]),
        ("0 0 13 6 5", ["*-06-13 00:00:00", "Fri *-06-* 00:00:00"]),
    ],
)
def test_on_calendar(text: str, lines: list[str]) -> None:
    assert schedule.on_calendar(schedule.parse(text)) == lines


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed here")
@pytest.mark.parametrize("text", [*random_expressions(4, 25), "0 0 29 2 *", "0 0 13 * 5", "0 0 1-31 * 5"])
def test_systemd_runs_at_the_same_moments(text: str) -> None:
    cron = schedule.parse(text)
    start, count = datetime(2024, 2, 20, 5, 30), 12
    moments: set[datetime] = set()
    for line in schedule.on_calendar(cron):
        moments |= systemd_runs(line, start, count)
    expected, when = [], start
    while len(expected) < count:
        when = cron.next(when)
        expected.append(when)
    assert sorted(moments)[:count] == expected


def systemd_runs(line: str, start: datetime, count: int) -> set[datetime]:
    output = subprocess.run(
        ["systemd-analyze", "calendar", f"--iterations={count}", f"--base-time={start:%Y-%m-%d %H:%M:%S} UTC", line],
        env={"TZ": "UTC", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    runs = [text.split(": ", 1)[1].split() for text in output.splitlines() if text.endswith(" UTC")]
    return {datetime.strptime(" ".join(words[1:3]), "%Y-%m-%d %H:%M:%S") for words in runs}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 1 * * *", "daily at 01:00"),
        ("0 * * * *", "hourly at :00"),
        ("0,30 * * * *", "hourly at :00, :30"),
        ("* * * * *", "every minute"),
        ("*/15 * * * *", "every 15 minutes"),
        ("*/7 * * * *", "hourly at minute */7"),
        ("5 */6 * * *", "every 6 hours at :05"),
        ("0 3 * * 0", "at 03:00 on Sun"),
        ("0 3 * * 1-5", "at 03:00 on Mon-Fri"),
        ("0 4 1 1,7 *", "at 04:00 on day 1 in Jan, Jul"),
        ("0 0 13 * 5", "at 00:00 on day 13 or on Fri"),
        ("*/10 9-17 * * 1-5", "at minute */10 of the hours 9-17 on Mon-Fri"),
    ],
)
def test_describe(text: str, words: str) -> None:
    assert schedule.describe(schedule.parse(text)) == words


@pytest.mark.parametrize(
    ("word", "gap"),
    [("hourly", 1 / 24), ("daily", 1), ("weekly", 7), ("monthly", 31)],
)
def test_words_stand_for_a_moment_that_depends_on_the_name(word: str, gap: float) -> None:
    crons = [schedule.resolve(word, f"instance-{number}", "restore_test") for number in range(500)]
    assert {schedule.longest_gap(cron) for cron in crons[:5]} == {timedelta(days=gap)}
    assert crons == [schedule.resolve(word, f"instance-{number}", "restore_test") for number in range(500)]
    if word != "hourly":
        assert {hour for cron in crons for hour in cron.hours} == set(schedule.QUIET_HOURS)
    # Without a spread all 500 would share one moment.
    busiest = max(map(crons.count, crons))
    assert busiest <= {"hourly": 25, "daily": 12, "weekly": 6, "monthly": 6}[word]


def test_words_of_two_jobs_of_an_instance_differ() -> None:
    assert schedule.resolve("daily", "orders", "verify") != schedule.resolve("daily", "orders", "restore_test")


def test_a_word_falls_into_the_hours_that_are_asked_for() -> None:
    assert schedule.resolve("daily", "orders", "expire", range(7, 8)).hours == {7}


def test_an_expression_is_no_word() -> None:
    assert str(schedule.resolve("0 1 * * *", "orders", "full")) == "0 1 * * *"
    with pytest.raises(ValueError, match="five fields"):
        schedule.resolve("fortnightly", "orders", "full")


@pytest.mark.parametrize("minutes", [1, 3, 7, 15])
def test_every(minutes: int) -> None:
    assert schedule.longest_gap(schedule.every(minutes)) == timedelta(minutes=minutes)
