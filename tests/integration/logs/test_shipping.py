"""A line that a server writes arrives at another host, also one that was written while that host was away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from testinfra.host import Host

from tests.integration.fleet import Database, Fleet, together, until
from tests.integration.logs.run import changed, logs

RECEIVED = "/var/log/received.log"
_RECEIVER = f"""
apt-get install -y -qq rsyslog >/dev/null
cat > /etc/rsyslog.d/10-receiver.conf <<'CONF'
module(load="imtcp")
ruleset(name="received") {{ action(type="omfile" file="{RECEIVED}") }}
input(type="imtcp" port="1514" ruleset="received")
CONF
touch {RECEIVED}
systemctl restart rsyslog
"""


@pytest.fixture(scope="module")
def receiver(fleet: Fleet) -> Iterator[Host]:
    """dr1 takes what is sent."""
    host = fleet.hosts["dr1"]
    host.check_output("apt-get update -qq >/dev/null")
    host.check_output(_RECEIVER)
    yield host
    host.check_output(f"rm -f /etc/rsyslog.d/10-receiver.conf {RECEIVED}; systemctl restart rsyslog")


@pytest.fixture(scope="module", autouse=True)
def _sent(fleet: Fleet, receiver: Host) -> Iterator[None]:
    address = receiver.check_output("hostname -I").split()[0]
    shipping = {"host": address, "port": 1514, "queue": "64M"}
    logs(db_logs={"shipping": shipping})
    assert set(changed(logs(db_logs={"shipping": shipping})).values()) == {0}
    yield
    logs()
    assert not fleet["shop"].host.file("/etc/rsyslog.d/40-holdfast.conf").exists


def say(database: Database, word: str) -> None:
    """Have the server write a message."""
    if database.is_postgresql:
        database.host.run("sudo -u postgres psql -XAtq -p %s -c %s", str(database.port), f"SELECT '{word}' / 2")
    else:
        database.sql("SET GLOBAL log_warnings = 4")
        database.host.run(f"mariadb -u {word} -pwrong -e 'SELECT 1'")


def test_lines_of_every_server_arrive(fleet: Fleet, receiver: Host) -> None:
    together(lambda name: say(fleet[name], f"sent_by_{name}"), *fleet)
    for name, database in fleet.items():
        word = f"sent_by_{name}"
        until(lambda word=word: word in receiver.check_output(f"cat {RECEIVED}"), 30)
        if database.is_postgresql:
            assert f"{name}-server: " in receiver.check_output(f"grep {word} {RECEIVED} | head -1")


def test_what_was_written_while_the_receiver_was_away_waits_and_arrives(fleet: Fleet, receiver: Host) -> None:
    names = ("analytics", "shop")

    def write(name: str) -> None:
        say(fleet[name], "probe")
        say(fleet[name], f"waited_{name}")
        # What waits is on disk, and outlives a restart of the sender.
        fleet[name].run("sleep 3; systemctl restart rsyslog")

    receiver.check_output("systemctl stop rsyslog syslog.socket")
    try:
        together(write, *names)
    finally:
        receiver.check_output("systemctl start rsyslog")
    for name in names:
        until(lambda name=name: f"waited_{name}" in receiver.check_output(f"cat {RECEIVED}"), 90)


def test_rotation_does_not_end_the_sending(fleet: Fleet, receiver: Host) -> None:
    database = fleet["analytics"]
    database.run("logrotate --force --state /run/logrotate-test /etc/logrotate.d/holdfast-servers")
    say(database, "after_rotation_here")
    until(lambda: "after_rotation_here" in receiver.check_output(f"cat {RECEIVED}"), 30)
