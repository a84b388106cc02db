"""Options, errors and reports of pgBackRest. The messages are the tool's own, of 2.45 and 2.55."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from ansible.module_utils.holdfast import errors
from ansible.module_utils.holdfast.engines import _postgresql_wal as wal
from ansible.module_utils.holdfast.errors import InvalidInput, Unsupported, WrongKey
from ansible.module_utils.holdfast.model import Backup, BackupType, Repository
from ansible.module_utils.holdfast.process import Result
from ansible.module_utils.holdfast.tools import _pgbackrest_config as config
from ansible.module_utils.holdfast.tools import _pgbackrest_version as versions
from ansible.module_utils.holdfast.tools._pgbackrest_errors import failure, spooled_error, words
from ansible.module_utils.holdfast.tools._pgbackrest_info import backup_of, chain, segment_size
from ansible.module_utils.holdfast.tools._pgbackrest_verify import damaged_segments, log_gaps, verdict
from ansible.module_utils.holdfast.tools.pgbackrest import PgBackRest

from .test_postgresql import an_instance

SIZE = 16 << 20
LOCAL = Repository("local", "posix", {"path": "/backup"}, {"passphrase": "secret-one"})
VAULT = Repository(
    "vault",
    "s3",
    {
        "endpoint": "vault1:9000",
        "bucket": "b",
        "prefix": "/fleet/",
        "region": "r",
        "uri_style": "path",
        "ca_file": "/ca",
    },
    {"passphrase": "secret-two", "key_id": "id", "key_secret": "secret-three"},
)
SFTP = Repository(
    "far", "sftp", {"host": "h", "user": "u", "path": "/p", "private_key_file": "/k"}, {"passphrase": "x"}
)


@pytest.mark.parametrize(
    ("text", "version"),
    [("pgBackRest 2.45\n", (2, 45)), ("pgBackRest 2.55.1", (2, 55, 1)), ("pgBackRest 2.60dev", (2, 60))],
)
def test_version(text: str, version: tuple[int, ...]) -> None:
    assert versions.parse(text) == version


def test_the_version_is_asked_for_once_until_the_program_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, asked = tmp_path / "pgbackrest", tmp_path / "asked"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    orders = an_instance(str(tmp_path))

    def install(version: str) -> None:
        fresh = tmp_path / "fresh"
        fresh.write_text(f"#!/bin/sh\necho pgBackRest {version}; echo x >> {asked}\n")
        fresh.chmod(0o755)
        os.utime(fresh, (0, 0))  # as a package does
        fresh.rename(program)

    install("2.45")
    assert [versions.installed(orders) for _ in range(3)] == [(2, 45)] * 3
    assert asked.read_text() == "x\n"
    install("2.55")
    assert [versions.installed(orders) for _ in range(3)] == [(2, 55)] * 3
    assert asked.read_text() == "x\nx\n"


def test_block_incremental_where_the_version_has_it() -> None:
    old, new = (config.repository_options(LOCAL, 1, version) for version in ((2, 45), (2, 46)))
    assert "repo1-block" not in old
    assert new["repo1-block"] == new["repo1-bundle"] == "y"
    assert old["repo1-path"] == new["repo1-path"] == "/backup/pgbackrest"
    assert old["repo1-cipher-type"] == "aes-256-cbc"


def test_s3_options() -> None:
    options = config.repository_options(VAULT, 2, (2, 55))
    expected = {
        "repo2-path": "/fleet/pgbackrest",
        "repo2-s3-bucket": "b",
        "repo2-s3-endpoint": "vault1",
        "repo2-storage-port": "9000",
        "repo2-s3-uri-style": "path",
        "repo2-storage-ca-file": "/ca",
        "repo2-s3-key": "id",
        "repo2-s3-key-secret": "secret-three",
    }
    assert expected.items() <= options.items()


def test_sftp_needs_a_newer_version() -> None:
    assert config.repository_options(SFTP, 1, (2, 46))["repo1-sftp-host-user"] == "u"
    with pytest.raises(Unsupported, match=r"needs pgBackRest 2\.46 or newer, this is 2\.45"):
        config.repository_options(SFTP, 1, (2, 45))


def test_an_address_is_asked_until_it_has_answered() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        far = replace(SFTP, settings={**SFTP.settings, "host": "127.0.0.1", "port": str(port)})
        for _ in range(2):
            with pytest.raises(errors.RepositoryUnavailable, match=f"127.0.0.1:{port} does not answer"):
                config.check_reachable(far)
        server.listen()
        server.settimeout(0.2)
        for _ in range(3):
            config.check_reachable(far)
        server.accept()[0].close()
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_missing_passphrase_is_a_key_error() -> None:
    with pytest.raises(WrongKey, match="passphrase is missing"):
        config.repository_options(replace(LOCAL, secrets={}), 1, (2, 45))


def test_log_is_never_dropped_and_nothing_expires_by_itself() -> None:
    options = config.stanza_options(an_instance(), "/data", "/run")
    assert "archive-push-queue-max" not in options
    assert options["expire-auto"] == "n"
    assert options["archive-async"] == "y"
    repository = config.repository_options(LOCAL, 1, (2, 45))
    assert {repository[f"repo1-retention-{what}"] for what in ("full", "diff", "archive")} == {"9999999"}


def test_a_value_cannot_break_out_of_its_line() -> None:
    with pytest.raises(InvalidInput):
        config.section("orders", {"repo1-cipher-pass": "a\nrepo1-path=/etc"})
    assert config.section("orders", {"b": "2", "a": "1"}).endswith("[orders]\na=1\nb=2\n")


def test_environment_names() -> None:
    assert config.environment("orders", {"repo1-cipher-pass": "x"}) == {
        "PGBACKREST_REPO1_CIPHER_PASS": "x",
        "PGBACKREST_STANZA": "orders",
    }


@pytest.mark.parametrize(
    ("content", "found"),
    [("[orders]\npg1-path=/x\n", True), ("[orders:backup]\n", True), ("[orders2]\n", False), ("# [orders]\n", False)],
)
def test_a_stanza_that_somebody_else_configured(tmp_path: Path, content: str, found: bool) -> None:
    other = tmp_path / "old.conf"
    other.write_text(content)
    own = tmp_path / "holdfast-orders.conf"
    own.write_text("[orders]\n")
    assert config.foreign_section("orders", str(own), str(tmp_path)) == (str(other) if found else None)


INFO_LINE = "INFO: backup command begin 2.45: --archive-timeout=60 --repo1-cipher-pass=<redacted> --stanza=orders\n"
NO_INFO = (
    "ERROR: [055]: unable to load info file '/b/backup/orders/backup.info' or '/b/backup/orders/backup.info.copy':\n"
    "       FileMissingError: unable to open missing file '/b/backup/orders/backup.info' for read\n"
    "       HINT: backup.info cannot be opened and is required to perform a backup.\n"
    "       HINT: has a stanza-create been performed?\n"
)
GARBLED = (
    "ERROR: [029]: unable to load info file '/b/backup/orders/backup.info' or '/b/backup/orders/backup.info.copy':\n"
    "       FormatError: key/value found outside of section at line 1: \x88\x93\x07 key \x9a\n"
    "       HINT: has a stanza-create been performed?\n"
)


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (29, GARBLED, "WrongKey"),
        (95, "ERROR: [095]: unable to flush", "WrongKey"),
        (55, NO_INFO, "RepositoryMissing"),
        (55, NO_INFO.replace("FileMissingError", "HostConnectError"), "RepositoryUnavailable"),
        (103, "ERROR: [103]: unable to find a valid repository", "RepositoryUnavailable"),
        (55, "ERROR: [055]: unable to open missing file '/b/backup/orders/2026F/x.zst' for read", "CorruptBackup"),
        (50, "ERROR: [050]: unable to acquire lock on file '/l/orders-backup.lock': busy", "Busy"),
        (
            51,
            "ERROR: [051]: PostgreSQL version 15, system-id 1 do not match stanza version 15, system-id 2",
            "ForeignRepository",
        ),
        (28, "ERROR: [028]: backup and archive info files exist but do not match the database", "ForeignRepository"),
        (87, "ERROR: [087]: archive_mode must be enabled", "RestartRequired"),
        (56, "ERROR: [056]: unable to find primary cluster - cannot proceed", "ServerUnavailable"),
        (47, "ERROR: [047]: unable to create path '/mnt': [13] Permission denied", "RepositoryUnavailable"),
        (
            39,
            "ERROR: [039]: HTTP request failed with 403 (Forbidden):\n       *** Path/Query ***: GET /b",
            "AccessDenied",
        ),
        (
            101,
            "ERROR: [101]: known hosts failure: 'h' mismatch in known hosts files: LIBSSH2_KNOWNHOST_CHECK_MISMATCH",
            "AccessDenied",
        ),
        (101, "ERROR: [101]: public key authentication failed: libssh2 error [-18]", "AccessDenied"),
        (101, "ERROR: [101]: libssh2 handshake failed: libssh2 error [-43]", "RepositoryUnavailable"),
        (39, "ERROR: [039]: HTTP request failed with 404 (Not Found):", "RepositoryUnavailable"),
        (64, "ERROR: [064]: unable to write '/b/x': [28] No space left on device", "RepositoryFull"),
        (
            104,
            "ERROR: [104]: archive-push command encountered error(s):\n  repo1: [CryptoError] unable to flush",
            "WrongKey",
        ),
        (
            75,
            "WARN: repo1: [FormatError] key/value found outside of section at line 1\nERROR: [075]: no backup set",
            "WrongKey",
        ),
        (75, "ERROR: [075]: backup set 2026F is not valid", "CorruptBackup"),
        (62, "ERROR: [062]: stop file exists for all stanzas", "InvalidInput"),
        (122, "ERROR: [122]: something new", "CommandFailed"),
    ],
)
def test_failures(code: int, text: str, kind: str) -> None:
    error = failure("backup", code, INFO_LINE + text, "orders")
    assert type(error) is getattr(errors, kind)
    assert error.where == "orders"
    assert error.what.isprintable()


def test_a_wrong_key_shows_nothing_of_what_was_decrypted() -> None:
    assert "key \x9a" not in str(failure("info", 0, GARBLED, "orders"))
    assert words("\x88abc\x00def").isprintable()


def test_spooled_error_is_the_newest(tmp_path: Path) -> None:
    assert spooled_error(str(tmp_path)) == ""
    (tmp_path / "000000010000000000000001.error").write_text(
        "104\nrepo1: [FileWriteError] [28] No space left on device"
    )
    (tmp_path / "000000010000000000000000.ok").write_text("")
    said = spooled_error(str(tmp_path))
    assert type(failure("archive-push", 0, said, "x")) is errors.RepositoryFull


CLEAN = """stanza: orders
status: ok
  archiveId: 15-1, total WAL checked: 31, total valid WAL: 31
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
  backup: 20261122-050159F, status: valid, total files checked: 1277, total valid files: 1277
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
"""
DAMAGED = """stanza: orders
status: error
  archiveId: 15-1, total WAL checked: 31, total valid WAL: 30
    missing: 0, checksum invalid: 1, size invalid: 0, other: 0
  backup: 20261122-050159F, status: invalid, total files checked: 1277, total valid files: 1275
    missing: 1, checksum invalid: 1, size invalid: 0, other: 0
  backup: 20261122-060159F, status: manifest missing, total files checked: 0, total valid files: 0
  backup: 20261122-070159F, status: valid, total files checked: 9, total valid files: 9
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
"""


def test_verdict() -> None:
    clean = verdict(CLEAN)
    assert clean is not None
    assert (clean.damaged, clean.problems) == ({}, [])
    found = verdict(DAMAGED)
    assert found is not None
    assert found.damaged == {
        "20261122-050159F": "2 of 1277 files are damaged (missing: 1, checksum invalid: 1)",
        "20261122-060159F": "its manifest is missing",
    }
    assert found.problems == ["log 15-1: 1 of 31 segments are damaged (checksum invalid: 1)"]


@pytest.mark.parametrize("output", ["", "stanza: orders\n", "WARN: x"])
def test_a_report_that_cannot_be_read_is_no_success(output: str) -> None:
    assert verdict(output) is None


def test_an_error_without_detail_is_still_a_problem() -> None:
    found = verdict("stanza: orders\nstatus: error\n  No usable backup.info file\n")
    assert found is not None
    assert found.problems == ["No usable backup.info file"]
    bare = verdict("stanza: orders\nstatus: error\n")
    assert bare is not None
    assert bare.problems


def test_damaged_segments() -> None:
    line = "INFO: invalid checksum '15-1/0000000100000000/000000010000000000000016-95067c24.zst'"
    assert damaged_segments(line) == ["000000010000000000000016"]
    other = "INFO: invalid result 15-1/0000000100000000/000000010000000000000017-414a.zst: [29] raised"
    assert damaged_segments(other) == ["000000010000000000000017"]
    assert damaged_segments("INFO: invalid checksum '2026F/pg_data/base/1/2.zst'") == []


def seg(*numbers: int) -> list[str]:
    return [f"0000000100000000{number:08X}" for number in numbers]


def taken(label: str, start: int, stop: int) -> dict[str, Any]:
    return {"label": label, "archive": {"start": seg(start)[0], "stop": seg(stop)[0]}}


@pytest.mark.parametrize(
    ("numbers", "holes", "broken"),
    [
        ((1, 2, 3, 4, 5, 6), 0, set()),
        ((2, 5, 6), 0, set()),  # log between two backups expired: what the first needs is there
        ((1, 2, 5, 6), 1, set()),  # log before the first backup is there, so nothing expired: segments are lost
        ((2, 3, 4, 6), 1, {"B"}),
        ((3, 4, 5, 6), 0, {"A"}),
        ((2, 3, 4, 5, 7), 1, set()),
    ],
)
def test_holes_in_the_log(numbers: tuple[int, ...], holes: int, broken: set[str]) -> None:
    found, lacking = log_gaps(seg(*numbers), [taken("A", 2, 2), taken("B", 5, 5)], SIZE)
    assert len(found) == holes
    assert set(lacking) == broken


def raw(label: str, prior: str | None = None) -> dict[str, Any]:
    kind = {"F": "full", "D": "diff", "I": "incr"}[label[-1]]
    return {
        "label": label,
        "type": kind,
        "prior": prior,
        "timestamp": {"start": 1795322315, "stop": 1795322320},
        "info": {"size": 100, "delta": 50, "repository": {"delta": 7}},
        "lsn": {"start": "0/2000028", "stop": "0/3000050"},
        "archive": {"start": seg(2)[0], "stop": seg(3)[0]},
        "backrest": {"version": "2.45"},
        "database": {"id": 1},
        "error": False,
    }


def test_a_listed_backup() -> None:
    backup = backup_of(raw("20261122-043835F_20261122-050000I", "20261122-043835F"), "local", {1: "17"})
    assert backup.type is BackupType.INCREMENTAL
    assert (backup.parent, backup.size_bytes, backup.stored_bytes) == ("20261122-043835F", 100, 7)
    assert (backup.log_start, backup.log_stop) == ("0/2000028", "0/3000050")
    assert backup.started == datetime.fromtimestamp(1795322315, UTC)
    assert backup.error is None
    assert backup_of(dict(raw("20261122-043835F"), error=True), "local", {}).error


@pytest.mark.parametrize("size", [1 << 20, 16 << 20, 64 << 20, 1 << 30])
def test_the_size_of_a_segment_is_in_the_listing(size: int) -> None:
    def taken(position: int) -> dict[str, Any]:
        name = wal.Segment(1, position // size).name(size)
        return {"lsn": {"start": wal.format_lsn(position)}, "archive": {"start": name}}

    assert segment_size([taken(size + 40)]) == size
    assert segment_size([taken((5 << 32) + 40), taken((7 << 32) + 3 * size + 4096)]) == size
    # At the beginning of a log, and of every 4 GiB of it, any size would do.
    assert segment_size([taken((5 << 32) + 40)]) is None
    assert segment_size([]) is None
    assert segment_size([{"lsn": None, "archive": {"start": None, "stop": None}}]) is None


F1, I1, D1, F2 = (
    "20260101-010000F",
    "20260101-010000F_20260101-020000I",
    "20260101-010000F_20260101-030000D",
    "20260102-010000F",
)


def test_chain_and_order_of_removal() -> None:
    stored = {item["label"]: item for item in (raw(F1), raw(I1, F1), raw(D1, F1))}
    assert chain(I1, stored) == [I1, F1]
    assert config.newest_first([F1, I1, D1]) == [D1, I1, F1]


class FakeEngine:
    socket_directory = "/run"
    replica = False

    def is_replica(self) -> bool:
        return self.replica

    def segment_size(self) -> int:
        return SIZE


class Recorded(PgBackRest):
    """A tool that records its commands instead of running them, over a repository of given backups."""

    def __init__(self, stored: Sequence[Mapping[str, Any]], version: tuple[int, ...] = (2, 55)) -> None:
        super().__init__(an_instance(), cast("Any", FakeEngine()))
        self.version = version
        self.stored = stored
        self.commands: list[list[str]] = []
        self.reports: dict[str, str] = {}

    def _info(self, repository: Repository) -> dict[str, Any] | None:
        return {"backup": list(self.stored), "archive": []}

    def _run(self, command: str, repository: Repository, *arguments: str, **_options: Any) -> Result:
        self.commands.append([command, *arguments])
        label = next((word.split("=")[1] for word in arguments if word.startswith("--set=")), "")
        return Result([], 0, self.reports.get(label, CLEAN), "")


def listed(tool: PgBackRest, *labels: str) -> list[Backup]:
    return [backup for backup in tool.backups(LOCAL) if backup.id in labels]


ALL = [raw(F1), raw(I1, F1), raw(D1, F1), raw(F2)]


def test_expire_takes_children_first_and_then_the_log() -> None:
    tool = Recorded(ALL)
    tool.expire(LOCAL, listed(tool, F1, I1, D1), listed(tool, F2)[0])
    assert tool.commands == [
        ["expire", f"--set={D1}"],
        ["expire", f"--set={I1}"],
        ["expire", f"--set={F1}"],
        ["expire", "--repo1-retention-archive-type=incr", "--repo1-retention-archive=1"],
    ]


def test_log_is_kept_from_the_named_backup_on() -> None:
    tool = Recorded(ALL)
    tool.expire(LOCAL, [], listed(tool, I1)[0])
    assert tool.commands == [["expire", "--repo1-retention-archive-type=incr", "--repo1-retention-archive=3"]]


@pytest.mark.parametrize("going", [(F1,), (F1, I1), (F1, I1, D1, F2), (F2, F1, I1, D1)])
def test_expire_refuses_before_anything_is_gone(going: tuple[str, ...]) -> None:
    tool = Recorded(ALL)
    with pytest.raises(InvalidInput):
        tool.expire(LOCAL, listed(tool, *going), None)
    assert tool.commands == []


def test_verify_reads_the_chain_of_a_backup_and_passes_damage_on() -> None:
    tool = Recorded(ALL)
    tool.reports = {F1: DAMAGED.replace("20261122-050159F", F1)}
    found = tool.verify(LOCAL, listed(tool, I1))
    assert [command[3] for command in tool.commands] == [f"--set={F1}", f"--set={I1}"]
    assert found.intact == ()
    assert found.damaged == {I1: f"it needs the damaged backup {F1}"}


@pytest.mark.parametrize(("version", "labels"), [((2, 45), (I1,)), ((2, 55), (F1, I1, D1, F2))])
def test_verify_reads_everything_once_where_parts_cannot_be_or_are_not_asked_for(
    version: tuple[int, ...], labels: tuple[str, ...]
) -> None:
    tool = Recorded(ALL, version)
    assert set(tool.verify(LOCAL, listed(tool, *labels)).intact) == set(labels)
    assert tool.commands == [["verify", "--output=text", "--verbose"]]


def test_a_backup_that_is_gone_is_damaged() -> None:
    tool = Recorded(ALL)
    gone = replace(listed(tool, F2)[0], id="20250101-010000F")
    assert tool.verify(LOCAL, [gone]).damaged == {gone.id: "it is no longer in the repository"}


def test_notes_tell_of_large_incrementals() -> None:
    assert "large" in Recorded([], (2, 45)).notes()[0]
    assert Recorded([], (2, 46)).notes() == []


def test_notes_tell_of_a_replica_whose_jobs_cannot_succeed() -> None:
    tool = Recorded([])
    cast("Any", tool.engine).replica = True
    (note,) = tool.notes()
    assert "jobs will fail" in note
    assert "replica_of" in note
    with pytest.raises(Unsupported, match="does not reach"):
        tool.backup(BackupType.FULL, LOCAL)
    tool.instance = replace(tool.instance, replica_of="other")
    assert tool.notes() == []


def test_backup_of_another_type_is_unsupported() -> None:
    with pytest.raises(Unsupported):
        Recorded([]).backup(BackupType.LOGICAL, LOCAL)
