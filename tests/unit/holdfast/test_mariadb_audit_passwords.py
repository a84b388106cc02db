"""Weak passwords are told from what the server stores; the stored forms are those of real servers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible.module_utils.holdfast.engines import _mariadb_audit_catalog as catalog
from ansible.module_utils.holdfast.engines._mariadb_audit_ed25519 import public_key, stored_key
from ansible.module_utils.holdfast.engines._mariadb_audit_options import passwords
from ansible.module_utils.holdfast.engines._mariadb_audit_passwords import OWN_NAME, TRIVIAL, Guesser, native

PARSEC = "P0:MlYOR9qNqbEEI3Brbk234b/A:GT6zZTAxI/15YYUDeqwxUJGmckKJtGdjw9SP5IfGlX4"  # of parsec1, by 11.8


def _principal(user: str, plugin: str, stored: str) -> catalog.Principal:
    return catalog.principal(user, "localhost", json.dumps({"plugin": plugin, "authentication_string": stored}))


def test_keys_are_those_of_the_standard_and_of_the_server() -> None:
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")  # RFC 8032, 7.1
    assert public_key(seed).hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert stored_key("e1") == "mM/PcoSVmBcVH4yXbYrm9GrjK0l+6f8V04Bu2KjmHEk"  # by 10.11
    assert native("x1") == "*6891F9D51EB5A38D1BB310DDBC6379A189A4F575"


@pytest.mark.parametrize(
    ("user", "plugin", "stored", "found"),
    [
        ("app", "mysql_native_password", native("app"), OWN_NAME),
        ("app", "mysql_native_password", native("ppa"), OWN_NAME),
        ("app", "mysql_native_password", native("App").lower(), OWN_NAME),
        ("app", "mysql_native_password", native("123456"), TRIVIAL),
        ("app", "mysql_native_password", native("Corr3ct-h0rse"), ""),
        ("app", "mysql_native_password", "invalid", ""),
        ("app", "ed25519", stored_key("app123"), OWN_NAME),
        ("app", "ed25519", stored_key("changeme"), TRIVIAL),
        ("app", "ed25519", stored_key("Corr3ct-h0rse"), ""),
        ("parsec1", "parsec", PARSEC, OWN_NAME),
        ("other", "parsec", PARSEC, ""),
        ("app", "unix_socket", "", ""),
    ],
)
def test_weak_passwords_are_told(user: str, plugin: str, stored: str, found: str) -> None:
    assert Guesser().verdict(_principal(user, plugin, stored)) == (found, "")


@pytest.mark.parametrize(
    ("plugin", "stored", "why"),
    [
        ("mysql_old_password", "5d2e19393cc5ef67", "cannot test"),
        ("sha256_password", "x", "cannot test"),
        ("parsec", "P0:short", "not of the form"),
    ],
)
def test_what_cannot_be_tested_says_so(plugin: str, stored: str, why: str) -> None:
    found, untested = Guesser().verdict(_principal("a", plugin, stored))
    assert not found
    assert why in untested


def test_slow_passwords_are_tested_within_a_time() -> None:
    assert "used up" in Guesser(seconds=-1).verdict(_principal("parsec1", "parsec", PARSEC))[1]


def test_passwords_in_option_files_are_placed_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path
    (directory / "conf.d").mkdir()
    (directory / "my.cnf").write_text(
        f"[client]\nuser=a\npassword = 'one#two'\n#password=no\npassword=\n!includedir {directory}/conf.d\n"
    )
    (directory / "conf.d" / "x.cnf").write_text("[mariadbd]\nssl-passphrase=three\nport=1\n!include /nowhere.cnf\n")
    (directory / "conf.d" / "x.txt").write_text("[client]\npassword=four\n")
    (directory / "my.cnf").chmod(0o644)
    monkeypatch.setattr("ansible.module_utils.holdfast.engines._mariadb_audit_options._STARTS", ())
    found = passwords(str(directory), "/nonexistent")
    assert [(item.section, item.option) for item in found] == [("client", "password"), ("mariadbd", "ssl-passphrase")]
    assert found[0].mode == 0o644
    assert "one" not in str(found)
