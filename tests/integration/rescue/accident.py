"""A database in which things were deleted and dropped by accident, while writers go on."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.integration.fleet import Database, until

NAME = "rescue_me"
ODD = '"Odd ""na.me"" ünï"'  # as a person writes it, and as PostgreSQL quotes it
SECRET = "not-for-the-logs"

_POSTGRESQL = f"""
    CREATE TABLE customers (id int PRIMARY KEY, name text);
    INSERT INTO customers SELECT i, 'customer ' || i FROM generate_series(1, 5) AS i;
    CREATE TABLE precious (id serial PRIMARY KEY, customer int REFERENCES customers, note text);
    CREATE INDEX precious_note ON precious (note);
    INSERT INTO precious (customer, note) SELECT 1 + i % 5, 'note ' || i FROM generate_series(1, 60) AS i;
    CREATE TABLE {ODD} (id int PRIMARY KEY, "va%l" text NOT NULL DEFAULT 'é');
    COMMENT ON TABLE {ODD} IS 'kept';
    CREATE TABLE busy (id serial PRIMARY KEY, at timestamptz DEFAULT now());
    CREATE FUNCTION twice(i int) RETURNS int LANGUAGE sql AS 'SELECT i * 2';
    CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.note := NEW.note || '!'; RETURN NEW; END $$;
    CREATE TRIGGER stamped BEFORE UPDATE ON precious FOR EACH ROW EXECUTE FUNCTION stamp();
    CREATE VIEW totals AS SELECT customer, count(*) AS number FROM precious GROUP BY customer;
    CREATE ROLE rescue_role LOGIN PASSWORD '{SECRET}' CONNECTION LIMIT 7;
    GRANT SELECT, UPDATE (note) ON precious TO rescue_role;
"""
_MARIADB = """
    CREATE TABLE customers (id INT PRIMARY KEY, name TEXT);
    INSERT INTO customers SELECT seq, CONCAT('customer ', seq) FROM seq_1_to_5;
    CREATE TABLE precious (id INT AUTO_INCREMENT PRIMARY KEY, customer INT, note VARCHAR(60), KEY (note),
        CONSTRAINT precious_customer FOREIGN KEY (customer) REFERENCES customers (id));
    INSERT INTO precious (customer, note) SELECT 1 + seq MOD 5, CONCAT('note ', seq) FROM seq_1_to_60;
    CREATE TABLE `Odd "na.me" ünï` (id INT PRIMARY KEY, `va%l` VARCHAR(20) NOT NULL DEFAULT 'é') COMMENT 'kept';
    CREATE TABLE busy (id INT AUTO_INCREMENT PRIMARY KEY, at TIMESTAMP DEFAULT now());
    CREATE FUNCTION twice(i INT) RETURNS INT DETERMINISTIC RETURN i * 2;
    CREATE TRIGGER stamped BEFORE UPDATE ON precious FOR EACH ROW SET NEW.note = CONCAT(NEW.note, '!');
    CREATE VIEW totals AS SELECT customer, count(*) AS number FROM precious GROUP BY customer;
    CREATE USER rescue_role@localhost IDENTIFIED BY 'not-for-the-logs' WITH MAX_USER_CONNECTIONS 7;
    GRANT SELECT, UPDATE (note) ON precious TO rescue_role@localhost;
"""
_HASHES = (
    "SELECT rolpassword FROM pg_authid WHERE rolname = 'rescue_role'",
    "SELECT authentication_string FROM mysql.user WHERE user = 'rescue_role'",
)


@dataclass
class Accident:
    """What was there at ``before``, of which some was deleted before ``middle`` and some later."""

    database: Database
    before: str
    middle: str
    odd: str
    precious: str
    hash: str

    @property
    def role(self) -> str:
        return "rescue_role" if self.database.is_postgresql else "rescue_role@localhost"

    def path(self, name: str) -> str:
        """The full name of something, as a person gives it."""
        return f"{NAME}.public.{name}" if self.database.is_postgresql else f"{NAME}.{name}"

    def sql(self, statement: str) -> str:
        return sql(self.database, statement)

    def rescue(self, *args: str, code: int = 0) -> dict:
        """Run the rescue and return its record."""
        return self.database.holdfast("rescue", *args, code=code)

    def table(self, record: dict) -> str:
        """The table that a rescue made, as SQL quotes it."""
        name = record["rescue"]["target"].split(".", 2 if self.database.is_postgresql else 1)[-1]
        return quoted(self.database, name)

    def password(self) -> str:
        return sql(self.database, _HASHES[not self.database.is_postgresql])


def quoted(database: Database, name: str) -> str:
    """A name as a person writes it, as the server's SQL quotes it."""
    return name if database.is_postgresql else "`" + name.strip('"').replace('""', '"') + "`"


