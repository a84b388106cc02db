"""Throw-away PostgreSQL clusters on a host of the lab: vanilla, full of flaws, hardened. The auditor is asked there."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testinfra.host import Host

from tests.integration.fleet import LAB_DIR, ROOT

HERE = Path(__file__).parent
PLACE = "/var/tmp/holdfast-access-audit"
LOUD = "planted-password"  # a program that is told its password in its arguments
# What a server reads of pg_hba.conf when it starts and what the checks read of it are two things: no reload is needed.
RULES = """
host shop reader 192.0.2.0/24 trust
hostssl shop reader 192.0.2.0/24 password
hostssl shop reader 198.51.100.7/32 md5
hostssl shop reader 198.51.100.8/32 ident
hostssl shop reader 0.0.0.0/0 scram-sha-256
hostssl shop reader ::/0 scram-sha-256
hostssl shop reader all scram-sha-256
hostssl all all 198.51.100.0/24 scram-sha-256
hostssl all second_admin 198.51.100.9/32 cert
hostssl all +administrators 198.51.100.10/32 cert
host all second_admin 203.0.113.0/28 reject
hostssl all second_admin 203.0.113.9/32 cert
hostssl all second_admin 198.51.100.11/32 scram-sha-256
host shop reader 2001:db8::/32 reject
host shop reader samehost scram-sha-256
hostssl shop reader 203.0.113.0/24 ldap ldapserver=x ldapbasedn=dc=x ldapbinddn=cn=x ldapbindpasswd=Planted-secret-3
nonsense shop reader
"""


@dataclass(frozen=True)
class Cluster:
    """A cluster that is the test's own."""

    host: Host
    hostname: str
    version: str
    name: str
    port: int

    @property
    def etc(self) -> str:
        return f"/etc/postgresql/{self.version}/{self.name}"

    @property
    def data(self) -> str:
        return f"/var/lib/postgresql/{self.version}/{self.name}"

    @property
    def log(self) -> str:
        return f"/var/log/postgresql/postgresql-{self.version}-{self.name}.log"

    def run(self, command: str) -> str:
        done = self.host.run(command)
        assert done.rc == 0, f"{self.hostname}: {command}: {done.rc}: {done.stdout}{done.stderr}"
        return done.stdout

    def sql(self, statement: str, database: str = "postgres") -> str:
        # Standard input, or a statement would be cut where a shell sees its end.
        line = f"sudo -u postgres psql -XAtq -v ON_ERROR_STOP=1 -p {self.port} -d {database}"
        return send(self.hostname, line, statement.encode()).rstrip("\n")

    def ctl(self, action: str) -> None:
        self.run(f"pg_ctlcluster {self.version} {self.name} {action}")

    def ask(self, *what: Any) -> Any:
        """What the auditor answers. Fails where it raises."""
        answer = self.answer(*what)
        assert "result" in answer, answer
        return answer["result"]

    def answer(self, *what: Any, account: str = "postgres") -> Mapping[str, Any]:
        """What the auditor answers or raises, as one account or another."""
        line = ["sudo", "-u", account, "python3", f"{PLACE}/ask.py", f"{PLACE}/holdfast.zip", str(self.port)]
        done = self.host.run(shlex.join([*line, json.dumps(what), account]))
        assert done.rc == 0, f"{what}: {done.stderr}"
        return json.loads(done.stdout)

    def checks(self) -> dict[str, dict[str, Any]]:
        return self.ask("checks")

    def catalog(self) -> list[str]:
        """Roles and rights of every database, as the dump programs write them, in an order that is always the same."""
        text = self.run(f"cd /; sudo -u postgres pg_dumpall -p {self.port} --schema-only --no-role-passwords")
        lines = [
            line for line in text.splitlines() if line and not line.startswith(("--", "\\restrict", "\\unrestrict"))
        ]
        # A role without VALID UNTIL cannot be had back: the undo writes infinity, which means the same.
        return sorted(line.replace(" VALID UNTIL 'infinity'", "") for line in lines)


