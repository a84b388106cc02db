import db_fleet_info


def test_it_returns_the_fleet_and_its_table(run):
    expected = {"db1": [{"name": "orders", "engine": "postgresql"}]}
    result = run(db_fleet_info.main, answers={"db1": {"unreachable": True, "msg": "no route"}}, expected=expected)
    assert [entry["instance"] for entry in result["fleet"]] == ["orders"]
    assert "host db1 cannot be reached: no route" in result["table"]


def test_an_empty_fleet_is_no_crash(run):
    assert run(db_fleet_info.main, answers={})["table"] == "no instances"
