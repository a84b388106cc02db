"""A second MariaDB server on a host of the lab: started, spoiled, questioned, removed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.fleet import Database

_HERE = Path(__file__).parent
SECRET = "Corr3ct-h0rse"


@dataclass(frozen=True)
class Second:
    """A server beside the instance of a host, with a directory of its own."""

    database: Database
    name: str

    @property
    def place(self) -> str:
        return f"/var/lib/holdfast/second-{self.name}"

    def start(self, port: int, *options: str) -> None:
        self._script("start", self.name, str(port), *options)

    def stop(self) -> None:
        self._script("stop", self.name)

    def sql(self, statements: str, *, user: str = "root", password: str = "", code: int | None = 0) -> str:
        """Run statements; rows are lines, columns are divided by tabs."""
        login = f"--user={user}" + (f" --password={password}" if password else "")
        options = f"{login} --socket={self.place}/mysqld.sock -NB{' --force' if code is None else ''}"
        return self.database.run(f"mariadb --no-defaults {options} <<'EOF'\n{statements}\nEOF", code=code).rstrip("\n")

    def ask(self, method: str, *args: Any, **details: Any) -> Any:
        """What the auditor answers."""
        script = (_HERE / "ask_mariadb.py").read_text()
        given = json.dumps({"args": args, "details": details})
        command = shlex.join(["python3", "-c", script, self.database.name, self.place, method])
        return json.loads(self.database.run(f"printf %s {shlex.quote(given)} | sudo -u mysql {command}"))

    def plan(self, action: str, account: str, **details: Any) -> list[dict[str, Any]]:
        found = self.ask("plan", action, account, **details)
        assert isinstance(found, list), found
        return found

    def change(self, steps: Sequence[dict[str, Any]]) -> Any:
        return self.ask("change", list(steps))

    def undo(self, steps: Sequence[dict[str, Any]]) -> None:
        for step in reversed(steps):
            self.sql(";\n".join(step["undo"]) + ";")

    def _script(self, *words: str) -> None:
        script = (_HERE / "second_mariadb.sh").read_text()
        self.database.run(shlex.join(["bash", "-c", script, "second", *words]))


FLAWED = (
    "--bind-address=0.0.0.0",
    "--log-bin",
    "--innodb-flush-log-at-trx-commit=2",
    "--sql-mode=NO_ENGINE_SUBSTITUTION",
    "--tls-version=TLSv1.1,TLSv1.2",
    "--plugin-load-add=auth_ed25519",
)

ROLES = """
CREATE ROLE reader; CREATE ROLE operator; CREATE ROLE dba;
GRANT SELECT ON shop.* TO reader; GRANT reader TO operator; GRANT FILE, SHUTDOWN ON *.* TO operator;
GRANT ALL PRIVILEGES ON *.* TO dba;
"""
FLAWS = f"""
CREATE DATABASE shop; CREATE DATABASE test;
CREATE TABLE shop.bills (id INT PRIMARY KEY, total INT, note TEXT);
CREATE USER ''@'localhost';
CREATE USER anywhere@'%' IDENTIFIED VIA ed25519 USING PASSWORD('{SECRET}') REQUIRE SSL;
CREATE USER root@'10.0.0.1' IDENTIFIED VIA ed25519 USING PASSWORD('{SECRET}') REQUIRE SSL;
CREATE USER empty@localhost;
CREATE USER second@localhost IDENTIFIED VIA ed25519 USING PASSWORD('{SECRET}') OR mysql_native_password;
CREATE USER own_name@localhost IDENTIFIED BY 'own_name';
CREATE USER own_key@localhost IDENTIFIED VIA ed25519 USING PASSWORD('own_key');
CREATE USER trivial@localhost IDENTIFIED VIA ed25519 USING PASSWORD('123456');
CREATE USER sha1@localhost IDENTIFIED BY '{SECRET}';
CREATE USER ancient@localhost IDENTIFIED VIA mysql_old_password USING '5d2e19393cc5ef67';
CREATE USER locked@localhost IDENTIFIED BY 'locked' ACCOUNT LOCK;
CREATE USER files@localhost IDENTIFIED VIA unix_socket; GRANT FILE ON *.* TO files@localhost;
CREATE USER super@localhost IDENTIFIED VIA unix_socket; GRANT SUPER ON *.* TO super@localhost;
CREATE USER everything@localhost IDENTIFIED VIA unix_socket; GRANT ALL PRIVILEGES ON *.* TO everything@localhost;
CREATE USER makes_users@localhost IDENTIFIED VIA unix_socket;
GRANT CREATE USER, PROCESS ON *.* TO makes_users@localhost;
CREATE USER hands_on@localhost IDENTIFIED VIA unix_socket;
GRANT SELECT ON shop.* TO hands_on@localhost WITH GRANT OPTION;
GRANT SELECT ON shop.bills TO hands_on@localhost WITH GRANT OPTION;
CREATE USER looks@localhost IDENTIFIED VIA unix_socket;
GRANT SELECT (Host), UPDATE (Priv) ON mysql.global_priv TO looks@localhost;
GRANT SELECT ON mysql.help_topic TO looks@localhost;
CREATE USER writes@localhost IDENTIFIED VIA unix_socket; GRANT INSERT ON mysql.* TO writes@localhost;
CREATE USER all_rows@localhost IDENTIFIED VIA unix_socket; GRANT SELECT, UPDATE ON *.* TO all_rows@localhost;
CREATE USER plain@'192.168.0.%' IDENTIFIED VIA ed25519 USING PASSWORD('{SECRET}');
CREATE USER forever@localhost IDENTIFIED VIA ed25519 USING PASSWORD('{SECRET}') PASSWORD EXPIRE NEVER;
CREATE USER acts@localhost IDENTIFIED VIA unix_socket; GRANT PROXY ON root@localhost TO acts@localhost;
CREATE USER caller@localhost IDENTIFIED VIA unix_socket;
CREATE USER sets_user@localhost IDENTIFIED VIA unix_socket;
GRANT SET USER ON *.* TO sets_user@localhost; GRANT CREATE ROUTINE ON shop.* TO sets_user@localhost;
{ROLES}
CREATE USER on_duty@localhost IDENTIFIED VIA unix_socket; GRANT operator TO on_duty@localhost;
CREATE USER wakes@localhost IDENTIFIED VIA unix_socket; GRANT dba TO wakes@localhost;
CREATE USER column_only@localhost IDENTIFIED VIA unix_socket;
GRANT SELECT (total), UPDATE (note) ON shop.bills TO column_only@localhost;
GRANT SELECT ON shop.bills TO PUBLIC;
CREATE DEFINER = root@localhost PROCEDURE shop.run_it(what TEXT) EXECUTE IMMEDIATE what;
GRANT EXECUTE ON PROCEDURE shop.run_it TO caller@localhost;
CREATE DEFINER = gone@localhost VIEW shop.totals AS SELECT total FROM shop.bills;
CREATE DEFINER = gone@localhost EVENT shop.nightly ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM shop.bills;
INSERT INTO mysql.func VALUES ('shell', 0, 'shell.so', 'function');
CHANGE MASTER TO MASTER_HOST = '203.0.113.1', MASTER_SSL = 0;
"""


def flawed(second: Second, port: int) -> None:
    """Start a server with every flaw that one server can have."""
    place = second.place
    second.start(port, f"--ssl-key={place}/key.pem", f"--ssl-cert={place}/cert.pem", *FLAWED)
    second.sql(FLAWS)
    second.database.run(f"printf '[client]\\npassword = {SECRET}\\n' > {place}/data/my.cnf")
