"""The plan of the lab says what its hosts measured, also when none of them answers; messages and metrics, too."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.integration.fleet import LAB_DIR, Database, Fleet, playbook

DIRECTORY = LAB_DIR / "plan"
PLAN = DIRECTORY / "disaster-recovery-plan.md"
EVERYWHERE = ("orders", "billing", "analytics", "shop", "crm")


@pytest.fixture(scope="module", autouse=True)
def _made(fleet: Fleet, quiet: None) -> None:
    """Every instance has a restore test, and the plan knows it."""
    missing = [name for name in EVERYWHERE if not measured(fleet[name])]
    for name in missing:
        if not fleet[name].backups():
            fleet[name].backup()
        fleet[name].holdfast("restore-test")
    playbook("dr_plan", extra={"dr_plan_directory": str(DIRECTORY)})


def measured(database: Database) -> list[dict]:
    return [record for record in database.records("restore_test", last=5000) if record["result"] == "ok"]


def section(title: str) -> str:
    return re.search(rf"^#+ {title}.*?(?=^## |\Z)", PLAN.read_text(), re.MULTILINE | re.DOTALL)[0]


@pytest.mark.parametrize("name", EVERYWHERE)
def test_the_plan_says_what_the_host_measured(fleet: Fleet, name: str) -> None:
    status, test = fleet[name].status(), measured(fleet[name])[-1]
    scope = next(line for line in section("1 Introduction").splitlines() if line.startswith(f"| `{name}`"))
    assert status["version"] in scope
    log = [line for line in section("Appendix J").splitlines() if line.startswith(f"| `{name}`")]
    assert any(test["restore_test"]["backup_id"] in line and "passed" in line for line in log)
    [sequence] = [line for line in section("4 Recovery").splitlines() if re.match(rf"\| \*\*\d\*\* \| `{name}`", line)]
    assert "verified 20" in sequence
    assert not re.search("GAP: (restore time|no verified)", sequence)


def test_what_depends_on_another_comes_after_it() -> None:
    found = re.findall(r"^\| \*\*(\d)\*\* \| `(\w+)`", section("4 Recovery"), re.MULTILINE)
    wave = {name: int(number) for number, name in found}
    assert wave["billing"] < wave["orders"]
    assert sorted(wave) == sorted(EVERYWHERE)


def test_no_secret_of_the_lab_is_in_the_plan(fleet: Fleet) -> None:
    secrets = {value for name in EVERYWHERE for found in fleet[name].secrets.values() for value in found.values()}
    assert secrets
    for path in DIRECTORY.iterdir():
        assert [secret for secret in secrets if secret in path.read_text()] == [], path


def test_again_without_changes_it_is_the_same_text_and_with_every_host_gone_it_is_marked() -> None:
    before = PLAN.read_bytes()
    playbook("dr_plan", extra={"dr_plan_directory": str(DIRECTORY)})
    assert PLAN.read_bytes() == before
    playbook("dr_plan", extra={"dr_plan_directory": str(DIRECTORY), "dr_plan_ask_hosts": "false"})
    gone = PLAN.read_text()
    assert len(re.findall(r"\*\*Out of reach: \*\*", gone)) == len(EVERYWHERE)
    assert "GAP: no verified backup known" not in gone


def test_metrics_tell_what_records_and_status_tell(database: Database) -> None:
    text = database.run("holdfast metrics %s", database.name)
    values = {
        match[1]: float(match[2]) for match in re.finditer(r"^(holdfast_\w+)\{[^}]*\} (\S+)$", text, re.MULTILINE)
    }
    achieved = measured(database)[-1]["restore_test"]["rto_seconds"]
    assert values["holdfast_rto_achieved_seconds"] == pytest.approx(achieved)
    forecast = database.status()["rto"]["forecast_seconds"]
    assert values["holdfast_rto_forecast_seconds"] == pytest.approx(forecast, rel=0.01)
    now = float(database.run("date +%s"))
    assert 0 <= now - values["holdfast_recoverable_until_timestamp_seconds"] < 86400
    database.run("holdfast metrics %s --output /run/holdfast.prom", database.name)
    assert "holdfast_rto_target_seconds" in database.run("cat /run/holdfast.prom; rm /run/holdfast.prom")


class Receiver(BaseHTTPRequestHandler):
    """Keeps what is posted."""

    got: list[dict]

    def do_POST(self) -> None:
        self.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_the_role_tells_whom_the_inventory_names(tmp_path: Path) -> None:
    kind = type("Own", (Receiver,), {"got": []})
    server = HTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    play = {
        "hosts": "databases",
        "gather_facts": False,
        "roles": [{"role": "notify", "vars": {"notify_phase": "declare", "notify_instances": ["orders"]}}],
    }
    (tmp_path / "tell.yml").write_text(json.dumps([play]))
    webhook = {"declare": {"tell": ["captain"], "webhook": f"http://127.0.0.1:{server.server_port}/t0ken"}}
    done = playbook(str(tmp_path / "tell"), extra={"notify_communication": webhook})
    server.shutdown()
    server.server_close()
    [message] = kind.got
    assert message["instances"] == "orders"
    assert "Kelp & Sons" in message["text"]
    # The lab has no mail server, which is told and stops nothing.
    assert "the inventory has no db_mail" in done
    assert "t0ken" not in done
