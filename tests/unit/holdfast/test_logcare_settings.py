from datetime import timedelta

import pytest
from ansible.module_utils.holdfast import inventory
from ansible.module_utils.holdfast.logcare.settings import (
    DEFAULT_ROTATION,
    Limits,
    Settings,
    Share,
    Shipping,
    parse_share,
    parse_size,
    resolve,
)
from ansible.module_utils.holdfast.problems import InvalidInventory


@pytest.mark.parametrize(("text", "size"), [("1K", 1024), ("100M", 100 << 20), ("2G", 2 << 30), ("1T", 1 << 40)])
def test_a_size_is_a_number_and_a_unit(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["100", "0M", "1.5G", "100MB", "-1M", " 1M", "1m", "", None, 5, True])
def test_nothing_else_is_a_size(text):
    with pytest.raises(ValueError, match="100M or 2G"):
        parse_size(text)


def test_an_amount_of_disk_is_a_share_or_a_size():
    assert parse_share("15%") == Share(percent=15)
    assert parse_share("15%").of(1000) == 150
    assert parse_share("10G").of(1000) == 10 << 30
    for wrong in ("0%", "100%", "15 %", "lots"):
        with pytest.raises(ValueError, match="share"):
            parse_share(wrong)


def test_without_a_word_everything_has_a_default():
    assert resolve({}) == resolve(None) == Settings()


def test_what_is_written_replaces_only_itself():
    made = resolve({"rotation": {"slow": {"keep": 3}}, "outage": "6h", "reserve": "20%", "take_over": False})
    assert made.rotation["slow"] == Limits("daily", 100 << 20, 3, timedelta(days=14))
    assert made.rotation["server"] == DEFAULT_ROTATION["server"]
    assert (made.outage, made.reserve, made.take_over) == (timedelta(hours=6), Share(percent=20), False)


def test_shipping_has_the_port_of_its_protocol():
    assert resolve({"shipping": {"host": "log1"}}).shipping == Shipping("log1", 514)
    tls = {"host": "log1", "protocol": "tls", "ca_file": "/etc/ssl/ca.pem", "peer": "log1.example.com"}
    assert resolve({"shipping": tls}).shipping.port == 6514


def test_everything_that_is_wrong_is_told_at_once():
    wrong = {
        "rotatoin": {},
        "rotation": {"server": {"size": "100", "every": "yearly", "keep": 0, "age": "1h"}, "redo": {}},
        "outage": "a day",
        "slot_limit": 10,
        "reserve": "150%",
        "append_only": "yes",
        "shipping": {"host": 'evil" )', "port": 0, "protocol": "tls", "kinds": ["runner"], "cert_file": '/a"b'},
    }
    with pytest.raises(InvalidInventory) as caught:
        resolve(wrong)
    keys = {problem.key.removeprefix("db_logs.") for problem in caught.value.problems}
    assert keys == {
        "rotatoin",
        "rotation.server.size",
        "rotation.server.every",
        "rotation.server.keep",
        "rotation.server.age",
        "rotation.redo",
        "outage",
        "slot_limit",
        "reserve",
        "append_only",
        "shipping.host",
        "shipping.port",
        "shipping.kinds[0]",
        "shipping.cert_file",
        "shipping.ca_file",
        "shipping.peer",
        "shipping",
    }
    assert "did you mean rotation?" in str(caught.value)


def test_the_inventory_is_checked_with_it():
    hosts = {"db1": {"db_instances": [], "db_logs": {"rotation": {"server": {"size": "big"}}}}}
    assert any("db_logs.rotation.server.size" in problem.key for problem in inventory.check(hosts))
    hosts["db1"]["db_logs"] = {"rotation": {"server": {"size": "{{ size }}"}}}
    assert not [problem for problem in inventory.check(hosts) if "db_logs" in problem.key]
