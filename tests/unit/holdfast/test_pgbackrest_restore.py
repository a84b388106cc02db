"""Which log a restore of PostgreSQL needs, whether it reaches the target, and what the server is left with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from ansible.module_utils.holdfast.engines._postgresql_scratch import end_of_log
from ansible.module_utils.holdfast.engines._postgresql_staging import server_settings
from ansible.module_utils.holdfast.errors import InvalidInput
from ansible.module_utils.holdfast.model import Backup, BackupType, RestoreTarget
from ansible.module_utils.holdfast.tools._pgbackrest_restore import (
    ArchivedFile,
    archived_files,
    log_range,
    target_arguments,
)

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BACKUP = Backup(
    "20261121-115500F",
    BackupType.FULL,
    "pgbackrest",
    "local",
    NOON - 5 * MINUTE,
    NOON,
    log_start="0/5000028",
    log_stop="0/5000100",
    details={"log_files": ["000000010000000000000005", "000000010000000000000005"]},
)


def segments(*names: str) -> list[ArchivedFile]:
    """Segments, one archived every minute."""
    return [ArchivedFile(name, NOON + number * MINUTE, 100) for number, name in enumerate(names)]


FIVE_TO_EIGHT = segments(*(f"00000001000000000000000{number}" for number in (5, 6, 7, 8)))


def test_log_up_to_the_newest():
    found = log_range(BACKUP, FIVE_TO_EIGHT, RestoreTarget())
    assert (found.files, found.size_bytes, found.gap) == (4, 400, None)
    assert (found.first, found.last, found.until) == (FIVE_TO_EIGHT[0].name, FIVE_TO_EIGHT[3].name, NOON + 3 * MINUTE)


def test_log_up_to_the_first_segment_that_was_archived_after_the_target():
    found = log_range(BACKUP, FIVE_TO_EIGHT, RestoreTarget(time=NOON + 1.5 * MINUTE))
    assert (found.files, found.last, found.gap) == (3, FIVE_TO_EIGHT[2].name, None)


def test_only_the_log_of_the_backup_itself():
    assert log_range(BACKUP, FIVE_TO_EIGHT, RestoreTarget(consistent=True)).files == 1


@pytest.mark.parametrize(
    ("files", "target", "gap"),
    [
        (FIVE_TO_EIGHT[1:], RestoreTarget(), "000000010000000000000005, with which the backup begins, is not in"),
        (
            FIVE_TO_EIGHT[:2] + FIVE_TO_EIGHT[3:],
            RestoreTarget(),
            "after 0000000000000006 the next segment is",
        ),
        (FIVE_TO_EIGHT, RestoreTarget(time=NOON + 9 * MINUTE), "the log in the repository ends at 2026-11-21T12:03:00"),
        (
            FIVE_TO_EIGHT,
            RestoreTarget(position="2/0"),
            "the log in the repository ends with segment",
        ),
    ],
)
def test_log_that_does_not_reach_the_target(files, target, gap):
    assert log_range(BACKUP, files, target).gap.startswith(gap)


def test_a_new_timeline_and_a_new_id_are_no_gap():
    names = [
        "0000000100000000000000FE",
        "0000000100000000000000FF",
        "000000010000000100000000",
        "000000020000000100000001",
    ]
    first = {"log_files": [names[0], names[0]]}
    backup = Backup("x", BackupType.FULL, "pgbackrest", "local", NOON, NOON, details=first)
    assert log_range(backup, segments(*names), RestoreTarget()).gap is None


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (RestoreTarget(time=NOON), "lies before the end of backup"),
        (RestoreTarget(position="0/5000000"), "lies before the end of backup"),
        (RestoreTarget(position="mysql-bin.000001:4"), "is no log position"),
        (RestoreTarget(transaction="12a"), "is no transaction id"),
        (RestoreTarget(timeline="first"), "is no timeline"),
    ],
)
def test_targets_that_make_no_sense(target, message):
    with pytest.raises(InvalidInput, match=message):
        log_range(BACKUP, FIVE_TO_EIGHT, target)


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        (RestoreTarget(), []),
        (RestoreTarget(timeline="2"), ["--target-timeline=2"]),
        (RestoreTarget(consistent=True), ["--type=immediate", "--target-action=promote"]),
        (RestoreTarget(consistent=True, timeline="2"), ["--type=immediate", "--target-action=promote"]),
        (RestoreTarget(position="0/6000000"), ["--type=lsn", "--target=0/6000000", "--target-action=promote"]),
        (RestoreTarget(transaction="77"), ["--type=xid", "--target=77", "--target-action=promote"]),
        (RestoreTarget(point="before"), ["--type=name", "--target=before", "--target-action=promote"]),
        (
            RestoreTarget(time=NOON.astimezone(timezone(timedelta(hours=1)))),
            ["--type=time", "--target=2026-11-21 12:00:00.000000+00", "--target-action=promote"],
        ),
    ],
)
def test_arguments_of_a_target(target, arguments):
    assert target_arguments(target) == arguments


def test_segments_of_a_listing():
    listing = {
        "0000000100000000/000000010000000000000006-ab12.zst": {"type": "file", "time": 1795262460, "size": 9},
        "0000000100000000/000000010000000000000005.00000028.backup": {"type": "file", "time": 1795262400, "size": 1},
        "0000000100000000": {"type": "path"},
        "00000002.history": {"type": "file", "time": 1795262400, "size": 1},
    }
    assert [(file.name, file.stored_bytes) for file in archived_files(listing)] == [("000000010000000000000006", 9)]


def test_a_restored_server_keeps_its_settings_and_forgets_the_recovery():
    restored = """\
# Do not edit this file manually!
work_mem = '64MB'
# Recovery settings generated by pgBackRest restore on 2026-11-21 12:00:00
restore_command = 'pgbackrest --stanza=orders archive-get %f "%p"'
recovery_target_time = '2026-11-21 12:00:00+00'
recovery_target_action = 'promote'
"""
    assert server_settings(restored, {}) == "# Do not edit this file manually!\nwork_mem = '64MB'\n"


def test_a_copy_of_another_instance_sends_its_log_nowhere_but_into_its_own_repository():
    restored = "archive_command = 'pgbackrest --stanza=orders archive-push %p'\nwork_mem = '64MB'\nport=5432\n"
    wanted = {"archive_command": "pgbackrest --stanza=copy's archive-push %p", "port": "5434", "wal_level": "replica"}
    assert server_settings(restored, wanted) == (
        "archive_command = 'pgbackrest --stanza=copy''s archive-push %p'\nwork_mem = '64MB'\nport = '5434'\n"
    )


def test_the_end_of_a_log_that_is_too_short():
    log = (
        "LOG:  redo done at 0/A029590 system usage: CPU: user: 0.00 s\n"
        "LOG:  last completed transaction was at log time 2026-11-21 12:01:02.5+00\n"
        "FATAL:  recovery ended before configured recovery target was reached\n"
    )
    assert end_of_log(log) == "2026-11-21 12:01:02.5+00 and 0/A029590"
    assert end_of_log("FATAL:  recovery ended before configured recovery target was reached") == "the backup itself"
