"""No space left in the repository."""

from __future__ import annotations

from tests.integration.fleet import Database
from tests.integration.staging import assert_failed, option, small_repository


def _grow(database: Database, megabytes: int) -> None:
    """Add rows that no compression makes small."""
    if database.is_postgresql:
        database.sql(
            "CREATE TABLE IF NOT EXISTS filler (content bytea);"
            f" INSERT INTO filler SELECT decode(string_agg(md5(random()::text), ''), 'hex')"
            f" FROM generate_series(1, {megabytes * 65536}) AS i GROUP BY i / 512",
            database.name,
        )
    else:
        database.sql(
            "CREATE TABLE IF NOT EXISTS filler (content BLOB);"
            f" INSERT INTO filler SELECT RANDOM_BYTES(1024) FROM seq_1_to_{megabytes * 1024}",
            database.name,
        )


def test_repository_full(database: Database) -> None:
    _grow(database, 8)
    try:
        # PostgreSQL has no space for its log either, which a backup waits for.
        with small_repository(database), option(database, "archive_timeout", "10"):
            before = database.ids()
            record = database.backup("full", code=1)
            assert_failed(database, record, "repository-full", "space")
            assert database.ids() == before
            database.run(f"rm /run/holdfast-test-{database.name}/.filler")
            assert database.backup("incremental")["result"] == "ok", "the next run works, once there is space again"
    finally:
        database.sql("DROP TABLE filler", database.name)
