"""Copies of audit logs off the host: whole across rotation, and every gap or alteration is found with its place."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.fleet import Database, Fleet, together, until
from tests.integration.logs.run import REPORTS, found, logs, logs_of, statuses, told

NAMES = ("analytics", "shop", "crm")


@pytest.fixture(scope="module", autouse=True)
def _audited(fleet: Fleet) -> Iterator[None]:
    for name in ("shop", "crm"):
        fleet[name].sql("INSTALL SONAME 'server_audit'")
        fleet[name].sql("SET GLOBAL server_audit_events = 'QUERY_DDL'; SET GLOBAL server_audit_logging = ON")
    fleet["analytics"].sql("ALTER SYSTEM SET log_statement = ddl")
    fleet["analytics"].sql("SELECT pg_reload_conf()")
    try:
        logs()
        yield
    finally:
        for name in ("shop", "crm"):
            fleet[name].sql("SET GLOBAL server_audit_logging = OFF; UNINSTALL SONAME 'server_audit'")
            fleet[name].run(
                "rm -f /var/lib/mysql/server_audit.log* /etc/mysql/mariadb.conf.d/06-holdfast-logs-*", code=None
            )
        fleet["analytics"].sql("ALTER SYSTEM RESET log_statement")
        fleet["analytics"].sql("SELECT pg_reload_conf()")


def act(database: Database, word: str) -> None:
    """Do something that is audited."""
    database.sql(f"CREATE TABLE holdfast.{word} (id int)")
    database.sql(f"DROP TABLE holdfast.{word}")


def copied(name: str) -> str:
    directory = REPORTS / "chain" / name
    return "".join(gzip.decompress(path.read_bytes()).decode() for path in sorted(directory.glob("*.gz")))


def rotate(database: Database) -> None:
    if database.is_postgresql:
        database.run("logrotate --force --state /run/logrotate-test /etc/logrotate.d/holdfast-servers")
    else:
        database.sql("SET GLOBAL server_audit_file_rotate_now = ON")


def test_every_audited_line_is_copied_once_across_rotation(fleet: Fleet) -> None:
    # The log of a server goes further back than this run.
    before, after = f"before_{os.urandom(4).hex()}", f"after_{os.urandom(4).hex()}"

    def log(name: str) -> None:
        act(fleet[name], before)
        rotate(fleet[name])
        act(fleet[name], after)

    together(log, *NAMES)
    logs()
    for name in NAMES:
        text = copied(name)
        for word in (before, after):
            assert text.count(f"CREATE TABLE holdfast.{word} ") == 1, name
        assert statuses(told()[name])["LG09"] == statuses(told()[name])["LG10"] == "passed"
    assert statuses(told()["orders"])["LG09"] == "not_applicable"


def test_the_engine_that_rotates_its_audit_log_is_held_to_the_limits(fleet: Fleet) -> None:
    for name in ("shop", "crm"):
        limits = fleet[name].sql("SELECT @@server_audit_file_rotate_size, @@server_audit_file_rotations")
        assert limits == f"{100 << 20}\t90"
        path = f"/etc/mysql/mariadb.conf.d/06-holdfast-logs-{name}.cnf"
        assert "loose_server_audit_file_rotations = 90" in fleet[name].run("cat %s", path)


def test_an_audit_log_is_append_only_where_the_file_system_can(analytics: Database) -> None:
    entry = told()["analytics"]
    status = statuses(entry)["LG11"]
    path = next(item["path"] for item in entry["logs"])
    if status == "not_applicable":
        (check,) = [check for check in entry["checks"] if check["id"] == "LG11"]
        assert "has no such attribute" in check["reason"] or "takes the right away" in check["reason"]
        return
    assert status == "passed"
    assert "a" in analytics.run("lsattr %s", path).split()[0]
    assert analytics.host.run("sh -c 'echo > %s'", path).rc != 0, "root itself cannot empty it"
    act(analytics, "still_written")
    until(lambda: "still_written" in analytics.run("cat %s", path))
    rotate(analytics)
    assert "a" in analytics.run("lsattr %s", path).split()[0], "the rotation puts it back"


def test_a_line_that_was_changed_on_the_host_is_found_with_its_place(fleet: Fleet) -> None:
    databases = fleet["analytics"], fleet["shop"]
    together(lambda database: act(database, "deed_of_mallory"), *databases)
    logs_of(*databases)
    paths = {database.name: _path(database) for database in databases}

    def rewrite(database: Database) -> None:
        path = paths[database.name]
        # In place: an editor would put another file there, which is a gap.
        script = f"d = open('{path}', 'rb').read(); f = open('{path}', 'r+b')"
        script = f"{script}; f.write(d.replace(b'deed_of_mallory', b'nothing_at_all_'))"
        database.run("chattr -a %s; python3 -c %s", path, script, code=None)
        assert "deed_of_mallory" not in database.run("cat %s", path)
        act(database, "later")

    together(rewrite, *databases)
    logs_of(*databases)
    for name, path in paths.items():
        texts = found(told()[name], "LG10")
        assert any("are not those that were copied as link" in text and path in text for text in texts), texts
        assert "deed_of_mallory" in copied(name)


def test_lines_that_were_removed_before_they_were_copied_are_a_gap(fleet: Fleet) -> None:
    databases = fleet["analytics"], fleet["crm"]
    paths = {database.name: _path(database) for database in databases}

    def lose(database: Database) -> None:
        act(database, "never_copied")
        rotate(database)
        act(database, "after_the_gap")
        database.run(f"rm -f {paths[database.name]}.*")

    together(lose, *databases)
    output = logs_of(*databases, code=2, fail_on="high")
    assert "are high or worse" in " ".join(output.split())
    for name, path in paths.items():
        texts = found(told()[name], "LG09")
        assert any("what was written after that is not copied" in text and path in text for text in texts), texts
        assert "after_the_gap" in copied(name)


def test_a_copy_on_the_control_host_that_was_altered_is_found(shop: Database) -> None:
    directory = REPORTS / "chain" / "shop"
    newest = max(directory.glob("*.gz"))
    kept = newest.read_bytes()
    newest.chmod(0o600)
    newest.write_bytes(gzip.compress(gzip.decompress(kept).replace(b"CREATE", b"SELECT")))
    try:
        logs_of(shop)
        assert any(f"{newest.name} was altered" in text for text in found(told()["shop"], "LG10"))
    finally:
        newest.write_bytes(kept)


def test_a_chain_that_was_made_anew_on_the_host_is_refused(shop: Database) -> None:
    before = _listing(REPORTS / "chain" / "shop")
    shop.run("rm -rf /var/lib/holdfast/.audit/shop")
    act(shop, "after_the_crime")
    output = " ".join(logs_of(shop, code=2).split())
    assert "LG10" in output
    assert "a new chain was made" in output
    assert _listing(REPORTS / "chain" / "shop") == before


def _listing(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


def _path(database: Database) -> str:
    if database.is_postgresql:
        return next(item["path"] for item in told()[database.name]["logs"])
    return "/var/lib/mysql/server_audit.log"