def send(hostname: str, command: str, data: bytes) -> str:
    """Run a command on a host with something on its standard input."""
    argv = ["ssh", "-F", str(LAB_DIR / "ssh_config"), hostname, f"cd /; {command}"]
    done = subprocess.run(argv, input=data, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, f"{hostname}: {command}: {done.stdout.decode()}{done.stderr.decode()}"
    return done.stdout.decode()


def ship(hostname: str) -> None:
    """Bring the package of this tree to the host, whatever is installed there."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted((ROOT / "module_utils" / "holdfast").rglob("*.py")):
            packed.write(path, path.relative_to(ROOT / "module_utils"))
    send(hostname, f"sudo mkdir -p {PLACE} && sudo tee {PLACE}/holdfast.zip >/dev/null", archive.getvalue())
    asking = (HERE / "ask_postgresql.py").read_bytes()
    send(hostname, f"sudo tee {PLACE}/ask.py >/dev/null && sudo chmod -R a+rX {PLACE}", asking)


@contextmanager
def cluster(host: Host, hostname: str, version: str, name: str, port: int) -> Iterator[Cluster]:
    """A vanilla cluster of Debian, removed at the end."""
    made = Cluster(host, hostname, version, name, port)
    ship(hostname)
    host.run(f"pg_dropcluster --stop {version} {name}")
    made.run(f"pg_createcluster {version} {name} -p {port} --start")
    try:
        yield made
    finally:
        host.run(f"pg_dropcluster --stop {version} {name}; rm -rf {PLACE}/{name} /var/lib/postgresql/.pg_service.conf")
        host.run(f"systemctl stop {LOUD}")


def plant(made: Cluster) -> None:
    """Every flaw, those that need a restart too."""
    made.sql((HERE / "plant_postgresql.sql").read_text())
    key = f"{PLACE}/{made.name}/server"
    made.run(f"install -d -o postgres {PLACE}/{made.name}")
    made.run(
        f"sudo -u postgres openssl req -x509 -nodes -newkey rsa:2048 -subj /CN=planted -keyout {key}.key -out {key}.crt"
    )
    settings = {
        "ssl_cert_file": f"{key}.crt",
        "ssl_key_file": f"{key}.key",
        "listen_addresses": "*",
    }
    for setting, value in settings.items():
        made.sql(f"ALTER SYSTEM SET {setting} = '{value}'")
    made.run(f"chmod 0600 {key}.key")
    made.run(f"echo \"PGPASSWORD = 'Planted-secret-4'\" >> {made.etc}/environment")
    made.ctl("restart")
    made.run("echo 'password=Planted-secret-5' | sudo -u postgres tee /var/lib/postgresql/.pg_service.conf")
    made.run(f"systemd-run --unit={LOUD} bash -c 'exec -a postgresql://shop:Planted-secret-6@db/shop sleep 1000'")
    made.run(f"chmod 0644 {key}.key; chmod 0750 {made.data}; chmod 0666 {made.etc}/pg_hba.conf; chmod 0644 {made.log}")
    send(made.hostname, f"sudo tee -a {made.etc}/pg_hba.conf >/dev/null", RULES.encode())


def harden(made: Cluster) -> None:
    """What takes the findings of a vanilla cluster away, but for pgaudit, whose library is not installed."""
    settings = {
        "log_connections": "on",
        "log_disconnections": "on",
        "log_replication_commands": "on",
        "log_statement": "ddl",
        "log_line_prefix": "%m [%p] %q%u@%d %h ",
        "archive_mode": "on",
        "archive_command": "/bin/true",
        "idle_in_transaction_session_timeout": "10min",
        "ssl_ciphers": "ECDHE+AESGCM:ECDHE+CHACHA20",
    }
    for setting, value in settings.items():
        made.sql(f"ALTER SYSTEM SET {setting} = '{value}'")
    made.run(f"sed -i '/^host *all *all/d' {made.etc}/pg_hba.conf")
    made.ctl("stop")
    made.run(f"sudo -u postgres /usr/lib/postgresql/{made.version}/bin/pg_checksums --enable -D {made.data}")
    made.ctl("start")


def undo(made: Cluster, steps: Sequence[Mapping[str, Any]]) -> None:
    """Run what a step says takes it back, the last step first, as a person would with a script."""
    for step in reversed(steps):
        made.sql(";\n".join(step["undo"]) + ";", step["database"] or "postgres")
