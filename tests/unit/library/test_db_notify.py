"""The module that tells people: what fails is a warning."""

from __future__ import annotations

import pytest
from ansible.module_utils.holdfast import notify
from ansible.module_utils.holdfast.notify import Delivery

import db_notify

OPTIONS = {
    "phase": "declare",
    "communication": {
        "tell": ["lead", "boss"],
        "webhook": "https://hooks.example.com/t0ken",
        "message": "$system is lost",
    },
    "contacts": {"lead": {"mail": "ann@x.org"}, "boss": {"phone": "1"}},
    "mail_server": {"server": "mx.example.com", "sender": "h@x.org", "password": "s3cret"},
    "facts": {"system": "Orders"},
}


@pytest.fixture
def sent(monkeypatch):
    found = []
    monkeypatch.setattr(
        notify, "post", lambda url, message: found.append(url) or Delivery("webhook", "hooks.example.com")
    )

    def mail(server, to, message):
        found.append((server.server, to, message.text))
        return Delivery("mail", ", ".join(to), "mx.example.com refuses it")

    monkeypatch.setattr(notify, "send_mail", mail)
    return found


def test_both_ways_are_used_and_a_failure_does_not_fail_the_module(run, sent):
    result = run(db_notify.main, **OPTIONS)
    assert sent == ["https://hooks.example.com/t0ken", ("mx.example.com", ["ann@x.org"], "Orders is lost")]
    assert "failed" not in result
    assert result["changed"] is True
    assert result["deliveries"] == [
        {"channel": "webhook", "to": "hooks.example.com", "error": ""},
        {"channel": "mail", "to": "ann@x.org", "error": "mx.example.com refuses it"},
    ]
    assert result["notes"] == [
        "contact boss has no mail address and was not told",
        "mail to ann@x.org was not delivered: mx.example.com refuses it",
    ]


def test_neither_the_address_of_the_webhook_nor_the_password_is_in_the_result(run, sent):
    result = str(run(db_notify.main, **OPTIONS))
    assert "t0ken" not in result
    assert "s3cret" not in result


def test_check_mode_sends_nothing_and_says_what_it_would(run, sent):
    result = run(db_notify.main, _check_mode=True, **OPTIONS)
    assert sent == []
    assert [item["to"] for item in result["deliveries"]] == ["hooks.example.com", "ann@x.org"]


def test_without_a_mail_server_that_is_told(run, sent):
    options = {key: value for key, value in OPTIONS.items() if key != "mail_server"}
    assert "the inventory has no db_mail" in str(run(db_notify.main, **options)["notes"])


def test_a_phase_of_which_nobody_is_told_is_no_error(run, sent):
    result = run(db_notify.main, phase="close")
    assert (result["changed"], result["deliveries"]) == (False, [])
