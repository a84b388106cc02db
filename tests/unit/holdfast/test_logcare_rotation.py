from dataclasses import replace
from datetime import timedelta

import pytest
from ansible.module_utils.holdfast.engines.logs import ENGINE, JOURNAL, Source
from ansible.module_utils.holdfast.logcare import rotation
from ansible.module_utils.holdfast.logcare.rotation import OURS, SUFFIX, covers, patterns, plan, states
from ansible.module_utils.holdfast.logcare.settings import Limits, Settings, Shipping

PG = "/var/log/postgresql/postgresql-15-main.log"
BILLING = "/var/log/postgresql/postgresql-15-billing.log"
COMMON = "/etc/logrotate.d/postgresql-common"
# As packages have them, comments and scripts included.
POSTGRESQL = """\
/var/log/postgresql/*.log {
       weekly
       rotate 10
       copytruncate
}
"""
MARIADB = """\
# a comment with a { brace
/var/lib/mysql/mysqld.log /var/lib/mysql/mariadb.log /var/log/mysql/*.log {
  monthly
  postrotate
    if test -x /usr/bin/mariadb-admin
    then
      echo "}" ${X}
    }
    fi
  endscript
}
"""


def server(path=PG, **changes):
    fields = {"user": "postgres", "group": "adm", "su": "root root", "distribution": ("postgresql-common",)}
    return Source("server", path, **{**fields, **changes})


SLOW = Source(
    "slow", "/var/log/mysql/slow.log", user="mysql", group="mysql", su="mysql mysql", reopen=("flush",),
    distribution=("mariadb", "mariadb-server"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (POSTGRESQL, ["/var/log/postgresql/*.log"]),
        (MARIADB, ["/var/lib/mysql/mysqld.log", "/var/lib/mysql/mariadb.log", "/var/log/mysql/*.log"]),
        ('"/var/log/a b.log"\n/var/log/c.log\n{\n weekly\n}\n', ["/var/log/a b.log", "/var/log/c.log"]),
        ("weekly\nrotate 4\ncreate\ninclude /etc/logrotate.d\n", []),
        ("/a.log { weekly }\n/b.log { weekly\n}\n", ["/a.log", "/b.log"]),
        ("/a.log {\n", ["/a.log"]),
        ("", []),
    ],
)
def test_the_files_that_a_configuration_names(text, found):
    assert patterns(text) == found


def test_a_star_stands_for_no_slash():
    assert covers("/var/log/*.log", "/var/log/a.log")
    assert not covers("/var/log/*.log", "/var/log/mysql/a.log")
    assert not covers("/var/log/*/a.log", "/var/log/a.log")


def test_what_the_distribution_rotates_is_taken_over_with_every_file_that_it_names():
    made = plan([("orders", server())], {COMMON: POSTGRESQL}, Settings())
    assert made.disable == [COMMON]
    assert not made.twice
    assert f'"{PG}" {{' in made.text
    assert '"/var/log/postgresql/*.log" {' in made.text, "logs of other clusters must stay rotated"
    assert made.text.index(PG) < made.text.index("/var/log/postgresql/*.log"), "the first one of a file counts"
    assert made.text.count("ignoreduplicates") == 2


def test_two_instances_share_what_they_take_over():
    made = plan([("orders", server()), ("billing", server(BILLING))], {COMMON: POSTGRESQL}, Settings())
    assert made.disable == [COMMON]
    assert made.text.count("/var/log/postgresql/*.log") == 1


def test_a_second_run_is_the_same_as_the_first():
    first = plan([("orders", server())], {COMMON: POSTGRESQL}, Settings())
    second = plan([("orders", server())], {f"{COMMON}{SUFFIX}": POSTGRESQL, OURS: first.text}, Settings())
    assert second.text == first.text
    assert (second.disable, second.enable) == ([], [])


def test_left_alone_it_is_said_who_rotates():
    made = plan([("orders", server())], {COMMON: POSTGRESQL}, Settings(take_over=False))
    assert (made.text, made.disable) == ("", [])
    assert COMMON in made.rotated_by[PG]


def test_what_was_taken_over_is_given_back():
    made = plan([("orders", server())], {f"{COMMON}{SUFFIX}": POSTGRESQL}, Settings(take_over=False))
    assert (made.enable, made.text) == ([COMMON], "")
    given_back = plan([], {f"{COMMON}{SUFFIX}": POSTGRESQL}, Settings())
    assert given_back.enable == [COMMON]


