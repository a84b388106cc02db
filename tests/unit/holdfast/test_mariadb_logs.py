from datetime import UTC, datetime

import pytest
from ansible.module_utils.holdfast.engines._binlog import LogFile
from ansible.module_utils.holdfast.engines._mariadb_logs import Facts, decide
from ansible.module_utils.holdfast.engines.logs import Need
from ansible.module_utils.holdfast.errors import Refused
from ansible.module_utils.holdfast.model import Backup, BackupType

FILES = [LogFile(1000 + number, f"mysql-bin.{number:06d}", 100) for number in range(1, 6)]
WHEN = datetime(2026, 11, 26, tzinfo=UTC)


def backup(stop, id_="F1", finished=WHEN):
    return Backup(id_, BackupType.FULL, "mariadb-backup", "local", WHEN, finished, log_stop=stop)


def facts(**changes):
    fields = {
        "backups": [backup("mysql-bin.000004:300 0-1-9")],
        "saved": {"local": FILES, "offsite": FILES},
        "current": "mysql-bin.100001",
    }
    return Facts(**{**fields, **changes})


def names(planned):
    return [name[-1] for name in planned.files]


def test_what_a_verified_backup_holds_and_every_repository_has_can_go():
    planned = decide(FILES, facts())
    assert names(planned) == ["1", "2", "3"]
    assert planned.size == 300
    assert planned.statements == ("PURGE BINARY LOGS TO 'mysql-bin.000004'",)
    assert "no verified backup holds it: the newest is F1" in planned.kept["mysql-bin.000004"]


def test_without_a_verified_backup_nothing_goes():
    planned = decide(FILES, facts(backups=[]))
    assert (planned.files, planned.statements) == ((), ())
    assert set(planned.kept.values()) == {"no backup is verified"}


def test_the_newest_verified_backup_decides():
    later = backup("mysql-bin.000006:4", "F2", datetime(2026, 11, 27, tzinfo=UTC))
    planned = decide(FILES, facts(backups=[later, backup("mysql-bin.000002:4")]))
    assert names(planned) == ["1", "2", "3", "4", "5"]
    assert planned.statements == ("PURGE BINARY LOGS TO 'mysql-bin.100001'",)
    assert decide(FILES, facts(backups=[backup(None)])).files == ()


@pytest.mark.parametrize(
    ("saved", "why"),
    [
        (FILES[1:], "it is not in repository offsite"),
        ([LogFile(1001, "mysql-bin.000001", 99), *FILES[1:]], "it is not in repository offsite"),  # cut short
        ([LogFile(7, "mysql-bin.000001", 100), *FILES[1:]], "it is not in repository offsite"),  # before RESET MASTER
    ],
)
def test_what_one_repository_lacks_stays_and_all_that_is_newer_with_it(saved, why):
    planned = decide(FILES, facts(saved={"local": FILES, "offsite": saved}))
    assert planned.files == ()
    assert planned.kept["mysql-bin.000001"] == why
    assert "one before it stays" in planned.kept["mysql-bin.000002"]


@pytest.mark.parametrize(
    ("oldest", "gone"),
    [
        # Files end when the next one begins: 1002, 1003, 1004, 1005, and of the newest that is not known.
        ({"local": 1002.5, "offsite": 1002.5}, ["1"]),
        ({"local": 1003.5, "offsite": 1002.5}, ["1"]),
        ({"local": 9999.0, "offsite": 9999.0}, ["1", "2", "3"]),
        ({"local": 1002.0, "offsite": 1002.0}, []),
        ({"local": 1002.5}, []),  # the other has no backup, and will need the log of its first one
        ({}, []),
    ],
)
def test_what_ended_before_every_backup_of_a_repository_need_not_be_in_it(oldest, gone):
    assert names(decide(FILES, facts(saved={"local": [], "offsite": []}, oldest=oldest))) == gone


def test_what_a_replica_needs_stays():
    planned = decide(FILES, facts(needs=[Need("shop", "shop-dr", "mysql-bin.000002")], readers=1))
    assert names(planned) == ["1"]
    assert planned.kept["mysql-bin.000002"] == "replica shop-dr still needs mysql-bin.000002"
    other = decide(FILES, facts(needs=[Need("shop", "shop-dr", "other-bin.000009")]))
    assert other.files == (), "a position in another log says nothing"


def test_log_that_is_in_no_repository_stays_for_a_replica_that_is_made_anew():
    needs = [Need("shop", "shop-dr", "mysql-bin.000005")]
    begins = {"local": backup("mysql-bin.000004:300 0-1-9"), "offsite": backup("mysql-bin.000002:4", "F0")}
    planned = decide(FILES, facts(saved={}, needs=needs, begins=begins))
    assert names(planned) == ["1"]
    assert planned.kept["mysql-bin.000002"] == "replica shop-dr would need it when made from F0, the newest in offsite"
    assert names(decide(FILES, facts(saved={}, begins=begins))) == ["1", "2", "3"], "there is no replica"
    unknown = {"offsite": backup(None, "F0")}
    assert names(decide(FILES, facts(saved={}, needs=needs, begins=unknown))) == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"needs": [Need("shop", "shop-dr", problem="it was not asked")]}, "what its replica shop-dr still needs"),
        ({"needs": [Need("shop", "shop-dr")]}, "it does not say"),
        ({"readers": 1}, "1 replicas read the binary log and the inventory knows 0"),
    ],
)
def test_a_replica_that_nobody_knows_is_a_refusal(changes, why):
    with pytest.raises(Refused, match=why):
        decide(FILES, facts(**changes))


def test_a_log_that_is_not_backed_up_goes_by_the_backup_alone():
    assert names(decide(FILES, facts(saved={}))) == ["1", "2", "3"]


def test_nothing_closed_is_nothing_to_do():
    assert decide([], facts()).statements == ()
