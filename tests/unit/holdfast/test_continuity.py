"""What people must write down for a disaster: what is refused, in which words, and which gaps are told."""

from __future__ import annotations

import copy
from datetime import date, timedelta
from typing import Any

import pytest
from ansible.module_utils.holdfast import continuity, inventory

CONTACTS = {
    "lead": {
        "name": "Ann",
        "phone": "+49 1",
        "mail": "ann@x.org",
        "duties": "leads",
        "declares": True,
        "deputies": ["dba"],
    },
    "dba": {"name": "Ben", "phone": "+49 2", "mail": "ben@x.org", "duties": "restores"},
    "cloud": {"name": "Cloud", "phone": "+49 3", "mail": "help@cloud.org", "vendor": "contract 1"},
}
COMPLETE: dict[str, Any] = {
    "db_instances": [
        {
            "name": "orders",
            "engine": "postgresql",
            "service_level": "critical",
            "depends_on": ["billing"],
            "business": {"owner": "sales", "impact": "money", "mtd": "4h", "mbco": "calls", "workaround": "paper"},
        },
        {"name": "billing", "engine": "postgresql", "port": 5433},
    ],
    "db_repositories": {
        "local": {"type": "posix", "path": "/backup", "passphrase": "one", "escrow": "safe"},
        "other": {"type": "posix", "path": "/mnt/backup", "passphrase": "two", "escrow": "bank"},
    },
    "db_plan": {
        "organisation": "Example",
        "system": "orders",
        "description": "takes orders",
        "owner": "lead",
        "reviewed": "2026-01-01",
        "activation": ["the site is lost"],
    },
    "db_contacts": CONTACTS,
    "db_communication": {"declare": {"tell": ["lead"]}},
    "db_sites": {
        "berlin": {"address": "street 1", "alternate": "frankfurt"},
        "frankfurt": {"address": "street 2", "type": "warm", "access": "badge", "network": "DNS"},
    },
    "db_site": "berlin",
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The complete variables with one value in another place replaced; ``None`` removes it."""
    variables = copy.deepcopy(COMPLETE)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    inner: Any = variables
    for part in parents:
        inner = inner[part]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return variables


def told(found: list[Any]) -> list[str]:
    return [str(problem) for problem in found]


def test_a_complete_inventory_has_neither_problem_nor_gap() -> None:
    assert told(inventory.check({"db1": COMPLETE})) == []
    assert told(inventory.gaps({"db1": COMPLETE})) == []


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("db_plan/owner", "boss", "db_plan.owner: 'boss': unknown contact; valid: valid are lead, dba, cloud"),
        ("db_plan/owner", "leda", "did you mean lead?"),
        (
            "db_plan/impact",
            "huge",
            "db_plan.impact: 'huge': unknown impact level; valid: valid are low, moderate, high",
        ),
        ("db_plan/reviewed", "yesterday", "db_plan.reviewed: 'yesterday': is not valid; valid: a day, YYYY-MM-DD"),
        ("db_plan/reviewed", "2999-01-01", "db_plan.reviewed: '2999-01-01': is not valid"),
        ("db_plan/activation", "fire", "db_plan.activation: 'fire': is not a list; valid: a list of texts"),
        ("db_plan/systen", "x", "db_plan.systen: 'x': unknown key; valid: did you mean system?"),
        ("db_contacts/lead/phone", "none", "db_contacts.lead.phone: 'none': is not valid; valid: a telephone number"),
        ("db_contacts/lead/mail", "ann", "db_contacts.lead.mail: 'ann': is not valid; valid: a mail address"),
        ("db_contacts/lead/deputies", ["eve"], "db_contacts.lead.deputies[0]: 'eve': unknown contact"),
        ("db_contacts/lead/calls", ["lead"], "db_contacts.lead.calls[0]: 'lead': is the contact itself"),
        ("db_contacts/lead/declares", "yes", "db_contacts.lead.declares: 'yes': is not valid; valid: true or false"),
        ("db_contacts/Big Boss", {}, "db_contacts.Big Boss: 'Big Boss': is not a valid name"),
        (
            "db_communication/begin",
            {},
            "db_communication.begin: 'begin': unknown phase; valid: phases are declare, provision",
        ),
        ("db_communication/declare/tell", ["eve"], "db_communication.declare.tell[0]: 'eve': unknown contact"),
        ("db_communication/declare/mail", ["x"], "db_communication.declare.mail[0]: 'x': is not valid"),
        (
            "db_communication/declare/webhook",
            "http://hook.org/t0ken",
            "webhook: (hidden): is not valid; valid: an address",
        ),
        (
            "db_communication/declare/message",
            "at $tiem",
            "has a placeholder that there is not; valid: a text with $organisation",
        ),
        ("db_mail", {"server": "mx"}, "db_mail.sender: is missing"),
        ("db_mail", {"server": "mx", "sender": "a@b.c", "ca_file": "ca"}, "db_mail.ca_file: 'ca': is not valid"),
        ("db_mail", {"server": "mx", "sender": "a@b.c", "port": 0}, "db_mail.port: 0: is not valid; valid: 1 to 65535"),
        ("db_sites/berlin/alternate", "berlin", "db_sites.berlin.alternate: 'berlin': is the site itself"),
        ("db_sites/frankfurt/type", "tepid", "unknown type of site; valid: valid are cold, warm, hot, mirrored"),
        ("db_site", "bonn", "db_site: 'bonn': unknown site; valid: valid are berlin, frankfurt"),
        ("db_repositories/local/escrow", 5, "db_repositories.local.escrow: 5: is not valid; valid: a text"),
        ("db_instances/0/business/mtd", "soon", "db_instances[orders].business.mtd: 'soon': is not a duration"),
        ("db_instances/0/business/mtd", "29m", "'29m': is shorter than the RTO of 30m; valid: 30m or more"),
        ("db_instances/0/business/cost", "x", "db_instances[orders].business.cost: 'x': unknown key"),
        ("db_instances/0/depends_on", "billing", "db_instances[orders].depends_on: 'billing': is not a list"),
        (
            "db_instances/0/depends_on",
            ["biling"],
            "depends_on[0]: 'biling': unknown instance; valid: did you mean billing?",
        ),
        (
            "db_instances/0/depends_on",
            ["orders"],
            "db_instances[orders].depends_on[0]: 'orders': is the instance itself",
        ),
        ("db_instances/1/depends_on", ["orders"], "db_instances[billing].depends_on: goes round in a circle: "),
    ],
)
def test_what_is_refused(path: str, value: Any, problem: str) -> None:
    found = told(inventory.check({"db1": changed(path, value)}))
    assert any(problem in text for text in found), found


def test_the_address_of_a_webhook_is_in_no_message() -> None:
    found = told(inventory.check({"db1": changed("db_communication/declare/webhook", "http://hook.org/t0ken")}))
    assert len(found) == 1
    assert "t0ken" not in found[0]


@pytest.mark.parametrize(
    ("path", "value", "key", "valid"),
    [
        ("db_plan/system", None, "db_plan.system", "the name of the system that the databases serve"),
        ("db_plan/activation", [], "db_plan.activation", "the criteria that lead to a declaration"),
        ("db_plan/reviewed", "", "db_plan.reviewed", "the day of the last review"),
        ("db_contacts/lead/declares", False, "db_contacts", "a contact with declares: true"),
        ("db_contacts/lead/deputies", [], "db_contacts.lead.deputies", "the contacts who decide"),
        ("db_contacts/dba/phone", "", "db_contacts.dba.phone", "a telephone number"),
        ("db_contacts/dba/duties", None, "db_contacts.dba.duties", "what this role does"),
        ("db_communication", {}, "db_communication.declare.tell", "the contacts who are told"),
        ("db_sites/berlin/alternate", "", "db_sites.berlin.alternate", "the name of the site that takes over"),
        ("db_sites/frankfurt/network", "", "db_sites.frankfurt.network", "the steps for addresses"),
        ("db_site", None, "db_site", "the site of the host: berlin, frankfurt"),
        (
            "db_repositories/other/escrow",
            None,
            "db_repositories.other.escrow",
            "where a copy of its passphrase is kept",
        ),
        (
            "db_instances/0/business/workaround",
            "",
            "db_instances[orders].business.workaround",
            "how people work meanwhile",
        ),
        ("db_instances/0/business/mtd", None, "db_instances[orders].business.mtd", "the maximum tolerable downtime"),
    ],
)
def test_what_is_empty_is_a_gap_of_a_critical_instance_and_of_no_other(
    path: str, value: Any, key: str, valid: str
) -> None:
    variables = changed(path, value)
    [gap] = inventory.gaps({"db1": variables})
    assert gap.key == key
    assert gap.message == "is empty, and a critical instance depends on it"
    assert valid in gap.valid
    variables["db_instances"][0]["service_level"] = "standard"
    assert inventory.gaps({"db1": variables}) == []


def test_a_vendor_needs_no_duties_and_a_template_is_no_gap() -> None:
    assert inventory.gaps({"db1": changed("db_contacts/lead/phone", "{{ vault_phone }}")}) == []


def test_a_gap_that_all_hosts_share_is_told_once() -> None:
    variables = changed("db_plan/system", None)
    other = copy.deepcopy(variables)
    other["db_instances"] = [{**other["db_instances"][0], "name": "shop", "depends_on": []}]
    assert [gap.key for gap in inventory.gaps({"db1": variables, "db2": other})] == ["db_plan.system"]


def test_a_circle_over_two_hosts_is_told_once() -> None:
    one = {**COMPLETE, "db_instances": [{"name": "a", "engine": "postgresql", "depends_on": ["b"]}]}
    two = {**COMPLETE, "db_instances": [{"name": "b", "engine": "postgresql", "depends_on": ["a"]}]}
    [problem] = inventory.check({"db1": one, "db2": two})
    assert problem.message == "goes round in a circle: a -> b -> a"


@pytest.mark.parametrize(
    ("reviewed", "due"),
    [("2025-03-01", date(2026, 3, 1)), (date(2025, 3, 1), date(2026, 3, 1)), ("", None), (None, None), ("soon", None)],
)
def test_the_review_is_due_a_year_later(reviewed: Any, due: Any) -> None:
    assert continuity.review_due(reviewed) == due
    assert timedelta(days=365) == continuity.REVIEW


def test_hosts_get_nothing_of_it() -> None:
    [orders, _] = inventory.resolve(COMPLETE)
    assert "safe" not in repr(orders)
    assert "escrow" not in orders.primary_repository.settings
