"""Messages reach a real HTTP server and a real SMTP listener, and a failure is told without the secret."""

from __future__ import annotations

import base64
import json
import socket
import socketserver
import ssl
import subprocess
import threading
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from ansible.module_utils.holdfast import notify

FACTS = {"organisation": "Example", "system": "Orders", "instances": ["orders", "shop"], "site": "frankfurt"}
MESSAGE = notify.compose("declare", "$system at $site: $instances", FACTS)


class Hook(BaseHTTPRequestHandler):
    answer = 200
    got: list

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((self.path, self.headers["Content-Type"], json.loads(body)))
        self.send_response(self.answer)
        if self.answer == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def do_GET(self):
        self.got.append((self.path, "GET", None))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


class Mail(socketserver.StreamRequestHandler):
    """Takes mail. With a ``context`` it offers encryption, and takes a login only once it is encrypted."""

    refuse = False
    context: ssl.SSLContext | None = None
    at_once = False  # encrypted from the first byte
    starttls = "220 go ahead"
    password = "s3cret"
    got: list
    encrypted: list  # for each mail, whether it came encrypted
    logins: list

    def handle(self):
        try:
            if self.at_once:
                self.encrypt()
            self.serve()
        except OSError:
            pass  # a client that does not trust it goes away

    @property
    def is_encrypted(self):
        return isinstance(self.request, ssl.SSLSocket)

    def encrypt(self):
        self.finish()
        self.request = self.context.wrap_socket(self.request, server_side=True)
        self.setup()

    def finish(self):
        super().finish()
        if self.is_encrypted:
            self.request.close()

    def serve(self):
        self.say("220 sink")
        to, data = [], b""
        while line := self.rfile.readline():
            verb = line.split()[0].upper() if line.split() else b""
            if verb == b"EHLO":
                self.say("250-sink")
                self.say("250 AUTH PLAIN" if self.is_encrypted else "250 STARTTLS" if self.context else "250 HELP")
            elif verb == b"STARTTLS":
                self.say(self.starttls)
                if self.starttls.startswith("220"):
                    self.encrypt()
            elif verb == b"AUTH":
                _, user, password = base64.b64decode(line.split()[2]).decode().split("\0")
                self.logins.append((user, password, self.is_encrypted))
                self.say("235 welcome" if password == self.password else "535 who are you")
            elif verb == b"RCPT":
                to.append(line.split(b":", 1)[1].strip().decode().strip("<>"))
                self.say("550 no such user" if self.refuse else "250 ok")
            elif verb == b"DATA":
                self.say("354 go on")
                while (part := self.rfile.readline()) != b".\r\n":
                    data += part
                self.got.append((to, message_from_bytes(data, policy=policy.default)))
                self.encrypted.append(self.is_encrypted)
                self.say("250 ok")
            elif verb == b"QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")

    def say(self, text):
        self.wfile.write(f"{text}\r\n".encode())


def serving(kind, handler, **changes):
    own = type("Own", (handler,), {"got": [], "encrypted": [], "logins": [], **changes})
    server = kind(("127.0.0.1", 0), own)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server, own


@pytest.fixture
def hook():
    servers = []

    def start(**changes):
        server, handler = serving(HTTPServer, Hook, **changes)
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/services/t0ken", handler.got

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def mail():
    servers = []

    def start(**changes):
        server, handler = serving(socketserver.TCPServer, Mail, **changes)
        servers.append(server)
        return server.server_address[1], handler.got

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def closed_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_a_message_is_filled_in_and_unknown_facts_have_words():
    assert MESSAGE.text == "Orders at frankfurt: orders, shop"
    assert MESSAGE.subject == "Orders: declare"
    plain = notify.compose("close", "", {})
    assert plain.text == "The organisation, databases: recovery has reached the phase 'close'. Instances: all."


