"""What restic's words mean, where its repositories are, and the real program where it is installed."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible.module_utils.holdfast import errors
from ansible.module_utils.holdfast.model import Instance, Keep, Repository, Retention, ServiceLevel
from ansible.module_utils.holdfast.repositories import restic
from ansible.module_utils.holdfast.repositories._restic_errors import explain, is_locked, is_missing, words
from ansible.module_utils.holdfast.repositories.pipes import Command

KEEP = Retention(*([Keep()] * 3), timedelta(days=7), Keep(), Keep())
LEVEL = ServiceLevel("standard", timedelta(minutes=15), timedelta(hours=1), KEEP, {})


def instance(state: Path, name: str = "orders") -> Instance:
    return Instance(name, "mariadb", 3306, LEVEL, (), "mysql", str(state))


def local(path: Path, passphrase: str = "correct horse") -> Repository:
    return Repository("local", "posix", {"path": str(path)}, {"passphrase": passphrase})


@pytest.mark.parametrize(
    ("stderr", "code", "kind"),
    [
        ("Fatal: wrong password or no key found", 1, errors.WrongKey),
        (
            '{"message_type":"exit_error","code":12,"message":"Fatal: wrong password or no key found"}',
            12,
            errors.WrongKey,
        ),
        ("anything at all", 12, errors.WrongKey),
        (
            "Fatal: unable to create lock in backend: repository is already locked by PID 7 on db1",
            1,
            errors.Busy,
        ),
        ("anything at all", 11, errors.Busy),
        (
            "Fatal: unable to save snapshot: write /b/data/ea/ea8e-tmp: no space left on device",
            1,
            errors.RepositoryFull,
        ),
        ("Save(<data/ea8e>) returned error: sftp: write: disk quota exceeded", 1, errors.RepositoryFull),
        ("cannot dump file: decrypting blob 0e2b failed: ciphertext verification failed", 1, errors.CorruptBackup),
        (
            "cannot dump file: ReadFull(<data/80f1>): open /b/data/80/80f1: no such file or directory",
            1,
            errors.CorruptBackup,
        ),
        ("pack 463a: does not exist\nFatal: repository contains errors", 1, errors.CorruptBackup),
        ("Load(<index/80f1>): invalid data returned", 1, errors.CorruptBackup),
        ("Fatal: unable to open config file: Stat: Access Denied.", 1, errors.AccessDenied),
        (
            "Fatal: client.BucketExists: The request signature we calculated: SignatureDoesNotMatch",
            1,
            errors.AccessDenied,
        ),
        ("config: Stat: Access Denied.\nIs there a repository at the following location?", 1, errors.AccessDenied),
        ("subprocess ssh: mysql@vault: Permission denied (publickey).", 1, errors.AccessDenied),
        (
            (
                "subprocess ssh: Warning: Identity file /etc/keys/sftp not accessible: No such file or directory\n"
                "subprocess ssh: mysql@vault: Permission denied (publickey,password).\nFatal: unable to open repository"
            ),
            1,
            errors.AccessDenied,
        ),
        (
            "subprocess ssh: Host key verification failed.\nFatal: unable to start the sftp session, error: EOF",
            1,
            errors.AccessDenied,
        ),
        ("Fatal: unable to open config file: stat /b/config: permission denied", 1, errors.RepositoryUnavailable),
        ("open /b/locks/1: read-only file system", 1, errors.RepositoryUnavailable),
        ("dial tcp 10.0.0.9:443: connect: connection refused", 1, errors.RepositoryUnavailable),
        ("x509: certificate signed by unknown authority", 1, errors.RepositoryUnavailable),
        ("Is there a repository at the following location?\n/b", 10, errors.RepositoryMissing),
        ("a word nobody knows", 1, errors.CommandFailed),
    ],
)
def test_explains(stderr: str, code: int, kind: type[errors.HoldfastError]) -> None:
    error = explain(stderr, code, "orders")
    assert type(error) is kind
    assert error.where == "orders"
    assert words(stderr) in error.what
    assert error.remedy or kind is errors.CommandFailed


def test_unwraps_json_words() -> None:
    assert words('{"message_type":"exit_error","code":1,"message":"Fatal: broken"}') == "Fatal: broken"
    assert words('{"message_type":"error","error":{"message":"no room"}}\nnot json {') == "no room | not json {"


@pytest.mark.parametrize(
    ("stderr", "code", "missing", "locked"),
    [
        ("Is there a repository at the following location?", 1, True, False),
        ("", 10, True, False),
        ("repository is already locked by PID 3", 1, False, True),
        ("", 11, False, True),
        ("connection refused", 1, False, False),
    ],
)
def test_tells_a_missing_and_a_locked_repository(stderr: str, code: int, missing: bool, locked: bool) -> None:
    assert (is_missing(stderr, code), is_locked(stderr, code)) == (missing, locked)


S3 = {"endpoint": "vault:9000", "bucket": "backups"}
SFTP = {"host": "vault", "user": "keeper", "path": "/srv", "private_key_file": "/k"}


@pytest.mark.parametrize(
    ("type_", "settings", "url", "options", "endpoint"),
    [
        ("posix", {"path": "/srv/b"}, "/srv/b/restic/orders", [], None),
        ("s3", S3, "s3:https://vault:9000/backups/restic/orders", ["-o", "s3.bucket-lookup=path"], ("vault", 9000)),
        (
            "s3",
            {
                "endpoint": "s3.example.com",
                "bucket": "b",
                "prefix": "/x/y/",
                "uri_style": "host",
                "region": "eu",
                "ca_file": "/ca",
            },
            "s3:https://s3.example.com/b/x/y/restic/orders",
            ["-o", "s3.bucket-lookup=dns", "-o", "s3.region=eu", "--cacert", "/ca"],
            ("s3.example.com", 443),
        ),
        (
            "sftp",
            dict(SFTP, port="2222", known_hosts_file="/h"),
            "sftp:keeper@vault:/srv/restic/orders",
            [
                "-o",
                (
                    "sftp.command=ssh -i /k -o BatchMode=yes -o StrictHostKeyChecking=yes -o ServerAliveInterval=30"
                    " -p 2222 -o UserKnownHostsFile=/h -o GlobalKnownHostsFile=/dev/null keeper@vault -s sftp"
                ),
            ],
            ("vault", 2222),
        ),
    ],
)
def test_location(
    type_: str, settings: dict[str, str], url: str, options: list[str], endpoint: tuple[str, int] | None
) -> None:
    repository = Repository("r", type_, settings, {"passphrase": "p"})
    assert restic.location("orders", repository) == (url, options)
    assert restic.endpoint(repository) == endpoint


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("vault", ("vault", 443)),
        ("10.0.0.9:9000", ("10.0.0.9", 9000)),
        ("[fd00::9]:9000", ("fd00::9", 9000)),
        ("[fd00::9]", ("fd00::9", 443)),
    ],
)
def test_address_of_an_object_store(text: str, address: tuple[str, int]) -> None:
    assert restic.endpoint(Repository("r", "s3", dict(S3, endpoint=text))) == address


def test_refuses_a_type_that_restic_has_not() -> None:
    with pytest.raises(errors.InvalidInput, match="tape"):
        restic.location("orders", Repository("r", "tape", {}))


def test_secrets_are_in_the_environment_alone(tmp_path: Path) -> None:
    repository = Repository("r", "s3", S3, {"passphrase": "PASS", "key_id": "KEY", "key_secret": "HUSH"})
    store = restic.Restic(instance(tmp_path), repository)
    assert not any(secret in " ".join(store._argv(["backup"])) for secret in ("PASS", "KEY", "HUSH"))
    env = store._environment()
    assert (env["RESTIC_PASSWORD"], env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]) == ("PASS", "KEY", "HUSH")
    assert "RESTIC_PASSWORD" not in store.as_source()
    assert store.as_source()["RESTIC_FROM_PASSWORD"] == "PASS"


def test_a_missing_passphrase_is_a_wrong_key(tmp_path: Path) -> None:
    with pytest.raises(errors.WrongKey, match="passphrase is missing"):
        restic.Restic(instance(tmp_path), Repository("r", "posix", {"path": str(tmp_path)})).is_initialised()


def test_an_endpoint_that_is_down_is_told_at_once(tmp_path: Path) -> None:
    repository = Repository(
        "r", "s3", dict(S3, endpoint="127.0.0.1:1"), {"passphrase": "p", "key_id": "k", "key_secret": "s"}
    )
    with pytest.raises(errors.RepositoryUnavailable, match=r"127\.0\.0\.1:1 does not answer"):
        restic.Restic(instance(tmp_path), repository).is_initialised()


def program(directory: Path, script: str) -> Path:
    """A restic that notes what it is asked in ``asked`` beside it, and then does as the script says."""
    directory.mkdir()
    path = directory / "restic"
    path.write_text(f'#!/bin/sh\necho "$*" >> {directory}/asked\n{script}\n')
    path.chmod(0o755)
    return directory / "asked"


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("echo '[]'", []),
        ("echo 'Is there a repository at the following location?' >&2; exit 1", None),
        ("exit 10", None),
    ],
)
def test_one_opening_tells_whether_there_is_a_repository_and_what_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, found: object
) -> None:
    asked = program(tmp_path / "bin", script)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    repository = Repository("r", "sftp", SFTP, {"passphrase": "p"})
    monkeypatch.setattr(restic, "endpoint", lambda _: None)
    assert restic.Restic(instance(tmp_path / "state"), repository).listing() == found
    assert [line.rsplit(" ", 2)[1:] for line in asked.read_text().splitlines()] == [["snapshots", "--json"]]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("keeper@vault: Permission denied (publickey).", errors.AccessDenied),
        ("Host key verification failed.", errors.AccessDenied),
        ("", errors.RepositoryUnavailable),
    ],
)
def test_a_stranger_is_told_also_when_restic_ends_before_its_ssh_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, kind: type[errors.HoldfastError]
) -> None:
    program(tmp_path / "bin", "echo 'Fatal: unable to start the sftp session, error: EOF' >&2; exit 1")
    (tmp_path / "bin" / "ssh").write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 255\n")
    (tmp_path / "bin" / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    monkeypatch.setattr(restic, "endpoint", lambda _: None)
    with pytest.raises(kind):
        restic.Restic(instance(tmp_path / "state"), Repository("r", "sftp", SFTP, {"passphrase": "p"})).listing()


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        (("posix", {"path": "/a"}, {}), ("posix", {"path": "/b"}, {}), True),
        (("posix", {"path": "/a"}, {}), ("s3", S3, {"key_id": "a"}), True),
        (("s3", S3, {"key_id": "a"}), ("s3", dict(S3, bucket="other"), {"key_id": "a"}), True),
        (("s3", S3, {"key_id": "a"}), ("s3", S3, {"key_id": "b"}), False),
        (("s3", S3, {"key_id": "a"}), ("s3", dict(S3, endpoint="elsewhere"), {"key_id": "a"}), False),
        (("sftp", SFTP, {}), ("sftp", dict(SFTP, host="elsewhere"), {}), False),
        (("sftp", SFTP, {}), ("sftp", dict(SFTP, path="/b"), {}), True),
        (("sftp", SFTP, {}), ("sftp", dict(SFTP, path="/b", known_hosts_file="/h"), {}), False),
    ],
)
def test_copies_only_where_one_run_reaches_both(tmp_path: Path, one: object, other: object, together: bool) -> None:
    first, second = (
        restic.Restic(instance(tmp_path), Repository("r", *parts))  # type: ignore[misc]
        for parts in (one, other)
    )
    assert first.copies_to(second) is together


@pytest.mark.parametrize("value", ["0-1-5,1-1-7", "a=b", "ä ö", "100%", "", "2025-01-01T00:00:00.000Z", "[1, 2]"])
def test_tags_survive(value: str) -> None:
    encoded = restic.encode_tag(value)
    assert "," not in encoded
    found = restic._snapshot({"id": "1", "time": "2025-01-01T00:00:00Z", "tags": [f"key={encoded}"]})
    assert found.tags == {"key": value}


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2025-01-01T00:00:00.123456789Z", datetime(2025, 1, 1, 0, 0, 0, 123456, UTC)),
        ("2025-01-01T02:00:00.5+02:00", datetime(2025, 1, 1, 0, 0, 0, 500000, UTC)),
        ("2025-01-01T00:00:00Z", datetime(2025, 1, 1, tzinfo=UTC)),
    ],
)
def test_reads_the_time_of_a_snapshot(text: str, instant: datetime) -> None:
    assert restic._snapshot({"id": "1", "time": text}).time == instant


@pytest.mark.skipif(shutil.which("restic") is None, reason="restic is not installed here")
class TestProgram:
    """The real restic on a repository of this test."""

    def test_keeps_only_what_was_written_whole(self, tmp_path: Path) -> None:
        store = restic.Restic(instance(tmp_path / "state"), local(tmp_path / "r"))
        assert not store.is_initialised()
        assert store.listing() is None
        store.initialise()
        assert store.listing() == []
        kept = store.backup_stdin([Command(["echo", "data"])], "a", {"id": "kept"})
        with pytest.raises(errors.CommandFailed, match="exited with 3: boom"):
            store.backup_stdin(
                [Command(["sh", "-c", "echo half; sleep 0.5; echo boom >&2; exit 3"])], "a", {"id": "half"}
            )
        assert [item.tags["id"] for item in store.snapshots()] == ["kept"]
        assert store.dump(kept.id, "a", [Command(["cat"])]).stdout == "data\n"

    def test_knows_strangers_and_wrong_keys(self, tmp_path: Path) -> None:
        store = restic.Restic(instance(tmp_path / "state"), local(tmp_path / "r"))
        store.initialise()
        store.backup_stdin([Command(["echo", "data"])], "a", {})
        with pytest.raises(errors.WrongKey):
            restic.Restic(instance(tmp_path / "state"), local(tmp_path / "r", "wrong")).snapshots()
        shutil.move(tmp_path / "r/restic/orders", tmp_path / "r/restic/billing")
        with pytest.raises(errors.ForeignRepository, match="orders"):
            restic.Restic(instance(tmp_path / "state", "billing"), local(tmp_path / "r")).snapshots()
        (tmp_path / "r/restic/orders").mkdir()
        (tmp_path / "r/restic/orders/letter.txt").touch()
        for ask in (store.is_initialised, store.listing):
            with pytest.raises(errors.ForeignRepository, match="not empty"):
                ask()


class TestListing:
    """What restic said of a repository on a disk is believed until something in it changes."""

    @pytest.fixture
    def asked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        place = tmp_path / "r" / "restic" / "orders"
        for part in ("keys", "locks", "snapshots"):
            (place / part).mkdir(parents=True)
        (place / "config").write_text("sealed")
        (place / "keys" / "1").touch()
        asked = program(tmp_path / "bin", "echo '[]'")
        monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
        return asked

    def ask(self, tmp_path: Path, passphrase: str = "p") -> list[restic.Snapshot] | None:
        return restic.Restic(instance(tmp_path / "state"), local(tmp_path / "r", passphrase)).listing()

    def test_nothing_new_is_not_asked_again(self, tmp_path: Path, asked: Path) -> None:
        assert [self.ask(tmp_path) for _ in range(3)] == [[], [], []]
        assert len(asked.read_text().splitlines()) == 1
        kept = tmp_path / "state" / "cache" / "listing-local.json"
        assert kept.stat().st_mode & 0o777 == 0o600

    @pytest.mark.parametrize("change", ["config", "keys/1", "keys/2", "snapshots/1"])
    def test_what_changes_is_asked_again(self, tmp_path: Path, asked: Path, change: str) -> None:
        self.ask(tmp_path)
        (tmp_path / "r" / "restic" / "orders" / change).write_text("other")
        self.ask(tmp_path)
        assert len(asked.read_text().splitlines()) == 2

    @pytest.mark.parametrize("room", [(0, 9, 9), (9, 0, 9)])
    def test_a_full_disk_is_restics_to_tell(
        self, tmp_path: Path, asked: Path, monkeypatch: pytest.MonkeyPatch, room: tuple[int, int, int]
    ) -> None:
        self.ask(tmp_path)
        full = SimpleNamespace(**dict(zip(("f_bavail", "f_favail", "f_files"), room, strict=True)))
        monkeypatch.setattr(os, "statvfs", lambda _: full)
        self.ask(tmp_path)
        assert len(asked.read_text().splitlines()) == 2

    def test_a_repository_that_cannot_be_written_to_is_restics_to_tell(
        self, tmp_path: Path, asked: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.ask(tmp_path)
        monkeypatch.setattr(os, "access", lambda path, _: not str(path).endswith("locks"))
        self.ask(tmp_path)
        assert len(asked.read_text().splitlines()) == 2

    def test_another_key_is_tried(self, tmp_path: Path, asked: Path) -> None:
        self.ask(tmp_path)
        self.ask(tmp_path, "another")
        assert len(asked.read_text().splitlines()) == 2

    def test_what_is_written_during_the_answer_is_not_taken_for_it(
        self, tmp_path: Path, asked: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        script = tmp_path / "bin" / "restic"
        script.write_text(f"{script.read_text()}touch {tmp_path}/r/restic/orders/snapshots/$$\n")
        self.ask(tmp_path)
        self.ask(tmp_path)
        assert len(asked.read_text().splitlines()) == 2

    def test_a_kept_answer_that_cannot_be_read_is_none(self, tmp_path: Path, asked: Path) -> None:
        self.ask(tmp_path)
        (tmp_path / "state" / "cache" / "listing-local.json").write_text("{")
        assert self.ask(tmp_path) == []
