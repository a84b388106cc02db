"""What dpkg, apt, debsecan and needrestart print, and what is made of it."""

from datetime import date

import pytest
from ansible.module_utils.holdfast.patches import lifecycle, packages, tools
from ansible.module_utils.holdfast.patches.packages import Change, Kind

LISTING = """\
ii \tpostgresql-15\t15.18-0+deb12u1\tpostgresql-15\t15.18-0+deb12u1
hi \tlibpq5:amd64\t15.18-0+deb12u1\tpostgresql-15\t15.18-0+deb12u1
iF \tbash\t5.2.15-2+b2\tbash\t5.2.15-2
rc \told-thing\t1.0\told-thing\t1.0
ii \tpgbackrest\t2.45-1\tpgbackrest\t2.45-1
un \tnever\t\tnever\t
"""
SIMULATION = """\
NOTE: This is only a simulation!
Inst libpq5 [15.18-0+deb12u1] (15.20-0+deb12u1 Debian-Security:12/oldstable-security [amd64])
Inst postgresql-15 [15.18-0+deb12u1] (15.20-0+deb12u1 Debian-Security:12/oldstable-security [amd64]) []
Inst libnew1 (2.0-1 Debian:12.15/oldstable, Debian-Security:12/oldstable-security [amd64])
Inst bash [5.2.15-2+b2] (5.2.15-2+b13 Debian:12.15/oldstable [amd64]) [libpq5:amd64 ]
Inst local-thing [1] (2 localhost [all])
Remv unwanted [1.0]
Conf libpq5 (15.20-0+deb12u1 Debian-Security:12/oldstable-security [amd64])
"""


def test_installed_packages_are_read_with_their_state():
    found = packages.installed(LISTING)
    assert sorted(found) == ["bash", "libpq5", "pgbackrest", "postgresql-15"]
    assert (found["libpq5"].held, found["postgresql-15"].held) == (True, False)
    assert (found["bash"].whole, found["libpq5"].whole) == (False, True)
    assert found["bash"].source_version == "5.2.15-2"


def test_a_simulation_is_read_with_origins_and_removals():
    found = {item.package: item for item in packages.changes(SIMULATION)}
    assert list(found) == ["libpq5", "postgresql-15", "libnew1", "bash", "local-thing", "unwanted"]
    assert (found["postgresql-15"].before, found["postgresql-15"].after) == ("15.18-0+deb12u1", "15.20-0+deb12u1")
    assert [name for name, item in found.items() if item.security] == ["libpq5", "postgresql-15", "libnew1"]
    assert found["libnew1"].before == ""
    assert found["unwanted"] == Change("unwanted", "1.0", "")
    assert found["unwanted"].describe() == "unwanted 1.0 goes"
    assert found["local-thing"].origins == ("localhost",)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("15.20-0+deb12u1", "15.20"),
        ("1:10.11.19-0+deb12u1", "10.11.19"),
        ("17.4-1.pgdg120+2", "17.4"),
        ("15.20-0+deb12u1+holdfast1", "15.20"),
        ("unknown", "unknown"),
    ],
)
def test_the_version_that_a_server_tells_is_in_that_of_its_package(version, expected):
    assert packages.upstream(version) == expected


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("postgresql-15", Kind.DATABASE),
        ("libpq5", Kind.DATABASE),
        ("pgbackrest", Kind.TOOLS),
        ("bash", Kind.SYSTEM),
        ("unheard-of", Kind.SYSTEM),
    ],
)
def test_a_package_belongs_to_the_server_by_its_source(name, kind):
    assert packages.kind_of(name, packages.installed(LISTING), ["postgresql-15"], ["pgbackrest"]) is kind


def test_vulnerabilities_are_read():
    printed = (
        "CVE-2026-1001 postgresql-15 (fixed, remotely exploitable, high urgency)\n"
        "CVE-2026-1002 bash (low urgency)\nTEMP-0000000-AAAAAA tar\n\nsomething else entirely, not a line\n"
    )
    found = tools.parsed(printed)
    assert [(item["id"], item["urgency"], item["remote"], item["fixed"]) for item in found] == [
        ("CVE-2026-1001", "high", True, True),
        ("CVE-2026-1002", "low", False, False),
        ("TEMP-0000000-AAAAAA", "", False, False),
    ]


@pytest.mark.parametrize(
    ("printed", "kernel", "services"),
    [
        ("NEEDRESTART-VER: 3.6\nNEEDRESTART-KSTA: 1\n", "", []),
        (
            "NEEDRESTART-KCUR: 6.1.0-1\nNEEDRESTART-KEXP: 6.1.0-9\nNEEDRESTART-KSTA: 3\nNEEDRESTART-SVC: ssh.service\n",
            "a newer kernel is installed: 6.1.0-9, 6.1.0-1 runs",
            ["ssh.service"],
        ),
        ("NEEDRESTART-KSTA: 0\n", "", []),
    ],
)
def test_needrestart_is_read(printed, kernel, services):
    found = tools.needed(printed)
    assert (found["kernel"], found["services"]) == (kernel, services)
    assert found["kernel_known"] == ("KSTA: 0" not in printed)


@pytest.mark.parametrize(
    ("product", "version", "expected"),
    [
        ("postgresql", "15.20", date(2027, 11, 11)),
        ("mariadb", "10.11.19", date(2028, 2, 16)),
        ("debian", "12", date(2028, 6, 30)),
        ("mariadb", "10.1.2", None),
        ("oracle", "19", None),
    ],
)
def test_an_end_of_life_is_known_or_it_is_not(product, version, expected):
    end = lifecycle.end_of(product, version)
    assert (end.last if end else None) == expected


def test_every_end_of_life_has_a_source_and_dates_in_order():
    assert set(lifecycle.ENDS) == set(lifecycle.SOURCES)
    for product, versions in lifecycle.ENDS.items():
        for version in versions:
            end = lifecycle.end_of(product, version)
            assert end is not None
            assert end.first <= end.last
            assert end.version == version
