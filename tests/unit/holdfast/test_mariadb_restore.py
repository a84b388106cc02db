"""What makes a restored MariaDB server the live one: its place, its service and how its log goes on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from ansible.module_utils.holdfast import errors
from ansible.module_utils.holdfast.engines import _binlog as binlog
from ansible.module_utils.holdfast.engines import _mariadb_history as history
from ansible.module_utils.holdfast.engines import _mariadb_pair as pair_file
from ansible.module_utils.holdfast.engines import _mariadb_service as service
from ansible.module_utils.holdfast.engines._binlog import LogFile
from ansible.module_utils.holdfast.engines._mariadb_staging import MariaDBStaging
from ansible.module_utils.holdfast.model import Instance, Keep, Reached, Retention, ServiceLevel
from ansible.module_utils.holdfast.tools import _mariadb_log_files as rules
from ansible.module_utils.holdfast.units import utcnow

KEEP = Keep()
LEVEL = ServiceLevel(
    "s", timedelta(hours=1), timedelta(hours=1), Retention(KEEP, KEEP, KEEP, timedelta(1), KEEP, KEEP), {}
)


@pytest.mark.parametrize(
    ("highest", "first"), [(0, 100_001), (57, 100_001), (99_999, 100_001), (100_000, 200_001), (100_001, 200_001)]
)
def test_the_log_goes_on_after_a_gap(highest: int, first: int) -> None:
    assert binlog.first_of_next_history(highest) == first
    assert binlog.begins_history(f"b.{first:06d}")
    assert not binlog.begins_history("b.000001"), "a server that was never restored begins with it"
    assert not binlog.begins_history(f"b.{first + 1:06d}")


def test_a_gap_that_a_restore_explains_is_a_new_beginning_and_no_damage() -> None:
    last, first = LogFile(1000, "b.000007", 50), LogFile(2000, "b.100001", 50)
    fresh, gap = rules.unsaved(last, [first])
    assert (fresh, "restored" in gap) == ([first], True)
    assert rules.gaps([last, first]) == []
    assert rules.from_position([last, first], "b.000007", 9999) == [last]


class Server:
    """A server whose statements are noted; its log is on disk, and RESET MASTER is as the real one does it."""

    where = "here"

    def __init__(self, state: Path, data: Path, log: Path | None, refuses: int = 0) -> None:
        level = LEVEL
        self.instance = Instance("shop", "mariadb", 3306, level, (), "mysql", str(state))
        self.data, self.log, self.refuses, self.gtids = data, log, refuses, ""

    def log_directory(self) -> tuple[str, str] | None:
        return (str(self.log), "b") if self.log else None

    def log_names(self) -> list[str]:
        assert self.log
        return binlog.names_of([path.name for path in self.log.iterdir()], "b")

    def row(self, statement: str) -> tuple[str]:
        assert statement == "SELECT @@datadir"
        return (f"{self.data}/",)

    def execute(self, statement: str, arguments: tuple[str, ...] = ()) -> None:
        assert self.log
        if arguments and self.refuses:
            self.refuses -= 1
            raise errors.CommandFailed("the binary log must be empty")
        for name in self.log_names():
            if (self.log / name).stat().st_size:
                (self.log / name).unlink()
        number = max((binlog.split_name(name)[1] for name in self.log_names()), default=0) + 1
        (self.log / f"b.{number:06d}").write_text("log")
        self.gtids = arguments[0] if arguments else ""


@pytest.mark.parametrize("refuses", [0, 3])
def test_a_restored_server_begins_its_log_anew(tmp_path: Path, refuses: int) -> None:
    (tmp_path / "b.000001").write_text("of the first start")
    server = Server(tmp_path, tmp_path, tmp_path, refuses)
    history.write_note(str(tmp_path), 300_004)
    history.begin(server, Reached("b.200009:345 0-1-7,3-1-2"))  # type: ignore[arg-type]
    assert server.log_names() == ["b.400001"]
    assert server.gtids == "0-1-7,3-1-2"


def test_log_files_outside_the_data_directory_stay_under_other_names(tmp_path: Path) -> None:
    data, log = tmp_path / "data", tmp_path / "log"
    data.mkdir()
    log.mkdir()
    (log / "b.000041").write_text("old")
    (log / "b.000042").write_text("of the first start")
    server = Server(tmp_path, data, log)
    history.begin(server, Reached("LSN 77"))  # type: ignore[arg-type]
    assert server.log_names() == ["b.100001"]
    (aside,) = log.glob("before-*")
    assert {path.name: path.read_text() for path in aside.iterdir()} == {
        "b.000041": "old", "b.000042": "of the first start",
    }  # fmt: skip


def test_a_server_without_binary_log_is_left_alone(tmp_path: Path) -> None:
    history.begin(Server(tmp_path, tmp_path, None), Reached("LSN 77"))  # type: ignore[arg-type]


def test_a_restore_is_remembered(tmp_path: Path) -> None:
    assert history.read_note(str(tmp_path)) is None
    began = utcnow()
    history.write_note(str(tmp_path), 12)
    note = history.read_note(str(tmp_path))
    assert note
    assert note.log_number == 12
    assert abs(note.when - began) < timedelta(seconds=5)


def test_a_member_of_a_pair_gets_another_server_id(tmp_path: Path) -> None:
    options = {"configuration_directory": str(tmp_path)}
    restored = Instance("orders", "mariadb", 3306, LEVEL, (), "mysql", "/nowhere", options=options)
    pair_file.renumber(restored)
    assert list(tmp_path.iterdir()) == [], "it is in no pair"
    path = Path(pair_file.path(restored))
    path.write_text(pair_file.render({"server_id": "4294967295", "read_only": "OFF", "report_host": "orders"}))
    pair_file.renumber(restored)
    found = pair_file.read(restored)
    assert found.pop("server_id") != "4294967295"
    assert found == {"read_only": "OFF", "report_host": "orders"}
    assert path.read_text() == pair_file.render(pair_file.read(restored))


@pytest.mark.parametrize(
    ("position", "number", "gtids"),
    [
        ("mysql-bin.000012:345 0-1-7,1-1-9", 12, "0-1-7,1-1-9"),
        ("mysql-bin.000012:345", 12, ""),
        ("LSN 77", 0, ""),
        ("unknown", 0, ""),
    ],
)
def test_parts_of_a_position(position: str, number: int, gtids: str) -> None:
    assert (history.number_in(position), history.gtids_in(position)) == (number, gtids)


def staging(root: Path, directory: str, live: str | None = "{root}/mysql") -> MariaDBStaging:
    instance = Instance("shop", "mariadb", 3306, LEVEL, (), "mysql", str(root / "state"))
    return MariaDBStaging(
        instance,
        directory.format(root=root),
        live_data_directory=live.format(root=root) if live else None,
        expected_size=0,
        connect=lambda *_: pytest.fail("no server here"),
    )


@pytest.mark.parametrize(
    "directory",
    [
        "{root}/mysql", "{root}", "{root}/mysql/.holdfast-shop/restore", "{root}/.holdfast-shop", "/var/lib/mysql",
        "{root}/.holdfast-other/restore", "{root}/state/scratch/t", "{root}/.holdfast-shop/../mysql",
    ],
)  # fmt: skip
def test_staging_refuses_every_other_directory(tmp_path: Path, directory: str) -> None:
    with pytest.raises(errors.InvalidInput, match=r"\.holdfast-shop"):
        staging(tmp_path, directory)


def test_staging_refuses_a_link_and_a_place_beside_nothing(tmp_path: Path) -> None:
    (tmp_path / "mysql").mkdir()
    (tmp_path / ".holdfast-shop").mkdir()
    (tmp_path / ".holdfast-shop/restore").symlink_to(tmp_path / "mysql")
    with pytest.raises(errors.InvalidInput, match="belongs into"):
        staging(tmp_path, "{root}/.holdfast-shop/restore")
    with pytest.raises(errors.InvalidInput, match="belongs into"):
        staging(tmp_path, "{root}/.holdfast-shop/restore", None)


def test_staging_is_beside_the_live_data_also_when_they_are_gone(tmp_path: Path) -> None:
    made = staging(tmp_path, "{root}/.holdfast-shop/restore")
    made.prepare()
    made.destroy()
    assert list((tmp_path / ".holdfast-shop").iterdir()) == []


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ("", {}),
        ("MYSQLD_MULTI_INSTANCE=--defaults-group-suffix=.shop", {"defaults-group-suffix": ".shop"}),
        ("'MYSQLD_MULTI_INSTANCE=--defaults-group-suffix=.a --basedir=/usr' X=1 MYSQLD_OPTS=--data_dir=/x",
         {"defaults-group-suffix": ".a", "basedir": "/usr", "data-dir": "/x"}),
    ],
)  # fmt: skip
def test_options_in_a_unit(environment: str, found: dict[str, str]) -> None:
    assert service.values(service.arguments_in(environment)) == found


def test_the_last_of_equal_options_counts() -> None:
    assert service.values(["--datadir=/a", "--skip-grant", "--datadir=/b"]) == {"datadir": "/b"}