def test_a_drill_says_so_first():
    drill = notify.compose("declare", "$system is lost", FACTS, drill=True)
    assert drill.subject == "DRILL: Orders: declare"
    assert drill.text.startswith("THIS IS A DRILL.")


def test_recipients_are_told_once_and_those_without_an_address_are_named():
    contacts = {"lead": {"mail": "a@x.org"}, "dba": {"mail": "b@x.org"}, "boss": {"mail": ""}}
    found = notify.recipients(["lead", "dba", "boss", "eve"], ["a@x.org", "c@x.org"], contacts)
    assert found == (["a@x.org", "b@x.org", "c@x.org"], ["boss", "eve"])


def test_a_webhook_takes_json(hook):
    url, got = hook()
    assert notify.post(url, MESSAGE) == notify.Delivery("webhook", "127.0.0.1")
    [(path, kind, body)] = got
    assert (path, kind) == ("/services/t0ken", "application/json")
    assert body["text"] == "Orders: declare\nOrders at frankfurt: orders, shop"
    assert (body["phase"], body["instances"], body["drill"]) == ("declare", "orders, shop", False)


@pytest.mark.parametrize(("answer", "error"), [(500, "answered 500"), (404, "answered 404"), (302, "answered 302")])
def test_an_answer_that_is_no_success_is_told_and_a_redirect_is_not_followed(hook, answer, error):
    url, got = hook(answer=answer)
    assert notify.post(url, MESSAGE).error == error
    assert len(got) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/services/t0ken",
        "https://127.0.0.1:{port}/services/t0ken",
        "file:///etc/t0ken",
        "https://[t0ken",
        "t0ken",
    ],
)
def test_a_webhook_that_is_out_of_reach_is_told_without_its_address(url):
    found = notify.post(url.format(port=closed_port()), MESSAGE, timeout=2)
    assert found.error
    assert "t0ken" not in str(found)


def test_a_server_that_does_not_answer_costs_only_the_timeout():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        assert "timed out" in notify.post(f"http://127.0.0.1:{port}/", MESSAGE, timeout=0.2).error
        server = notify.MailServer("127.0.0.1", "h@x.org", port)
        assert "timed out" in notify.send_mail(server, ["a@x.org"], MESSAGE, timeout=0.2).error


def test_a_mail_arrives(mail):
    port, got = mail()
    server = notify.MailServer("127.0.0.1", "holdfast@x.org", port)
    assert notify.send_mail(server, ["a@x.org", "b@x.org"], MESSAGE) == notify.Delivery("mail", "a@x.org, b@x.org")
    [(to, message)] = got
    assert to == ["a@x.org", "b@x.org"]
    assert (message["Subject"], message["From"], message["To"]) == (
        "Orders: declare",
        "holdfast@x.org",
        "a@x.org, b@x.org",
    )
    assert message["Date"]
    assert message["Message-ID"].endswith("@x.org>")
    assert message.get_content().strip() == "Orders at frankfurt: orders, shop"


def test_refused_recipients_and_a_closed_port_are_told(mail):
    port, got = mail(refuse=True)
    assert (
        "refuses a@x.org"
        in notify.send_mail(notify.MailServer("127.0.0.1", "h@x.org", port), ["a@x.org"], MESSAGE).error
    )
    assert got == []
    gone = notify.MailServer("127.0.0.1", "h@x.org", closed_port())
    assert "refused" in notify.send_mail(gone, ["a@x.org"], MESSAGE).error


