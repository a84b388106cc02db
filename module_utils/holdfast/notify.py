"""Telling people where a recovery stands: by webhook and by mail. A message that fails never stops a recovery."""

from __future__ import annotations

import http.client
import json
import smtplib
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from string import Template
from typing import Any
from urllib.parse import urlsplit

from . import __version__
from .units import format_instant, utcnow

TIMEOUT = 10.0  # seconds for each step of a delivery
DEFAULT_MESSAGE = "$organisation, $system: recovery has reached the phase '$phase'. Instances: $instances. $note"
_SMTPS = 465


@dataclass(frozen=True)
class Message:
    """What is told. ``facts`` are the values of the placeholders."""

    subject: str
    text: str
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class MailServer:
    """Where mail is handed in. With a password the server must prove who it is: ``ca_file`` is who vouches for it."""

    server: str
    sender: str
    port: int = 25
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""


@dataclass(frozen=True)
class Delivery:
    """How one message went out. ``to`` is the host of a webhook, or addresses; ``error`` is empty when it went well."""

    channel: str
    to: str
    error: str = ""

    def as_dict(self) -> dict[str, str]:
        """The delivery as modules return it."""
        return {"channel": self.channel, "to": self.to, "error": self.error}


def compose(phase: str, template: str, facts: Mapping[str, Any], *, drill: bool = False) -> Message:
    """The message of a phase. A drill says so first, so that nobody takes it for the real thing."""
    values = {
        "organisation": str(facts.get("organisation") or "The organisation"),
        "system": str(facts.get("system") or "databases"),
        "phase": phase,
        "instances": ", ".join(facts.get("instances") or ()) or "all",
        "site": str(facts.get("site") or "the alternate site"),
        "time": str(facts.get("time") or format_instant(utcnow())),
        "note": str(facts.get("note") or ""),
    }
    text = Template(template or DEFAULT_MESSAGE).safe_substitute(values).strip()
    prefix = "DRILL: " if drill else ""
    body = f"THIS IS A DRILL. No production system is affected.\n\n{text}" if drill else text
    return Message(" ".join(f"{prefix}{values['system']}: {phase}".split()), body, {**values, "drill": drill})


def recipients(
    tell: Sequence[str], mail: Sequence[str], contacts: Mapping[str, Mapping[str, Any]]
) -> tuple[list[str], list[str]]:
    """The addresses of a phase without duplicates, and the contacts that have none."""
    found = [str(contacts.get(name, {}).get("mail") or "") for name in tell]
    silent = [name for name, address in zip(tell, found) if not address]
    return list(dict.fromkeys([*filter(None, found), *mail])), silent


def post(url: str, message: Message, *, timeout: float = TIMEOUT) -> Delivery:
    """Send the message to a webhook as JSON whose ``text`` is what chat systems show. The address is a secret."""
    scheme, host = _scheme_and_host(url)
    body = json.dumps({"text": f"{message.subject}\n{message.text}", **message.facts}).encode()
    headers = {"Content-Type": "application/json", "User-Agent": f"holdfast/{__version__}"}
    try:
        if scheme not in ("https", "http"):
            return Delivery("webhook", host, "the address is not one of https")
        request = urllib.request.Request(url, data=body, headers=headers, method="POST")  # noqa: S310 - looked at above
        with _opener().open(request, timeout=timeout) as answer:
            status = int(answer.status)
    except urllib.error.HTTPError as error:
        return Delivery("webhook", host, f"answered {error.code}")
    except urllib.error.URLError as error:
        return Delivery("webhook", host, _reason(error.reason, url))
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Delivery("webhook", host, _reason(error, url))
    return Delivery("webhook", host, "" if 200 <= status < 300 else f"answered {status}")


def planned_post(url: str) -> Delivery:
    """The delivery that ``post`` would make."""
    return Delivery("webhook", _scheme_and_host(url)[1])


def send_mail(server: MailServer, to: Sequence[str], message: Message, *, timeout: float = TIMEOUT) -> Delivery:
    """Send the message by mail, encrypted when the server offers it."""
    try:
        mail = _mail(server.sender, to, message)
        with _connect(server, timeout) as connection:
            if server.user:
                connection.login(server.user, server.password)
            refused = connection.send_message(mail)
    except smtplib.SMTPAuthenticationError:
        return Delivery("mail", ", ".join(to), f"{server.server} refuses the user {server.user}")
    except smtplib.SMTPRecipientsRefused as error:
        return Delivery("mail", ", ".join(to), f"{server.server} refuses {', '.join(error.recipients)}")
    except (OSError, ValueError, smtplib.SMTPException) as error:
        return Delivery("mail", ", ".join(to), _reason(error, server.password))
    return Delivery("mail", ", ".join(to), f"{server.server} refuses {', '.join(refused)}" if refused else "")


def _mail(sender: str, to: Sequence[str], message: Message) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, ", ".join(to), message.subject
    mail["Date"], mail["Message-ID"] = format_datetime(utcnow()), make_msgid(domain=sender.rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    return mail


def _connect(server: MailServer, timeout: float) -> smtplib.SMTP:
    if server.port == _SMTPS:
        return smtplib.SMTP_SSL(server.server, server.port, timeout=timeout, context=_context(server))
    try:
        return _greet(server, timeout, encrypt=True)
    except (ssl.SSLError, smtplib.SMTPResponseException):
        if server.password:
            raise
    return _greet(server, timeout, encrypt=False)


def _greet(server: MailServer, timeout: float, *, encrypt: bool) -> smtplib.SMTP:
    connection = smtplib.SMTP(server.server, server.port, timeout=timeout)
    try:
        connection.ehlo()
        if encrypt and connection.has_extn("starttls"):
            connection.starttls(context=_context(server))
            connection.ehlo()
        elif server.password:
            raise smtplib.SMTPException("offers no encryption, so the password is not sent")  # noqa: TRY301
    except BaseException:
        connection.close()
        raise
    return connection


def _context(server: MailServer) -> ssl.SSLContext:
    if not server.password:
        # Opportunistic encryption, as between mail servers (RFC 7435): without a secret, delivery counts for more.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        return ssl.create_default_context(cafile=server.ca_file or None)
    except OSError as error:
        raise ValueError(f"ca_file {server.ca_file}: {error.strerror or error}") from None


def _scheme_and_host(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", "webhook"
    return parts.scheme, parts.hostname or "webhook"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """A redirected POST would arrive as a GET, or somewhere else: neither is a delivery."""


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=ssl.create_default_context()))


def _reason(error: object, secret: str) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text.replace(secret, "(hidden)") if secret else text
