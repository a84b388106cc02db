"""Remediation: planned, confirmed, with an undo that is written before anything changes."""

from __future__ import annotations

import os
import pwd

import pytest
from access import FakeAuditor, account
from ansible.module_utils.holdfast import cli, config
from ansible.module_utils.holdfast.audit import remedy, run
from ansible.module_utils.holdfast.audit.model import Action, Membership, Right, Step
from ansible.module_utils.holdfast.engines import registry
from ansible.module_utils.holdfast.errors import HoldfastError, InvalidInput, Refused, Unsupported
from fakes import FakeAdapters, instance

POLICY = {
    "administrators": ["postgres"],
    "accounts": {
        "shop": {"owner": "team", "roles": ["writers"], "rights": [{"privileges": ["SELECT"]}]},
        "ann": {"state": "locked"},
        "bob": {"state": "absent"},
        "eve": {"owner": "Eve"},
    },
    "roles": {"writers": {}},
}


@pytest.fixture
def orders(tmp_path, monkeypatch):
    for name in ("INSTANCES", "KEYS", "LOGS"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(config, name, str(tmp_path / name))
    (tmp_path / "state").mkdir()
    found = instance(tmp_path / "state", os_user=pwd.getpwuid(os.geteuid()).pw_name)
    for file in config.render(found):
        with open(file.path, "w", encoding="utf-8") as stream:
            stream.write(file.content)
    return found


@pytest.fixture
def auditor(orders, monkeypatch):
    found = FakeAuditor()
    fake = FakeAdapters(orders)
    for module in (remedy, run):
        monkeypatch.setattr(module, "Adapters", fake)
    monkeypatch.setattr(registry, "auditor", lambda _: found)
    return found


def nothing(_instance):
    pass


def plan(action, **options):
    return remedy.plan("orders", remedy.make_request(action, **options), nothing)


def start(action, confirm="orders", **options):
    return remedy.start("orders", remedy.make_request(action, confirm=confirm, **options), nothing)


@pytest.mark.parametrize(
    ("action", "options", "message"),
    [
        ("destroy", {}, "unknown action"),
        ("lock", {}, "needs an account"),
        ("policy", {"account": "ann"}, "takes no account"),
        ("revoke", {"account": "ann"}, "needs a role, an attribute or a privilege"),
        ("lock", {"account": "ann", "details": {"role": "x"}}, "takes no role"),
        ("undo", {}, "belong together"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(action, options, message):
    with pytest.raises(InvalidInput, match=message):
        remedy.make_request(action, **options)


def test_a_plan_changes_nothing(auditor):
    found = plan("revoke", account="shop", details={"role": "writers"})
    assert [step["what"] for step in found["steps"]] == ["revoke shop"]
    assert "role" in found["steps"][0]["statements"][0]
    assert auditor.changed == []
    assert "undo: UNDO" in remedy.describe(found["steps"])


def test_without_the_name_of_the_instance_nothing_is_done(auditor):
    with pytest.raises(Refused, match="does not confirm"):
        start("lock", account="ann", confirm="ann")
    assert auditor.changed == []


def test_a_change_is_recorded_and_its_undo_is_there_first(auditor, orders, monkeypatch):
    seen = []
    change = auditor.change
    monkeypatch.setattr(
        auditor, "change", lambda steps: seen.extend(os.listdir(orders.state_directory + "/access")) or change(steps)
    )
    record = start("drop", account="ann")
    assert record["result"] == "ok"
    assert [step.account for step in auditor.changed] == ["ann"]
    said = record["access_change"]
    path = said["undo"]
    assert os.path.basename(path) in seen, "written before"
    assert os.stat(path).st_mode & 0o777 == 0o600
    with open(path, encoding="utf-8") as stream:
        script = stream.read()
    assert "UNDO drop ann" in script
    assert "cannot bring back: its password" in script
    assert said["steps"][0]["irreversible"]


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x85", "\u2028"])
def test_a_name_cannot_end_the_remark_that_it_is_in(orders, end):
    evil = f"x{end}DROP ROLE y; --"
    step = Step(Action.DROP, evil, f"{evil} is dropped", ("DO",), ("UNDO",), evil, f"the password of {evil}")
    with open(remedy.write_undo(orders, [step]), encoding="utf-8", newline="") as stream:
        script = stream.read()
    assert script.count("DROP ROLE y") == 3
    assert [line for line in script.splitlines() if line and not line.startswith("--")] == ["UNDO;"]
    shown = remedy.describe([vars(step)]).splitlines()
    assert [line.split(" ")[0] for line in shown if not line.startswith(" ")] == ["x"]
    assert len(shown) == 4


def test_an_undo_can_be_run_and_undone(auditor):
    record = start("lock", account="ann")
    auditor.changed.clear()
    back = start("undo", undo=os.path.basename(record["access_change"]["undo"]))
    assert [step.statements for step in auditor.changed] == [("UNDO lock ann [];",)]
    auditor.changed.clear()
    start("undo", undo=back["access_change"]["undo"])
    assert [step.statements for step in auditor.changed] == [("DO lock ann [];",)]
    with pytest.raises(InvalidInput, match="there is no undo"):
        plan("undo", undo="../../etc/passwd")


def test_what_the_engine_refuses_is_refused_whole(auditor):
    record = start("lock", account="postgres")
    assert (record["result"], record["error"]["code"]) == ("failed", "refused")
    assert "the account that this connects with" in record["error"]["what"]
    assert auditor.changed == []
    assert record["access_change"]["undo"] == ""


def test_a_change_that_fails_leaves_its_undo_and_a_failed_record(auditor):
    auditor.failing = {"change": HoldfastError("permission denied")}
    record = start("lock", account="ann")
    assert (record["result"], record["error"]["what"]) == ("failed", "permission denied")
    assert os.path.exists(record["access_change"]["undo"])


def test_bringing_to_policy_takes_away_what_the_policy_names(auditor):
    auditor.people += [account("bob"), account("stranger")]
    auditor.held = [Membership("writers", "stranger"), Membership("writers", "bob"), Membership("admins", "stranger")]
    auditor.given = [
        Right("shop", "DELETE", "table", "public.orders", "shop"),
        Right("shop", "SELECT", "table", "public.orders", "shop"),
        Right("shop", "TRUNCATE", "table", "public.orders", "shop", source="ownership"),
        Right("stranger", "DELETE", "table", "public.orders", "shop"),
    ]
    found = plan("policy", policy=POLICY)
    assert [(step["action"], step["account"]) for step in found["steps"]] == [
        ("revoke", "shop"),
        ("revoke", "stranger"),
        ("lock", "ann"),
        ("drop", "bob"),
    ]
    assert "DELETE" in found["steps"][0]["statements"][0]
    assert found["notes"] == [
        "the policy names the account eve, and there is none; it is not made",
        "the policy gives writers to shop, which does not hold it; it is not granted",
    ]


def test_a_role_that_everybody_has_is_taken_away(auditor):
    auditor.people += [
        account("PUBLIC", login=False, system=True),
        account("pg_monitor", login=False, system=True),
        account("pg_read_all_stats", login=False, system=True),
    ]
    auditor.held = [
        Membership("writers", "PUBLIC"),
        Membership("writers", "pg_monitor"),
        Membership("writers", "postgres"),
        Membership("pg_read_all_stats", "pg_monitor"),
    ]
    roles = {"writers": {"members": []}, "pg_read_all_stats": {"members": []}}
    found = plan("policy", policy={"roles": roles})
    assert [step["account"] for step in found["steps"]] == ["PUBLIC", "pg_monitor"]


def test_the_right_to_call_a_routine_that_runs_as_its_owner_is_one(auditor):
    auditor.given = [
        Right("shop", "EXECUTE", "routine", "public.pay()", "shop", source="routine"),
        Right("shop", "SELECT AS root@localhost", "view", "a.b", "a", via=("root@localhost",), source="routine"),
        Right("shop", "EXECUTE", "future routines", "of ann", "shop", source="default"),
    ]
    found = plan("policy", policy=POLICY)
    (step,) = [step for step in found["steps"] if step["action"] == "revoke"]
    assert "public.pay()" in step["statements"][0]


def test_what_the_engine_cannot_do_is_a_note_and_stops_nothing_else(auditor, monkeypatch):
    auditor.people.append(account("bob"))
    plan_ = auditor.plan

    def unable(action, name, **details):
        if name == "ann":
            raise Unsupported("postgresql", "locking", "a role cannot be locked")
        return plan_(action, name, **details)

    monkeypatch.setattr(auditor, "plan", unable)
    found = plan("policy", policy={"accounts": {"ann": {"state": "locked"}, "bob": {"state": "absent"}}})
    assert [step["account"] for step in found["steps"]] == ["bob"]
    assert found["notes"] == ["lock ann: not applicable: a role cannot be locked"]
    with pytest.raises(Unsupported):
        plan("lock", account="ann")


def hands_on(auditor, monkeypatch, *, stays=False):
    """A server that keeps the right to hand on when the last right beside it is taken away, as MariaDB does."""
    auditor.given = [Right("shop", name, "database", "shop.*", "shop", grantable=True) for name in ("DROP", "INSERT")]

    def change(steps):
        auditor.changed.extend(steps)
        gone = [right for right in auditor.given if any(repr(right.privilege) in step.statements[0] for step in steps)]
        if stays or not gone:
            return
        left = [right for right in auditor.given if right not in gone]
        alone = Right("shop", "GRANT OPTION", "database", "shop.*", "shop", grantable=True)
        auditor.given = left if left or alone in gone else [alone]

    monkeypatch.setattr(auditor, "change", change)


def test_what_shows_only_after_the_first_steps_is_taken_in_the_same_run(auditor, monkeypatch):
    hands_on(auditor, monkeypatch)
    record = start("policy", policy={"accounts": {"shop": POLICY["accounts"]["shop"]}, "roles": {"writers": {}}})
    assert record["result"] == "ok", record
    said = record["access_change"]
    assert [step["statements"][0].split("'privilege', ")[1].split("'")[1] for step in said["steps"]] == [
        "DROP",
        "INSERT",
        "GRANT OPTION",
    ]
    auditor.changed.clear()
    start("undo", undo=said["undo"])
    assert len(auditor.changed) == 3, "one undo takes all of it back"
    assert "GRANT OPTION" in auditor.changed[0].statements[0]


def test_a_server_that_does_not_change_is_not_asked_for_ever(auditor, monkeypatch):
    hands_on(auditor, monkeypatch, stays=True)
    record = start("policy", policy={"accounts": {"shop": POLICY["accounts"]["shop"]}, "roles": {"writers": {}}})
    assert "still not as the policy has them" in record["error"]["what"]
    assert len(auditor.changed) == 4, "once more, and then it is told"


def test_what_is_still_not_so_afterwards_is_an_error(auditor):
    record = start("policy", policy={"accounts": {"ann": {"state": "locked"}}})
    assert "still not as the policy has them: lock ann" in record["error"]["what"], "the fake locks nobody"


def test_what_the_engine_has_no_step_for_is_no_success(auditor, monkeypatch):
    monkeypatch.setattr(auditor, "plan", lambda *_args, **_details: [])
    record = start("policy", policy={"accounts": {"ann": {"state": "locked"}}})
    assert record["result"] == "failed"
    assert "still not as the policy has them: lock ann" in record["error"]["what"]
    assert (record["access_change"]["undo"], auditor.changed) == ("", []), "nothing was done"


def test_a_server_as_its_policy_has_it_is_left_alone(auditor, orders):
    record = start("policy", policy={"accounts": {"shop": {"owner": "x"}}})
    assert (record["result"], record["access_change"]["steps"]) == ("ok", [])
    assert not os.path.exists(orders.state_directory + "/access")


def test_no_policy_is_no_reason_to_change_anything(auditor):
    with pytest.raises(InvalidInput, match="no policy"):
        plan("policy")


def test_the_command_audits_and_tells(auditor, orders, capsys):
    assert cli.main(["audit", "orders"]) == 0
    shown = capsys.readouterr().out
    assert "AC02" in shown
    assert "last seen" in shown
    auditor.people.append(account("mallory", superuser=True))
    assert cli.main(["audit"]) == 3
    assert "NEW POWER: mallory is an administrator" in capsys.readouterr().out
    assert cli.main(["audit", "--last", "--json"]) == 3
    assert '"new-power"' not in capsys.readouterr().out
    assert cli.main(["audit", "--rights", "shop"]) == 0
    assert "SELECT on table public.orders of shop" in capsys.readouterr().out
    assert cli.main(["audit", "--fail-on", "medium"]) == 3
    auditor.answers = {"PG01": HoldfastError("permission denied")}
    assert cli.main(["audit"]) == 1
    assert "ERROR: PG01" in capsys.readouterr().out


def test_the_last_of_no_audit_is_an_error(auditor, capsys):
    assert cli.main(["audit", "--last"]) == 2
    assert "never audited" in capsys.readouterr().err
