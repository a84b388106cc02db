"""What people must write down for a disaster: who decides, who is called, what an outage costs, where things are.

Terms are those of NIST SP 800-34 and ISO 22301. A field that is empty is a gap: the plan shows it, and an inventory
with a gap is not complete as soon as one of its instances is critical.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from string import Template
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from .units import format_duration
from .validation import HIDDEN, Checker, Path, did_you_mean

VARIABLES = (
    "db_plan",
    "db_contacts",
    "db_communication",
    "db_mail",
    "db_sites",
    "db_site",
    "db_takes_over",
    "db_validation_queries",
)
CRITICAL = "critical"  # the service level whose instances must have no gap
PHASES = ("declare", "provision", "restore", "recover", "validate", "close")
PLACEHOLDERS = ("organisation", "system", "phase", "instances", "site", "time", "note")
SITE_TYPES = ("cold", "warm", "hot", "mirrored")
IMPACTS = ("low", "moderate", "high")  # FIPS 199
REVIEW = timedelta(days=365)

_PLAN = ("organisation", "system", "description", "impact", "owner", "reviewed", "activation", "risks", "diagrams")
_CONTACT = ("name", "phone", "mail", "duties", "deputies", "calls", "declares", "vendor")
_SITE = ("address", "type", "alternate", "access", "network")
_MESSAGE = ("tell", "mail", "webhook", "message")
_MAIL_SERVER = ("server", "port", "sender", "user", "password", "ca_file")
_BUSINESS = ("owner", "impact", "mtd", "mbco", "workaround")

_ADDRESS = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>]+|[^@\s,;<>]+@localhost")
_ABSOLUTE = re.compile(r"/[^\0\n]+")
_PHONE = re.compile(r".*[0-9].*")
_WORD = re.compile(r"[a-z][a-z0-9-]{0,39}")
_WORD_FORM = "a lower-case letter, then up to 39 lower-case letters, digits and hyphens"
_DATE_FORM = "a day, YYYY-MM-DD, not in the future"

# What must be there before a critical instance may rely on the plan, and what would be valid.
_NEEDED: Mapping[str, Mapping[str, str]] = {
    "plan": {
        "organisation": "the name of the organisation",
        "system": "the name of the system that the databases serve",
        "description": "what the system does, and for whom",
        "owner": "the contact who approves the plan",
        "reviewed": "the day of the last review, YYYY-MM-DD",
        "activation": "the criteria that lead to a declaration, one text each",
    },
    "contact": {
        "name": "the name of a person or a team",
        "phone": "a telephone number",
        "mail": "a mail address",
    },
    "person": {"duties": "what this role does in a disaster"},
    "declares": {"deputies": "the contacts who decide when this one cannot be reached"},
    "business": {
        "owner": "who answers for the data",
        "impact": "what an outage costs, and whom",
        "mtd": "the maximum tolerable downtime, a duration of at least the RTO",
        "mbco": "the least that must work during the outage (minimum business continuity objective)",
        "workaround": "how people work meanwhile",
    },
    "site": {"address": "where it is", "alternate": "the name of the site that takes over"},
    "alternate": {
        "address": "where it is",
        "type": ", ".join(SITE_TYPES),
        "access": "how people and keys get in",
        "network": "the steps for addresses, DNS, firewalls and lines",
    },
}


class Gap(NamedTuple):
    """A field that people must fill in. ``path`` leads to it from the top variable."""

    path: Path
    valid: str


def empty(value: object) -> bool:
    """Whether a human field has nothing in it."""
    return value is None or (isinstance(value, (str, list, tuple, dict)) and not value)


def read(variables: Mapping[str, Any], check: Checker) -> None:
    """Note everything that is wrong with the variables of this module, as far as one host can tell."""
    contacts = _names(variables, "db_contacts", check)
    sites = _names(variables, "db_sites", check)
    for name, raw in _entries(variables, "db_contacts", check):
        _read_contact(raw, check, ("db_contacts", name), contacts)
    for name, raw in _entries(variables, "db_sites", check):
        _read_site(raw, check, ("db_sites", name), sites)
    for name, raw in _entries(variables, "db_communication", check):
        _read_message(name, raw, check, ("db_communication", name), contacts)
    if "db_plan" in variables:
        _read_plan(variables["db_plan"], check, contacts)
    if "db_mail" in variables:
        _read_mail(variables["db_mail"], check)
    if not empty(variables.get("db_site")) and sites is not None:
        check.choice(("db_site",), variables["db_site"], sites, "site")


def read_business(raw: object, rto: timedelta | None, check: Checker, path: Path) -> None:
    """Note everything that is wrong with the business facts of an instance."""
    given = check.mapping(path, raw, _BUSINESS)
    if given is None:
        return
    for key in ("owner", "impact", "mbco", "workaround"):
        _text(given, key, check, path, "a text")
    if empty(given.get("mtd")):
        return
    mtd = check.duration((*path, "mtd"), given["mtd"])
    if mtd is not None and rto is not None and mtd < rto:
        need = format_duration(rto)
        check.note(
            (*path, "mtd"),
            given["mtd"],
            f"is shorter than the RTO of {need}",
            f"{need} or more: the time to restore, and the time to catch up on work",
        )


def read_dependencies(name: str, raw: object, check: Checker, path: Path) -> None:
    """Note what is wrong with ``depends_on``, as far as the instance alone can tell."""
    for index, item in enumerate(check.sequence(path, raw, "names of instances")):
        where = (*path, index)
        text = check.text(where, item, "the name of an instance")
        if text is not None and text == name:
            check.note(where, item, "is the instance itself", "another instance")


def note_dependencies(
    host: Mapping[str, Any], dependencies: Mapping[str, Sequence[str]], circle: Sequence[str], check: Checker
) -> None:
    """Note what of ``depends_on`` the whole fleet shows to be wrong: unknown instances and a circle."""
    for index, raw in enumerate(_list(host.get("db_instances"))):
        if not isinstance(raw, Mapping):
            continue
        path: Path = ("db_instances", index, "depends_on")
        for number, other in enumerate(_list(raw.get("depends_on"))):
            if isinstance(other, str) and other not in dependencies and not check.is_template(other):
                known = f"{did_you_mean(other, dependencies)}instances are {', '.join(sorted(dependencies))}"
                check.note((*path, number), other, "unknown instance", known)
        if len(circle) > 1 and raw.get("name") == circle[0]:
            round_ = " -> ".join((*circle, circle[0]))
            check.note(path, None, f"goes round in a circle: {round_}", "an order in which one of them comes first")


def gaps_of_instance(raw: Mapping[str, Any], path: Path) -> Iterator[Gap]:
    """The business facts that an instance lacks."""
    business = raw.get("business")
    yield from _gaps(business, "business", (*path, "business"))


def gaps_of_fleet(variables: Mapping[str, Any]) -> Iterator[Gap]:
    """What the variables that all hosts share lack: plan, contacts, communication."""
    yield from _gaps(variables.get("db_plan"), "plan", ("db_plan",))
    contacts = _mapping(variables.get("db_contacts"))
    if not any(_mapping(raw).get("declares") for raw in contacts.values()):
        yield Gap(("db_contacts",), "a contact with declares: true, who may declare a disaster")
    for name, raw in contacts.items():
        path: Path = ("db_contacts", str(name))
        yield from _gaps(raw, "contact", path)
        if not _mapping(raw).get("vendor"):
            yield from _gaps(raw, "person", path)
        if _mapping(raw).get("declares"):
            yield from _gaps(raw, "declares", path)
    declare = _mapping(_mapping(variables.get("db_communication")).get("declare"))
    if empty(declare.get("tell")):
        yield Gap(("db_communication", "declare", "tell"), "the contacts who are told of a declaration")


def gaps_of_host(variables: Mapping[str, Any], repositories: Sequence[str]) -> Iterator[Gap]:
    """What a host with critical instances lacks: its site, the one that takes over, and where keys are kept."""
    sites, name = _mapping(variables.get("db_sites")), variables.get("db_site")
    if empty(name):
        yield Gap(("db_site",), f"the site of the host: {', '.join(map(str, sites)) or 'one of db_sites'}")
    elif isinstance(name, str) and name in sites:
        yield from _gaps(sites[name], "site", ("db_sites", name))
        other = _mapping(sites[name]).get("alternate")
        if isinstance(other, str) and other in sites:
            yield from _gaps(sites[other], "alternate", ("db_sites", other))
    known = _mapping(variables.get("db_repositories"))
    for repository in repositories:
        if isinstance(known.get(repository), Mapping) and empty(known[repository].get("escrow")):
            yield Gap(("db_repositories", repository, "escrow"), "where a copy of its passphrase is kept")


def review_due(reviewed: object) -> date | None:
    """The day of the next yearly review; None when there was none, or it cannot be read."""
    if isinstance(reviewed, str):
        try:
            reviewed = date.fromisoformat(reviewed)
        except ValueError:
            return None
    return reviewed + REVIEW if isinstance(reviewed, date) else None


def _gaps(raw: object, kind: str, path: Path) -> Iterator[Gap]:
    given = _mapping(raw)
    for key, valid in _NEEDED[kind].items():
        if empty(given.get(key)):
            yield Gap((*path, key), valid)


def _read_plan(raw: object, check: Checker, contacts: Sequence[str] | None) -> None:
    path: Path = ("db_plan",)
    given = check.mapping(path, raw, _PLAN)
    if given is None:
        return
    for key in ("organisation", "system", "description", "diagrams"):
        _text(given, key, check, path, "a text")
    if not empty(given.get("impact")):
        check.choice((*path, "impact"), given["impact"], IMPACTS, "impact level")
    if not empty(given.get("owner")):
        _contact((*path, "owner"), given["owner"], check, contacts)
    for key in ("activation", "risks"):
        for index, item in enumerate(check.sequence((*path, key), given.get(key) or (), "texts")):
            check.text((*path, key, index), item, "a text")
    if not empty(given.get("reviewed")) and not check.is_template(given["reviewed"]):
        due = review_due(given["reviewed"])
        if due is None or due - REVIEW > date.today():  # noqa: DTZ011 - a day, as the people of a place write it
            check.note((*path, "reviewed"), str(given["reviewed"]), "is not valid", _DATE_FORM)


def _read_contact(raw: object, check: Checker, path: Path, contacts: Sequence[str] | None) -> None:
    given = check.mapping(path, raw, _CONTACT)
    if given is None:
        return
    for key in ("name", "duties", "vendor"):
        _text(given, key, check, path, "a text")
    _text(given, "phone", check, path, "a telephone number", _PHONE)
    _text(given, "mail", check, path, "a mail address", _ADDRESS)
    for key in ("deputies", "calls"):
        for index, other in enumerate(check.sequence((*path, key), given.get(key) or (), "names of contacts")):
            where = (*path, key, index)
            if _contact(where, other, check, contacts) == path[-1]:
                check.note(where, other, "is the contact itself", "another contact")
    if not empty(given.get("declares")) and not isinstance(given["declares"], bool):
        check.note((*path, "declares"), given["declares"], "is not valid", "true or false")


def _read_site(raw: object, check: Checker, path: Path, sites: Sequence[str] | None) -> None:
    given = check.mapping(path, raw, _SITE)
    if given is None:
        return
    for key in ("address", "access", "network"):
        _text(given, key, check, path, "a text")
    if not empty(given.get("type")):
        check.choice((*path, "type"), given["type"], SITE_TYPES, "type of site")
    if not empty(given.get("alternate")) and sites is not None:
        other = check.choice((*path, "alternate"), given["alternate"], sites, "site")
        if other == path[-1]:
            check.note((*path, "alternate"), other, "is the site itself", "another site")


def _read_message(name: str, raw: object, check: Checker, path: Path, contacts: Sequence[str] | None) -> None:
    if name not in PHASES:
        valid = f"{did_you_mean(name, PHASES)}phases are {', '.join(PHASES)}"
        check.note(path, name, "unknown phase", valid, at_key=True)
    given = check.mapping(path, raw, _MESSAGE)
    if given is None:
        return
    for index, item in enumerate(check.sequence((*path, "tell"), given.get("tell") or (), "names of contacts")):
        _contact((*path, "tell", index), item, check, contacts)
    for index, item in enumerate(check.sequence((*path, "mail"), given.get("mail") or (), "mail addresses")):
        check.text((*path, "mail", index), item, "a mail address", _ADDRESS.fullmatch)
    webhook = given.get("webhook")
    # The address of a webhook is its password, so it is shown nowhere.
    if not empty(webhook) and not check.is_template(webhook) and not _is_webhook(webhook):
        check.note((*path, "webhook"), HIDDEN, "is not valid", "an address that begins with https://")
    message = given.get("message")
    if not empty(message) and not check.is_template(message):
        _read_template((*path, "message"), message, check)


def _is_webhook(value: object) -> bool:
    # Plain http is for a receiver on the control host itself.
    local = ("http://127.0.0.1:", "http://localhost:")
    if not isinstance(value, str) or " " in value or not value.startswith(("https://", *local)):
        return False
    try:
        return bool(urlsplit(value).hostname)
    except ValueError:
        return False


def _read_template(path: Path, message: object, check: Checker) -> None:
    valid = f"a text with {', '.join('$' + name for name in PLACEHOLDERS)}; $$ for a dollar sign"
    try:
        Template(str(message)).substitute(dict.fromkeys(PLACEHOLDERS, ""))
    except (KeyError, ValueError):
        check.note(path, message, "has a placeholder that there is not", valid)
    if not isinstance(message, str):
        check.note(path, message, "is not a text", valid)


def _read_mail(raw: object, check: Checker) -> None:
    path: Path = ("db_mail",)
    given = check.mapping(path, raw, _MAIL_SERVER, ("server", "sender"))
    if given is None:
        return
    _text(given, "server", check, path, "the name or address of a mail server")
    _text(given, "sender", check, path, "a mail address", _ADDRESS)
    _text(given, "user", check, path, "the name of a user")
    _text(given, "ca_file", check, path, "an absolute path", _ABSOLUTE)
    if not empty(given.get("port")):
        check.whole((*path, "port"), given["port"], 1, 65535)
    if not empty(given.get("password")) and not isinstance(given["password"], str):
        check.note((*path, "password"), HIDDEN, "is not a secret", "a text, from a vault or a lookup")


def _text(
    given: Mapping[str, Any],
    key: str,
    check: Checker,
    path: Path,
    valid: str,
    form: re.Pattern[str] | None = None,
) -> None:
    if not empty(given.get(key)):
        check.text((*path, key), given[key], valid, form.fullmatch if form else bool)


def _contact(path: Path, value: object, check: Checker, contacts: Sequence[str] | None) -> str | None:
    return check.choice(path, value, contacts, "contact") if contacts is not None else None


def _names(variables: Mapping[str, Any], variable: str, check: Checker) -> list[str] | None:
    """Names of the entries of a mapping; None when a template decides which there are."""
    raw = variables.get(variable, {})
    if check.is_template(raw):
        return None
    return [str(name) for name in raw] if isinstance(raw, Mapping) else []


def _entries(variables: Mapping[str, Any], variable: str, check: Checker) -> Iterator[tuple[str, object]]:
    for name, raw in (check.mapping((variable,), variables.get(variable, {})) or {}).items():
        if not isinstance(name, str) or not _WORD.fullmatch(name):
            check.note((variable, str(name)), name, "is not a valid name", _WORD_FORM, at_key=True)
        yield str(name), raw


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else ()
