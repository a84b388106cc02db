"""Retention: the rules by example, and what must hold for any repository by many random ones."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from ansible.module_utils.holdfast import retention
from ansible.module_utils.holdfast.model import Backup, BackupType, Keep, Retention

NOW = datetime(2025, 6, 18, 12, tzinfo=UTC)  # a Wednesday
DAY = timedelta(days=1)
NOTHING = Keep()


def backup(name: str, age: timedelta, *, parent: str | None = None, **changes: object) -> Backup:
    """A backup that ended ``age`` ago; its type follows from the first letter of its name."""
    kinds = {
        "f": BackupType.FULL,
        "d": BackupType.DIFFERENTIAL,
        "i": BackupType.INCREMENTAL,
        "l": BackupType.LOGICAL,
    }
    finished = NOW - age
    found = Backup(name, kinds[name[0]], "tool", "local", finished - timedelta(minutes=5), finished, parent=parent)
    return replace(found, **changes)


def rules(**changes: object) -> Retention:
    base = Retention(NOTHING, NOTHING, NOTHING, timedelta(0), NOTHING, NOTHING, minimum_full=1)
    return replace(base, **changes)


def fulls(*days: float) -> list[Backup]:
    return [backup(f"f{day:g}", day * DAY) for day in days]


def ids(decisions: Iterable[retention.Decision]) -> list[str]:
    return [decision.backup.id for decision in decisions]


def planned(backups: list[Backup], keep: Retention, **options: object) -> retention.Plan:
    options = {"verified": {each.id for each in backups}, "now": NOW, **options}
    return retention.plan(backups, keep, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (rules(full=Keep(count=2)), ["f1", "f0"]),
        (rules(full=Keep(age=2 * DAY)), ["f2", "f1", "f0"]),
        (rules(full=Keep(age=timedelta(hours=47))), ["f1", "f0"]),
        (rules(full=Keep(count=1, age=3 * DAY)), ["f3", "f2", "f1", "f0"]),
        (rules(full=Keep(count=1), minimum_full=3), ["f2", "f1", "f0"]),
        (rules(), ["f0"]),
        (rules(full=Keep(count=1), log=2 * DAY), ["f2", "f1", "f0"]),
        (rules(full=Keep(count=1), log=timedelta(hours=36)), ["f2", "f1", "f0"]),
        (rules(full=Keep(count=99)), ["f5", "f4", "f3", "f2", "f1", "f0"]),
    ],
)
def test_count_age_minimum_and_log(keep: Retention, expected: list[str]) -> None:
    assert ids(planned(fulls(0, 1, 2, 3, 4, 5), keep).keep) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Keep(daily=3), ["f2", "f1", "f0.1"]),
        (Keep(weekly=2), ["f5", "f0.1"]),  # Friday of last week, Wednesday of this one
        (Keep(monthly=2), ["f20", "f0.1"]),  # 29 May
        (Keep(yearly=2), ["f200", "f0.1"]),
        (Keep(daily=1, monthly=1, yearly=2), ["f200", "f0.1"]),
        (Keep(count=2), ["f0.5", "f0.1"]),
    ],
)
def test_grandfather_father_son_keeps_the_newest_of_each_period(rule: Keep, expected: list[str]) -> None:
    backups = fulls(0.1, 0.5, 1, 2, 5, 6, 20, 40, 200, 210)
    assert ids(planned(backups, rules(archive=rule), archive=True).keep) == expected


def test_an_iso_week_at_the_turn_of_the_year_is_one_week() -> None:
    sunday = datetime(2024, 12, 29, 3, tzinfo=UTC)
    backups = [
        replace(backup(f"f{number}", DAY), finished=sunday + number * DAY) for number in range(9)
    ]  # 29 December to 6 January: the end of week 52, all of week 1, the first day of week 2
    assert ids(planned(backups, rules(archive=Keep(weekly=3)), archive=True).keep) == ["f0", "f7", "f8"]


def test_periods_without_a_backup_do_not_count() -> None:
    backups = fulls(0, 300, 301)
    assert ids(planned(backups, rules(archive=Keep(monthly=2)), archive=True).keep) == ["f300", "f0"]


def test_archive_rules_are_for_the_archive_repository_only() -> None:
    keep = rules(full=Keep(count=1), archive=Keep(count=3))
    assert len(planned(fulls(0, 1, 2, 3), keep).keep) == 1
    assert len(planned(fulls(0, 1, 2, 3), keep, archive=True).keep) == 3


def test_a_backup_stays_while_another_needs_it() -> None:
    backups = [
        *fulls(0, 3, 6),
        backup("d2", 2 * DAY, parent="f3"),
        backup("i1", DAY, parent="d2"),
        backup("i5", 5 * DAY, parent="f6"),
    ]
    plan = planned(backups, rules(full=Keep(count=1), incremental=Keep(age=2 * DAY)))
    assert ids(plan.keep) == ["f3", "d2", "i1", "f0"]
    assert [decision.reason for decision in plan.keep[:2]] == ["d2 needs it", "i1 needs it"]
    assert ids(plan.expire) == ["f6", "i5"]


@pytest.mark.parametrize(
    ("verified", "kept"),
    [
        (set(), ["f3", "f2", "f1", "f0"]),
        ({"f3"}, ["f3", "f2", "f1", "f0"]),
        ({"f2"}, ["f2", "f1", "f0"]),
        ({"f1"}, ["f1", "f0"]),
        ({"f0"}, ["f0"]),
    ],
)
def test_nothing_goes_without_a_newer_verified_full(verified: set[str], kept: list[str]) -> None:
    assert ids(planned(fulls(0, 1, 2, 3), rules(full=Keep(count=1)), verified=verified).keep) == kept


def test_an_incremental_is_no_successor() -> None:
    backups = [*fulls(2, 3), backup("i0", timedelta(0), parent="f2")]
    assert ids(planned(backups, rules(), verified={"i0"}).keep) == ["f3", "f2", "i0"]


def test_logical_backups_need_a_logical_successor() -> None:
    backups = [backup("l2", 2 * DAY), backup("l1", DAY), *fulls(0)]
    assert ids(planned(backups, rules(logical=NOTHING), verified={"f0"}).keep) == ["l2", "l1", "f0"]
    assert ids(planned(backups, rules(logical=NOTHING), verified={"f0", "l1"}).keep) == ["l1", "f0"]


def test_logical_backups_have_no_log() -> None:
    plan = planned([backup("l2", 2 * DAY), backup("l1", DAY)], rules(logical=Keep(count=1), log=7 * DAY))
    assert plan.oldest_log_of is None
    assert plan.window_after == retention.Window(NOW - DAY, NOW - DAY, None)


@pytest.mark.parametrize("how", ["error", "damaged", "parent damaged", "parent gone"])
def test_what_cannot_be_restored_counts_for_nothing(how: str) -> None:
    newest = backup("f0", timedelta(0))
    backups, damaged = [*fulls(1, 2, 3), newest], set()
    if how == "error":
        backups[-1] = replace(newest, error="checksum")
    elif how == "damaged":
        damaged = {"f0"}
    elif how == "parent damaged":
        backups[-1], damaged = replace(newest, parent="f3"), {"f3"}
    else:
        backups[-1] = replace(newest, parent="f9")
    plan = planned(backups, rules(full=Keep(count=1), minimum_full=2), damaged=damaged)
    # The two newest good ones are kept, and the bad one as nothing proven is newer.
    assert {"f2", "f1", "f0"} <= set(ids(plan.keep))
    assert plan.window_after.newest == NOW - DAY


def test_a_bad_backup_goes_when_its_time_has_come() -> None:
    plan = planned(fulls(0, 1, 2), rules(full=Keep(count=3)), damaged={"f1"})
    assert ids(plan.expire) == ["f1"]
    assert plan.expire[0].reason == "unfit for a restore: f1 is damaged"


def test_parents_in_a_circle_are_unfit_and_end_the_search() -> None:
    backups = [*fulls(0), backup("i1", DAY, parent="i2"), backup("i2", 2 * DAY, parent="i1")]
    plan = planned(backups, rules(incremental=Keep(count=9)))
    assert ids(plan.keep) == ["f0"]
    assert "needs itself" in plan.expire[0].reason


def test_log_is_kept_from_the_full_that_the_window_starts_from() -> None:
    plan = planned(fulls(0, 1, 2, 3, 4), rules(full=Keep(count=1), log=2 * DAY + timedelta(hours=1)))
    assert plan.oldest_log_of is not None
    assert plan.oldest_log_of.id == "f3"
    assert ids(plan.keep) == ["f3", "f2", "f1", "f0"]
    assert plan.window_before == retention.Window(NOW - 4 * DAY, NOW, NOW - 3 * DAY)
    assert plan.window_after == retention.Window(NOW - 3 * DAY, NOW, NOW - 3 * DAY)


def test_log_is_not_cut_at_a_full_that_nobody_has_verified() -> None:
    plan = planned(fulls(0, 1, 2, 3, 4), rules(full=Keep(age=9 * DAY), log=2 * DAY), verified={"f0", "f4"})
    assert plan.oldest_log_of is not None
    assert plan.oldest_log_of.id == "f4"


def test_a_young_instance_keeps_its_log_from_the_first_full() -> None:
    plan = planned(fulls(0, 1), rules(full=Keep(age=7 * DAY), log=7 * DAY))
    assert plan.oldest_log_of is not None
    assert plan.oldest_log_of.id == "f1"


def test_no_backup_at_all() -> None:
    plan = planned([], rules())
    assert plan == retention.Plan((), (), None, *[retention.Window(None, None, None)] * 2)
    assert retention.describe(plan.window_after) == "nothing can be restored"


def test_nothing_expires_while_the_clock_is_behind_a_backup() -> None:
    plan = planned([*fulls(1, 2, 3), backup("f-1", -DAY)], rules(full=Keep(count=1)))
    assert plan.expire == ()
    assert plan.oldest_log_of is None
    assert {decision.reason for decision in plan.keep} == {"the clock is behind backup f-1, so nothing expires"}


def test_a_second_of_skew_is_not_the_future() -> None:
    backups = [*fulls(1, 2), backup("f0", -timedelta(seconds=1))]
    assert ids(planned(backups, rules(full=Keep(count=1))).keep) == ["f0"]


def test_a_clock_far_ahead_or_backups_that_stopped_cost_no_history() -> None:
    keep = rules(full=Keep(age=3 * DAY), log=2 * DAY)
    backups = fulls(0, 1, 2, 3, 4)
    assert ids(planned(backups, keep, now=NOW + 365 * DAY).keep) == ids(planned(backups, keep).keep)


def test_describe_window() -> None:
    plan = planned(fulls(0, 1), rules(full=Keep(count=2), log=DAY))
    assert retention.describe(plan.window_after) == (
        "2025-06-17T12:00:00.000Z to 2025-06-18T12:00:00.000Z, any moment from 2025-06-17T12:00:00.000Z on"
    )


def random_keep(rng: random.Random) -> Keep:
    return Keep(
        count=rng.choice([0, 0, 1, 3, 10]),
        age=rng.choice([None, DAY, 3 * DAY, 10 * DAY]),
        daily=rng.choice([0, 0, 2, 5]),
        weekly=rng.choice([0, 0, 2]),
        monthly=rng.choice([0, 0, 1]),
    )


def random_repository(rng: random.Random) -> tuple[list[Backup], Retention, dict[str, object]]:
    backups: list[Backup] = []
    for number in range(rng.randint(0, 40)):
        age = timedelta(hours=rng.randint(0, 24 * 45))
        kind = rng.choice("ffdiil")
        parent = None
        if kind in "di":
            older = [each for each in backups if each.finished < NOW - age and each.type is not BackupType.LOGICAL]
            if kind == "d":
                older = [each for each in older if each.type is BackupType.FULL]
            if not older:
                continue
            parent = rng.choice(older).id
        error = "checksum" if rng.random() < 0.1 else None
        backups.append(backup(f"{kind}{number}", age, parent=parent, error=error))
    keep = Retention(
        *(random_keep(rng) for _ in range(3)),
        log=rng.choice([timedelta(0), 2 * DAY, 7 * DAY]),
        logical=random_keep(rng),
        archive=random_keep(rng),
        minimum_full=rng.randint(1, 4),
    )
    share = rng.choice([0.3, 0.9, 1.0])
    options: dict[str, object] = {
        "verified": {each.id for each in backups if rng.random() < share},
        "damaged": {each.id for each in backups if rng.random() < 0.05},
        "now": NOW + rng.choice([timedelta(0), 3 * DAY, -3 * DAY]),
        "archive": rng.random() < 0.3,
    }
    return backups, keep, options


def usable(backups: list[Backup], damaged: set[str]) -> list[Backup]:
    by_id = {each.id: each for each in backups}

    def fit(each: Backup) -> bool:
        if each.error or each.id in damaged:
            return False
        return each.parent is None or (each.parent in by_id and fit(by_id[each.parent]))

    return [each for each in backups if fit(each)]


@pytest.mark.parametrize("seed", range(300))
def test_what_holds_for_any_repository(seed: int) -> None:
    rng = random.Random(seed)
    backups, keep, options = random_repository(rng)
    damaged: set[str] = options["damaged"]  # type: ignore[assignment]
    verified: set[str] = options["verified"]  # type: ignore[assignment]
    plan = planned(backups, keep, **options)
    kept, gone = set(ids(plan.keep)), set(ids(plan.expire))

    assert kept | gone == {each.id for each in backups}
    assert not kept & gone
    assert all(decision.reason for decision in (*plan.keep, *plan.expire))

    # Never below the minimum of usable fulls, or all of them where there are fewer.
    before = [each for each in usable(backups, damaged) if each.type is BackupType.FULL]
    after = [each for each in before if each.id in kept]
    assert len(after) >= min(len(before), keep.minimum_full)

    # No backup is left without the one it needs.
    present = {each.id for each in backups}
    assert all(each.parent in kept for each in backups if each.id in kept and each.parent in present)

    # Whatever goes has a usable, verified successor that stays.
    for each in backups:
        if each.id in gone:
            kind = BackupType.LOGICAL if each.type is BackupType.LOGICAL else BackupType.FULL
            assert any(
                other.type is kind and other.id in verified & kept and other.finished > each.finished
                for other in usable(backups, damaged)
            )

    # The log begins at a full that stays, and every full after it stays too.
    if plan.oldest_log_of:
        start = plan.oldest_log_of.finished
        assert {each.id for each in before if each.finished >= start} <= kept
        assert plan.window_after.continuous_from == start

    # What could be restored at the newest end still can.
    assert plan.window_after.newest == plan.window_before.newest

    # A second run finds nothing more to do.
    again = planned([each for each in backups if each.id in kept], keep, **options)
    assert again.expire == ()
    assert again.oldest_log_of == plan.oldest_log_of


@pytest.mark.parametrize("seed", range(200))
def test_keeping_longer_never_expires_more(seed: int) -> None:
    rng = random.Random(1000 + seed)
    backups, keep, options = random_repository(rng)
    name = rng.choice(["full", "incremental", "archive", "logical", "log", "minimum_full"])
    if name == "log":
        longer = replace(keep, log=keep.log + 5 * DAY)
    elif name == "minimum_full":
        longer = replace(keep, minimum_full=keep.minimum_full + 2)
    else:
        rule: Keep = getattr(keep, name)
        part = rng.choice(["count", "age", "daily", "weekly", "monthly", "yearly"])
        more = (rule.age or timedelta(0)) + 4 * DAY if part == "age" else getattr(rule, part) + 2
        longer = replace(keep, **{name: replace(rule, **{part: more})})
    assert set(ids(planned(backups, keep, **options).keep)) <= set(ids(planned(backups, longer, **options).keep))