def test_a_password_is_not_sent_without_encryption_and_is_in_no_message(mail):
    port, got = mail()
    server = notify.MailServer("127.0.0.1", "h@x.org", port, "holdfast", "s3cret")
    found = notify.send_mail(server, ["a@x.org"], MESSAGE)
    assert "offers no encryption" in found.error
    assert got == []
    assert "s3cret" not in f"{found} {server!r}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A certificate that vouches for itself, and what serves with it: of the name localhost and of no other."""
    directory = tmp_path_factory.mktemp("authority")
    certificate, key = directory / "ca.pem", directory / "key.pem"
    name = ["-subj", "/CN=mail", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", *name]
    subprocess.run([*command, "-days", "2", "-out", certificate, "-keyout", key], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return str(certificate), context


@pytest.fixture
def secure(authority):
    servers = []

    def start(**changes):
        server, handler = serving(socketserver.TCPServer, Mail, **{"context": authority[1], **changes})
        servers.append(server)
        return server.server_address[1], handler

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_mail_is_handed_in_encrypted_with_a_login_to_a_server_that_proves_its_name(secure, authority):
    port, handler = secure()
    server = notify.MailServer("localhost", "h@x.org", port, "holdfast", "s3cret", authority[0])
    assert notify.send_mail(server, ["a@x.org"], MESSAGE) == notify.Delivery("mail", "a@x.org")
    assert handler.logins == [("holdfast", "s3cret", True)]
    assert handler.encrypted == [True]
    assert handler.got[0][1].get_content().strip() == MESSAGE.text


def test_encrypted_from_the_first_byte(secure, authority, monkeypatch):
    port, handler = secure(at_once=True)
    monkeypatch.setattr(notify, "_SMTPS", port)
    server = notify.MailServer("localhost", "h@x.org", port, "holdfast", "s3cret", authority[0])
    assert notify.send_mail(server, ["a@x.org"], MESSAGE).error == ""
    assert handler.logins == [("holdfast", "s3cret", True)]


@pytest.mark.parametrize(
    ("name", "ca_file", "error"),
    [
        ("localhost", "", "certificate verify failed"),
        ("127.0.0.1", "{ca}", "certificate verify failed: IP address mismatch"),
        ("localhost", "/nonesuch/ca.pem", "ca_file /nonesuch/ca.pem: No such file or directory"),
        ("localhost", "{empty}", "ca_file {empty}: "),
    ],
)
def test_who_cannot_prove_its_name_gets_no_password(secure, authority, tmp_path, name, ca_file, error):
    (tmp_path / "empty.pem").touch()
    paths = {"ca": authority[0], "empty": tmp_path / "empty.pem"}
    port, handler = secure()
    server = notify.MailServer(name, "h@x.org", port, "holdfast", "s3cret", ca_file.format(**paths))
    found = notify.send_mail(server, ["a@x.org"], MESSAGE)
    assert error.format(**paths) in found.error
    assert "s3cret" not in str(found)
    assert (handler.got, handler.logins) == ([], [])


def test_a_refused_login_and_a_refused_encryption_are_told(secure, authority):
    port, handler = secure(password="another")
    server = notify.MailServer("localhost", "h@x.org", port, "holdfast", "s3cret", authority[0])
    assert notify.send_mail(server, ["a@x.org"], MESSAGE).error == "localhost refuses the user holdfast"
    port, handler = secure(starttls="454 no key at hand")
    server = notify.MailServer("localhost", "h@x.org", port, "holdfast", "s3cret", authority[0])
    assert "no key at hand" in notify.send_mail(server, ["a@x.org"], MESSAGE).error
    assert (handler.got, handler.logins) == ([], [])


@pytest.mark.parametrize(("starttls", "encrypted"), [("220 go ahead", True), ("454 no key at hand", False)])
def test_without_a_password_it_is_encrypted_where_that_can_be_had(secure, starttls, encrypted):
    port, handler = secure(starttls=starttls)
    server = notify.MailServer("127.0.0.1", "h@x.org", port)
    assert notify.send_mail(server, ["a@x.org"], MESSAGE).error == ""
    assert handler.encrypted == [encrypted]


def test_a_handshake_that_fails_costs_no_message_without_a_password(secure):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # it has no certificate, so that no cipher fits
    port, handler = secure(context=context)
    assert notify.send_mail(notify.MailServer("127.0.0.1", "h@x.org", port), ["a@x.org"], MESSAGE).error == ""
    assert handler.encrypted == [False]
