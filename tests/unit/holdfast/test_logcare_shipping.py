from ansible.module_utils.holdfast.engines.logs import ENGINE, JOURNAL, Source
from ansible.module_utils.holdfast.logcare.settings import Settings, Shipping
from ansible.module_utils.holdfast.logcare.shipping import configuration, needs_journal

SERVER = Source("server", "/var/log/postgresql/a.log")
SLOW = Source("slow", "/var/lib/mysql/slow.log", reopen=("flush",))
ERRORS = Source("server", "", JOURNAL, program="mariadbd")
AUDIT = Source("audit", "/var/lib/mysql/server_audit.log", ENGINE, also_audit=True)
ALL = [("orders", SERVER), ("shop", SLOW), ("shop", ERRORS), ("shop", AUDIT)]


def made(sources=ALL, **shipping):
    return configuration(sources, Settings(shipping=Shipping("log1", 514, **shipping)))


def test_nothing_is_sent_without_a_receiver():
    assert configuration(ALL, Settings()) == ""
    assert not needs_journal(ALL, Settings())


def test_the_kinds_that_were_chosen_are_sent_each_by_its_way():
    text = made()
    assert 'File="/var/log/postgresql/a.log" Tag="orders-server:"' in text
    assert 'File="/var/lib/mysql/server_audit.log"' in text
    assert "slow.log" not in text
    assert "if $programname == 'mariadbd' then call holdfast" in text
    assert "slow.log" in made(kinds=("slow",))
    assert "mariadbd" not in made(kinds=("slow",))


def test_a_file_that_is_emptied_is_read_from_its_beginning_again():
    lines = made(kinds=("server", "slow", "audit")).splitlines()
    assert [line for line in lines if "reopenOnTruncate" in line] == [
        line for line in lines if "postgresql/a.log" in line
    ]


def test_what_cannot_be_sent_waits_on_disk():
    text = made(queue=2 << 30)
    for option in ('queue.filename="holdfast"', 'queue.maxDiskSpace="2048m"', 'queue.saveOnShutdown="on"'):
        assert option in text
    assert 'action.resumeRetryCount="-1"' in text
    assert "StreamDriver" not in text


def test_tls_names_the_receiver():
    text = made(protocol="tls", ca_file="/ca.pem", peer="log1.example.com", cert_file="/c.pem", key_file="/k.pem")
    for option in ('StreamDriverAuthMode="x509/name"', 'StreamDriverPermittedPeers="log1.example.com"', '"/ca.pem"'):
        assert option in text
    assert 'StreamDriver.KeyFile="/k.pem"' in text


def test_the_journal_is_asked_only_for_what_goes_through_it():
    shipping = Settings(shipping=Shipping("log1", 514))
    assert needs_journal(ALL, shipping)
    assert not needs_journal(ALL[:1], shipping)
    assert made([("shop", ERRORS)]).count("imfile") == 0
