"""A server whose accounts and rights are attributes: it proves what an audit does around an auditor, nothing of one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ansible.module_utils.holdfast.audit.model import (
    Account,
    Action,
    Check,
    Escalation,
    Finding,
    Membership,
    Right,
    Severity,
    Step,
)
from ansible.module_utils.holdfast.errors import HoldfastError, Refused, Unsupported

NOW = datetime.now(UTC)
CONTROLS = {"pci_dss": ("7.2.2",), "hipaa": ("308(a)(4)",), "gdpr": ("32(1)(b)",), "iso_27001": ("8.2",)}


def check(id_="PG01", severity=Severity.CRITICAL, statement="SELECT rolname FROM pg_roles WHERE rolsuper"):
    return Check(id_, f"Title of {id_}", severity, "Because.", "Mend it.", statement, CONTROLS)


def account(name, **changes):
    fields = {"login": True, "superuser": False, "last_seen": NOW, "last_seen_source": "statistics", "method": "scram"}
    return Account(name, **{**fields, "password": "none", **changes})


class FakeAuditor:
    """``answers`` by check id are findings, or an error that is raised."""

    def __init__(self):
        self.listed = [check("PG01"), check("PG02", Severity.HIGH), check("PG03", Severity.LOW)]
        self.answers = {}
        self.people = [
            account("postgres", superuser=True, system=True),
            account("shop", owns=3),
            account("ann", last_seen=NOW - timedelta(days=200)),
            account("writers", login=False),
        ]
        self.held = [Membership("writers", "shop")]
        self.given = [
            Right("shop", "SELECT", "table", "public.orders", "shop"),
            Right("shop", "INSERT", "table", "public.orders", "shop", via=("writers",)),
            Right("postgres", "ALL", "server", "", source="attribute"),
        ]
        self.paths: list[Escalation] = []
        self.log: object = Unsupported("postgresql", "grants", "nothing is logged")
        self.changed: list[Step] = []
        self.failing: dict[str, Exception] = {}

    def _maybe_fail(self, what):
        if what in self.failing:
            raise self.failing[what]

    def checks(self):
        return self.listed

    def answer(self, asked):
        found = self.answers.get(asked.id, ())
        if isinstance(found, Exception):
            raise found
        return found

    def accounts(self):
        self._maybe_fail("accounts")
        return self.people

    def memberships(self):
        self._maybe_fail("memberships")
        return self.held

    def rights(self):
        yield from self.given
        self._maybe_fail("rights")

    def escalations(self):
        self._maybe_fail("escalations")
        return self.paths

    def observed_grants(self, since):
        if isinstance(self.log, Exception):
            raise self.log
        return self.log, f"{since}+1"

    def plan(self, action, name, **details):
        if name == "postgres":
            raise Refused("it is the account that this connects with", where="orders")
        if name not in {item.name for item in self.people}:
            raise HoldfastError(f"there is no account {name}", where="orders")
        text = f"{action} {name} {sorted(details.items())}"
        gone = "its password cannot be brought back" if action is Action.DROP else ""
        return [Step(action, name, f"{action} {name}", (f"DO {text};",), (f"UNDO {text};",), "", gone)]

    def change(self, steps):
        self._maybe_fail("change")
        self.changed.extend(steps)


def finding(subject, id_="PG01", severity=Severity.CRITICAL, **others):
    return Finding(id_, subject, f"found {subject}", severity, **{"account": subject, **others})