def test_what_an_administrator_wrote_is_left_alone():
    mine = {"/etc/logrotate.d/mine": f"{PG} {{\n daily\n}}\n"}
    made = plan([("orders", server())], mine, Settings())
    assert (made.text, made.disable) == ("", [])
    assert "left as it is" in made.rotated_by[PG]


def test_two_that_rotate_the_same_file_are_told():
    both = {"/etc/logrotate.d/mine": f"{PG} {{\n}}\n", COMMON: POSTGRESQL}
    made = plan([("orders", server())], both, Settings())
    assert set(made.twice[PG]) == set(both)
    assert made.text == ""


def test_a_server_that_reopens_gets_a_new_file_and_one_that_does_not_is_emptied():
    text = plan([("shop", SLOW)], {}, Settings()).text
    assert "create 0640 mysql mysql" in text
    assert "copytruncate" not in text
    assert "    postrotate\n        flush\n    endscript\n" in text
    text = plan([("orders", server())], {}, Settings()).text
    assert "copytruncate" in text
    assert "create " not in text


def test_limits_are_those_of_the_kind():
    limits = {**Settings().rotation, "server": Limits("weekly", 5 << 10, 3, timedelta(days=9))}
    text = plan([("orders", server())], {}, Settings(rotation=limits)).text
    for line in ("weekly", "maxsize 5k", "rotate 3", "maxage 9", "compress", "delaycompress", "missingok"):
        assert f"    {line}\n" in text


def test_an_append_only_log_is_opened_for_its_rotation_alone():
    text = plan([("orders", server(also_audit=True))], {COMMON: POSTGRESQL}, Settings()).text
    assert text.count(f'chattr -a "{PG}"') == text.count(f'chattr +a "{PG}"') == 1
    assert text.index("chattr -a") < text.index("chattr +a")
    assert "chattr" not in plan([("orders", server(also_audit=True))], {}, Settings(append_only=False)).text


def test_the_sender_reads_a_file_that_was_emptied_from_its_beginning():
    sending = Settings(shipping=Shipping("log1", 514))
    text = plan([("orders", server()), ("shop", SLOW)], {COMMON: POSTGRESQL}, sending).text
    assert text.count("systemctl stop syslog.socket rsyslog.service") == 1
    assert text.index("imfile-state:") < text.index("systemctl start rsyslog.service")
    assert "rsyslog" not in plan([("orders", server())], {}, Settings()).text
    other = Settings(shipping=Shipping("log1", 514, kinds=("audit",)))
    assert "rsyslog" not in plan([("orders", server())], {}, other).text


COLLECTED = Source(
    "server", "", ENGINE, "it rotates by itself", "postgres", "postgres", parameters={"log_rotation_age": "1440"},
    names="/data/log/postgresql-*.log", reopen=("rotate",), adopt={"log_rotation_age": "0"},
    adopted="/data/log/own.log",
)  # fmt: skip


def test_the_rotation_of_an_engine_is_taken_over_or_left_and_never_both():
    assert '"/data/log/own.log" {' in plan([("orders", COLLECTED)], {}, Settings()).text
    assert plan([("orders", COLLECTED)], {}, Settings(take_over=False)).text == ""
    fixed = replace(COLLECTED, adopt={}, adopted="")
    assert plan([("orders", fixed)], {}, Settings()).text == ""


def test_who_rotates_now():
    journal = Source("server", "", JOURNAL, "log_error is empty")
    found = states(
        [server(), server(BILLING), SLOW, journal], {COMMON: POSTGRESQL, f"/x{SUFFIX}": "/var/log/mysql/slow.log {\n}"}
    )
    assert [(item.nobody, item.twice) for item in found] == [
        (False, False),
        (False, False),
        (True, False),
        (False, False),
    ]
    assert found[0].by == f"logrotate ({COMMON})"
    assert found[3].by.startswith("journal: log_error")
    found = states([server()], {COMMON: POSTGRESQL, "/etc/logrotate.d/mine": PG + " {\n}\n"})
    assert found[0].twice


def test_an_engine_and_logrotate_on_the_same_files_are_two():
    mine = {"/etc/logrotate.d/mine": "/data/log/*.log {\n daily\n}\n"}
    (found,) = states([COLLECTED], mine, ["/data/log/postgresql-Mon.log"])
    assert found.twice
    (found,) = states([COLLECTED], {}, ["/data/log/postgresql-Mon.log"])
    assert not found.twice


def test_the_limits_of_the_runner_are_what_they_were():
    assert rotation.runner_lines(Settings()) == ["weekly", "maxsize 20M", "rotate 8"]
