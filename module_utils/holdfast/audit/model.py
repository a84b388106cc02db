"""The nouns of an access audit. They name no engine: what an engine means by them, its auditor says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

FRAMEWORKS = {
    "pci_dss": "PCI DSS 4.0",
    "hipaa": "HIPAA, 45 CFR 164",
    "gdpr": "GDPR",
    "iso_27001": "ISO 27001:2022, annex A",
}
PUBLIC = "PUBLIC"  # the grantee that every account is


class Severity(str, Enum):
    """How much a finding matters, the worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    def __str__(self) -> str:
        return self.value


class Status(str, Enum):
    """How a check ended. An error is never a pass, and neither is a server that has no such thing."""

    PASSED = "passed"
    FOUND = "found"
    NOT_APPLICABLE = "not_applicable"
    ERROR = "error"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Check:
    """One question to a server, as data. Each answer is a row with a label; no row means that nothing is wrong.

    ``statement`` is the SQL that is asked, or names what is read where it is not SQL; it is part of the evidence.
    ``controls`` gives for each framework the numbers of the requirements that the check bears on. ``per_database`` says
    that the question is asked in every database that takes connections.

    ``power`` says that it finds who has what makes an administrator: accounts that the policy names as such are as they
    should be.
    """

    id: str
    title: str
    severity: Severity
    rationale: str
    remediation: str
    statement: str
    controls: Mapping[str, tuple[str, ...]]
    per_database: bool = False
    power: bool = False


@dataclass(frozen=True)
class Finding:
    """One answer to a check: what it is about, and what was found there.

    ``subject`` is stable from run to run, as two runs are compared by check and subject: an account, an object, a
    parameter, a line of a rule. ``severity`` is set where one answer matters more or less than the check as a whole.
    ``account`` is set where the finding is about one, for exceptions of the policy and for remediation.
    """

    check: str
    subject: str
    found: str
    severity: Severity
    account: str = ""
    database: str = ""


@dataclass(frozen=True)
class Result:
    """How one check ended on one server, with the evidence."""

    check: Check
    status: Status
    findings: tuple[Finding, ...] = ()
    reason: str = ""  # why it is not applicable, or the error
    asked: datetime | None = None


@dataclass(frozen=True)
class Account:
    """A principal of a server. What an engine cannot tell is None, and ``unknown`` says why, by field."""

    name: str  # as the server writes it: a role, or user@host
    login: bool
    superuser: bool
    created: datetime | None = None
    last_seen: datetime | None = None
    last_seen_source: str = ""  # what told it: statistics of now, a log, an audit table
    method: str = ""  # how it authenticates: scram-sha-256, md5, unix_socket, none, ...
    password: str = ""  # set | empty | none: whether there is one, never the thing itself
    expires: datetime | None = None
    locked: bool = False
    system: bool = False  # brought by the server itself
    owns: int = 0  # objects
    member_of: tuple[str, ...] = ()  # direct
    attributes: tuple[str, ...] = ()  # powers that are no grants on objects: CREATEROLE, REPLICATION, SUPER, ...
    unknown: Mapping[str, str] = field(default_factory=dict)
    password_changed: datetime | None = None  # where the engine keeps it; no date of creation


@dataclass(frozen=True)
class Membership:
    """A role held by an account or by another role."""

    role: str
    member: str
    admin: bool = False  # may hand it on
    inherits: bool = True


@dataclass(frozen=True)
class Right:
    """A right that an account has in effect, and how it came by it.

    ``via`` is the chain from the account to the grant: empty for its own, else role names, PUBLIC, or ``owner``.
    ``object`` is written as a person would type it; ``kind`` says what it is: server, database, schema, table, ...
    """

    account: str
    privilege: str
    kind: str
    object: str
    database: str = ""
    grantable: bool = False
    via: tuple[str, ...] = ()
    source: str = "grant"  # grant | ownership | default | routine | attribute


@dataclass(frozen=True)
class Escalation:
    """A path by which an account that is no superuser can become one, or reach the operating system as the server."""

    account: str
    steps: tuple[str, ...]  # each a sentence, in order
    reaches: str  # superuser | operating system | every row


class Action(str, Enum):
    """What remediation does to an account."""

    REVOKE = "revoke"
    GRANT = "grant"
    LOCK = "lock"
    EXPIRE = "expire"
    DROP = "drop"
    CREATE = "create"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Step:
    """One change of remediation, with the statements that make it and those that undo it. Neither holds a secret.

    A password cannot be brought back: ``irreversible`` says what the undo lacks. ``database`` is where both are run.
    """

    action: Action
    account: str
    what: str  # as a sentence, for plan and record
    statements: tuple[str, ...]
    undo: tuple[str, ...]
    database: str = ""
    irreversible: str = ""
