"""How the checks about settings, plugins and files of the server are answered."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator, Mapping

from ..audit.model import Finding, Severity
from ..errors import HoldfastError
from ._mariadb_audit_accounts import is_system
from ._mariadb_audit_answers import Answer, Question
from ._mariadb_audit_checks_server import TEST_DATABASES
from ._mariadb_audit_options import passwords
from ._mariadb_audit_session import not_applicable, text

_BROKEN = ("TLSV1.0", "TLSV1.1")
_EVERY_ADDRESS = frozenset(("", "*", "0.0.0.0", "::"))  # noqa: S104  what is looked for
_QUALITY = {"minimal_length": 12, "digits": 1, "letters_same_case": 1, "other_characters": 1}
_RATHER = {"other_characters": Severity.LOW}  # PCI DSS asks for letters and digits
_GUESSES = 10
_DAYS = 90
_EVENTS = {"CONNECT": "logins", "QUERY_DCL": "changes of rights", "QUERY_DDL": "changes of objects"}


def _values(ask: Question, *names: str) -> list[str]:
    found = ask.reader.variables(*names)
    for name in names:
        if name not in found:
            raise not_applicable(ask.check.title, f"this version has no {name}")
    return [found[name] for name in names]


def _answered(ask: Question) -> dict[str, str]:
    """The rows that the statement of the check returns, of names and values."""
    return {text(name): text(value) for name, value in ask.reader.rows(ask.check.statement)}


def _test_databases(ask: Question) -> Iterator[Finding]:
    for name, found, account in (map(text, row) for row in ask.reader.rows(TEST_DATABASES)):
        yield ask.finding(name, found, account=account)


def _local_infile(ask: Question) -> Iterator[Finding]:
    if _values(ask, "local_infile") == ["ON"]:
        yield ask.finding("local_infile", "ON")


def _secure_file_priv(ask: Question) -> Iterator[Finding]:
    (directory,) = _values(ask, "secure_file_priv")
    if directory in ("", "/"):
        yield ask.finding("secure_file_priv", directory or "empty: no limit")


def _transport(ask: Question) -> Iterator[Finding]:
    (required,) = _values(ask, "require_secure_transport")
    available = ask.reader.variables("have_ssl").get("have_ssl", "YES")
    if required != "ON":
        hint = "" if available == "YES" else f", and TLS is {available.lower()}"
        yield ask.finding("require_secure_transport", f"{required}{hint}")


def _tls_versions(ask: Question) -> Iterator[Finding]:
    (versions,) = _values(ask, "tls_version")
    if ask.reader.variables("have_ssl").get("have_ssl", "YES") != "YES":
        raise not_applicable(ask.check.title, "the server takes no TLS, see MY16")
    for version in versions.upper().split(","):
        if version.strip() in _BROKEN:
            yield ask.finding("tls_version", f"{version.strip().replace('TLSV', 'TLSv')} is accepted")


def _validation(ask: Question) -> Iterator[Finding]:
    found = _answered(ask)
    simple = found.get("simple_password_check") == "ACTIVE"
    if not simple and found.get("cracklib_password_check") != "ACTIVE":
        yield ask.finding("password validation", "neither simple_password_check nor cracklib_password_check is active")
        return
    if found.get("strict_password_validation") == "OFF":
        yield ask.finding("strict_password_validation", "OFF: hashes pass untested")
    for name, least in _QUALITY.items() if simple else ():
        variable = f"simple_password_check_{name}"
        if int(found.get(variable, 0)) < least:
            yield ask.finding(variable, f"{found.get(variable)}, less than {least}", severity=_RATHER.get(name))


def _expiry(ask: Question) -> Iterator[Finding]:
    (days,) = _values(ask, "default_password_lifetime")
    if int(days) == 0:
        yield ask.finding("default_password_lifetime", "0: for ever")
    elif int(days) > _DAYS:
        yield ask.finding("default_password_lifetime", f"{days} days, more than {_DAYS}")
    for item in ask.open():
        if item.lifetime == 0 and any(method.takes_password and method.usable for method in item.methods):
            yield ask.finding(item.name, "its password never expires", account=item.name)


def _audit(ask: Question) -> Iterator[Finding]:
    found = _answered(ask)
    if found.get("server_audit") != "ACTIVE":
        yield ask.finding("server_audit", "the plugin is not active")
        return
    if found.get("server_audit_logging") != "ON":
        yield ask.finding("server_audit_logging", found.get("server_audit_logging", "OFF"))
    events = {word.strip().upper() for word in found.get("server_audit_events", "").split(",") if word.strip()}
    for event, what in _EVENTS.items():
        if events and event not in events and not (event.startswith("QUERY") and "QUERY" in events):
            yield ask.finding(f"server_audit_events {event}", f"{what} are not logged", severity=Severity.MEDIUM)
    if found.get("server_audit_incl_users"):
        # The others are left out without being named; their logins alone are logged. It goes before excl_users.
        told = f"of nobody but {found['server_audit_incl_users']} statements are logged"
        yield ask.finding("server_audit_incl_users", told, severity=Severity.MEDIUM)
    elif found.get("server_audit_excl_users"):
        left_out = found["server_audit_excl_users"]
        yield ask.finding("server_audit_excl_users", f"not logged: {left_out}", severity=Severity.MEDIUM)


def _sql_mode(ask: Question) -> Iterator[Finding]:
    (modes,) = _values(ask, "sql_mode")
    if not {"STRICT_TRANS_TABLES", "STRICT_ALL_TABLES"} & set(modes.upper().split(",")):
        yield ask.finding("sql_mode", modes or "empty")


def _address(ask: Question) -> Iterator[Finding]:
    addresses, off = _values(ask, "bind_address", "skip_networking")
    if off != "ON":
        for address in addresses.split(","):
            if address.strip() in _EVERY_ADDRESS:
                yield ask.finding("bind_address", address.strip() or "empty: every address")


def _durability(ask: Question) -> Iterator[Finding]:
    logged, synced, flushed = _values(ask, "log_bin", "sync_binlog", "innodb_flush_log_at_trx_commit")
    if logged != "ON":
        yield ask.finding("log_bin", logged)
    elif synced != "1":
        yield ask.finding("sync_binlog", synced)
    if flushed not in ("1", "3"):  # 3 flushes as 1 does, and once more
        yield ask.finding("innodb_flush_log_at_trx_commit", flushed)


def _data_directory(ask: Question) -> Iterator[Finding]:
    (directory,) = _values(ask, "datadir")
    yield from _open_to_others(ask, directory, ask.owner, 0o750)


def _keys(ask: Question) -> Iterator[Finding]:
    found = ask.reader.variables("ssl_key", "file_key_management_filename", "datadir")
    files = [found.get(name) for name in ("ssl_key", "file_key_management_filename")]
    paths = [os.path.join(found["datadir"], path) for path in files if path]
    if not paths:
        raise not_applicable(ask.check.title, "the server reads no key from a file")
    for path in paths:
        yield from _open_to_others(ask, path, ask.owner, 0o640)


def _open_to_others(ask: Question, path: str, owner: str, most: int) -> Iterator[Finding]:
    try:
        status = os.stat(path)
    except OSError as error:
        raise HoldfastError(
            f"cannot be looked at: {error.strerror}", where=path, remedy="Audit as the owner of the server or as root"
        ) from None
    mode = stat.S_IMODE(status.st_mode)
    if mode & ~most & 0o7777:
        yield ask.finding(path, f"mode {mode:04o}, at most {most:04o} is needed")
    if status.st_uid not in (0, _uid(owner)):
        yield ask.finding(path, f"belongs to {_user(status.st_uid)}, not to {owner}")


def _option_files(ask: Question) -> Iterator[Finding]:
    (directory,) = _values(ask, "datadir")
    for item in passwords(directory, os.path.expanduser("~")):
        severity = Severity.HIGH if item.mode & 0o004 else None
        subject = f"{item.path} [{item.section}] {item.option}"
        yield ask.finding(subject, f"a password in a file of mode {item.mode:04o}", severity=severity)


def _without_accounts(ask: Question) -> Iterator[Finding]:
    if _values(ask, "skip_grant_tables") == ["ON"]:
        yield ask.finding("skip_grant_tables", "ON")


def _guesses(ask: Question) -> Iterator[Finding]:
    (errors,) = _values(ask, "max_password_errors")
    if int(errors) > _GUESSES:
        yield ask.finding("max_password_errors", f"{errors}, more than {_GUESSES}")


def _log_encryption(ask: Question) -> Iterator[Finding]:
    logged, encrypted = _values(ask, "log_bin", "encrypt_binlog")
    if logged != "ON":
        raise not_applicable(ask.check.title, "there is no binary log, see MY24")
    if encrypted != "ON":
        yield ask.finding("encrypt_binlog", encrypted)


def _connections(ask: Question) -> Iterator[Finding]:
    (most,) = _values(ask, "max_user_connections")
    without = [item for item in ask.open() if not item.connections and not is_system(item, ask.owner)]
    if int(most) == 0 and without:
        yield ask.finding("max_user_connections", f"0: no limit, and {len(without)} accounts have none of their own")


def _replication(ask: Question) -> Iterator[Finding]:
    sources = ask.reader.records(ask.check.statement)
    if not sources:
        raise not_applicable(ask.check.title, "the server is no replica")
    for source in sources:
        subject = f"{source['Connection_name']}{'@' if source['Connection_name'] else ''}{source['Master_Host']}"
        if source["Master_SSL_Allowed"] != "Yes":
            yield ask.finding(subject, "without TLS")
        elif source["Master_SSL_Verify_Server_Cert"] != "Yes":
            yield ask.finding(subject, "the certificate of the primary is not verified")


def _libraries(ask: Question) -> Iterator[Finding]:
    for name, library, _ in ask.reader.rows(ask.check.statement):
        yield ask.finding(f"function {text(name)}", f"from {text(library)}")


def _uid(user: str) -> int:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return -1


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


ANSWERS: Mapping[str, Answer] = {
    "MY13": _test_databases,
    "MY14": _local_infile,
    "MY15": _secure_file_priv,
    "MY16": _transport,
    "MY17": _tls_versions,
    "MY19": _validation,
    "MY20": _expiry,
    "MY21": _audit,
    "MY22": _sql_mode,
    "MY23": _address,
    "MY24": _durability,
    "MY27": _data_directory,
    "MY28": _keys,
    "MY29": _option_files,
    "MY30": _without_accounts,
    "MY31": _guesses,
    "MY32": _log_encryption,
    "MY33": _connections,
    "MY34": _replication,
    "MY35": _libraries,
}