def sql(database: Database, statement: str) -> str:
    """Run a statement in the database of the accident."""
    # The client speaks the character set of the login, which need not be the one of the names here.
    return database.sql(statement if database.is_postgresql else f"SET NAMES utf8mb4; {statement}", NAME)


def rows(database: Database, table: str) -> str:
    """Every row of a table, in the order of its first column."""
    return sql(database, f"SELECT * FROM {table} ORDER BY 1")


def clear(database: Database) -> None:
    """Remove what the accident and its rescues left."""
    database.run("rm -f /tmp/rescue-writer; sleep 0.3")
    if database.is_postgresql:
        listed = database.sql(f"SELECT datname FROM pg_database WHERE datname LIKE '{NAME}%'")
        for name in listed.split():
            database.sql(f'DROP DATABASE "{name}" WITH (FORCE)')
        database.sql("DROP ROLE IF EXISTS rescue_role")
        return
    for name in database.sql(f"SHOW DATABASES LIKE '{NAME}%'").split():
        database.sql(f"DROP DATABASE `{name}`")
    database.sql("DROP USER IF EXISTS rescue_role@localhost")


def fill(database: Database) -> None:
    """Make the database, with a writer that goes on until it is cleared."""
    clear(database)
    database.sql(f"CREATE DATABASE {NAME}")
    sql(database, _POSTGRESQL if database.is_postgresql else _MARIADB)
    write = "INSERT INTO busy (at) VALUES (now())"
    client = f"psql -XAtqp {database.port} {NAME} -c" if database.is_postgresql else f"mariadb {NAME} -e"
    loop = (
        f'while [ -e /tmp/rescue-writer ]; do {client} "{write}" || echo failed >>/tmp/rescue-errors; sleep 0.1; done'
    )
    database.run("touch /tmp/rescue-writer; rm -f /tmp/rescue-errors")
    database.run("setsid runuser -u %s -- sh -c %s >/dev/null 2>&1 </dev/null &", database.owner, loop)


def happen(database: Database) -> Accident:
    """A backup, changes after it, and two accidents with a moment between them."""
    fill(database)
    assert database.backup("incremental")["result"] == "ok"
    odd = quoted(database, ODD)
    values = ", ".join(f"({number}, 'välue {number} %')" for number in range(40))
    sql(database, f"INSERT INTO {odd} VALUES {values}")
    found = Accident(database, "", "", rows(database, odd), rows(database, "precious"), "")
    found.hash = found.password()
    found.before = moment(database)
    sql(database, "DELETE FROM precious WHERE id BETWEEN 11 AND 20; UPDATE precious SET note = 'spoilt' WHERE id = 1")
    found.middle = moment(database)
    sql(database, f"DELETE FROM precious WHERE id BETWEEN 31 AND 33; DROP TABLE {odd}; DROP VIEW totals")
    sql(database, "DROP FUNCTION twice")
    drop = "DROP OWNED BY rescue_role; DROP ROLE rescue_role"
    sql(database, drop if database.is_postgresql else "DROP USER rescue_role@localhost")
    return found


def moment(database: Database) -> str:
    """The server's time, with a second before and after in which nothing of ours happens."""
    time.sleep(1.1)
    now = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"')"
    other = "SELECT DATE_FORMAT(UTC_TIMESTAMP(6), '%Y-%m-%dT%H:%i:%s.%f+00:00')"
    found = database.sql(now if database.is_postgresql else other)
    time.sleep(1.1)
    return found


def writes(database: Database) -> int:
    """How much the writer has written; it has met no error."""
    assert database.run("cat /tmp/rescue-errors 2>/dev/null || true") == ""
    return int(sql(database, "SELECT count(*) FROM busy"))


def goes_on(database: Database, since: int) -> bool:
    """Whether the writer has written since."""
    return until(lambda: writes(database) > since)
