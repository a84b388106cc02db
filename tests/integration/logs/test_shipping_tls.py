"""Lines travel encrypted, to the receiver whose certificate has the right name and to nobody else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from testinfra.host import Host

from tests.integration.fleet import Fleet, together, until
from tests.integration.logs.run import logs
from tests.integration.logs.test_shipping import RECEIVED, say

PORT = 6514
CERTIFICATES = "/etc/rsyslog-lab"
_AUTHORITY = f"""
set -e
install -d {CERTIFICATES} && cd {CERTIFICATES}
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=authority of the lab' -keyout ca.key -out ca.pem
apt-get update -qq >/dev/null && apt-get install -y -qq rsyslog rsyslog-gnutls >/dev/null
"""
_CERTIFICATE = """
set -e
cd {directory}
openssl req -newkey rsa:2048 -nodes -subj '/CN={name}' -keyout key.pem -out request.pem
printf 'subjectAltName=DNS:{name}\n' > names
openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out cert.pem
"""
_RECEIVER = f"""
cat > /etc/rsyslog.d/10-receiver.conf <<'CONF'
global(DefaultNetstreamDriverCAFile="{CERTIFICATES}/ca.pem" DefaultNetstreamDriverCertFile="{CERTIFICATES}/cert.pem"
       DefaultNetstreamDriverKeyFile="{CERTIFICATES}/key.pem")
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
ruleset(name="received") {{ action(type="omfile" file="{RECEIVED}") }}
input(type="imtcp" port="{PORT}" ruleset="received")
CONF
rm -f {RECEIVED} && touch {RECEIVED}
systemctl restart rsyslog
"""


def _named(receiver: Host, name: str) -> None:
    """The receiver has a certificate of that name."""
    receiver.check_output(_CERTIFICATE.format(directory=CERTIFICATES, name=name))
    receiver.check_output(_RECEIVER)


@pytest.fixture(scope="module")
def receiver(fleet: Fleet) -> Iterator[Host]:
    host = fleet.hosts["dr1"]
    host.check_output(_AUTHORITY)
    yield host
    host.check_output(f"rm -rf /etc/rsyslog.d/10-receiver.conf {CERTIFICATES} {RECEIVED}; systemctl restart rsyslog")


def test_lines_go_encrypted_to_the_receiver_of_the_right_name_alone(fleet: Fleet, receiver: Host) -> None:
    senders = [fleet["analytics"], fleet["shop"]]
    authority = receiver.check_output(f"cat {CERTIFICATES}/ca.pem")
    for sender in senders:
        sender.run("apt-get update -qq >/dev/null && printf %%s %s > /etc/ssl/lab-ca.pem", authority)
    shipping = {"host": receiver.check_output("hostname -I").split()[0], "protocol": "tls", "port": PORT}
    shipping |= {"ca_file": "/etc/ssl/lab-ca.pem", "peer": "receiver.lab"}
    limit = ("--limit", f"localhost,{','.join(sender.hostname for sender in senders)}")
    names = ",".join(sender.name for sender in senders)
    _named(receiver, "somebody.else")
    try:
        logs(*limit, instances=names, db_logs={"shipping": shipping})
        together(lambda sender: say(sender, f"secret_{sender.name}"), *senders)
        refused = "journalctl -u rsyslog --since -2min | grep -c 'peer name not authorized'"
        for sender in senders:
            until(lambda sender=sender: sender.host.run(refused).rc == 0, 30)
        assert receiver.check_output(f"cat {RECEIVED}") == ""

        _named(receiver, "receiver.lab")
        for sender in senders:
            until(lambda sender=sender: f"secret_{sender.name}" in receiver.check_output(f"cat {RECEIVED}"), 90)
    finally:
        logs(*limit, instances=names)
        for sender in senders:
            sender.run("rm /etc/ssl/lab-ca.pem")
