"""Older and newer packages for hosts of the lab: real versions where the mirror has two, else repacked ones."""

from __future__ import annotations

from testinfra.host import Host

DIRECTORY = "/srv/lab-patches"
TREES = "/srv/lab-trees"
LIST = "/etc/apt/sources.list.d/lab-patches.list"
POLICY = "printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d"
APT = "DEBIAN_FRONTEND=noninteractive apt-get -q -y -o APT::Sandbox::User=root -o Dpkg::Options::=--force-confold"
# Packs the installed version of a package anew, with a longer version and what was done to it. What it is made of is
# kept for the next time.
REPACK = f"""
set -e
package=$1 suffix=$2 change=$3
version=$(dpkg-query -W -f '${{Version}}' "$package")
kept={TREES}/$package=$version
if [ ! -d "$kept" ]; then
    rm -rf {TREES}/made && mkdir -p {TREES}/made && cd {TREES}/made
    dpkg-repack --generate "$package" >/dev/null 2>&1
    mv ./* "$kept"
fi
work=$(mktemp -d)
cp -a "$kept" "$work/tree" && cd "$work/tree"
sed -i "s/^Version:.*/Version: $version+$suffix/" DEBIAN/control
eval "$change"
mkdir -p {DIRECTORY} && cd {DIRECTORY}
dpkg-deb -Znone -b "$work/tree" "${{package}}_$suffix.deb" >/dev/null
rm -rf "$work"
for deb in *.deb; do
    dpkg-deb -f "$deb"
    echo "Filename: ./$deb"
    echo "Size: $(stat -c %s "$deb")"
    echo "SHA256: $(sha256sum "$deb" | cut -d' ' -f1)"
    echo
done >Packages
echo "deb [trusted=yes] file:{DIRECTORY} ./" >{LIST}
"""

PLAIN = ":"
# Once, when it is configured: what dpkg calls on the way back must work, as it mostly does.
BROKEN_SCRIPT = (
    "printf '#!/bin/sh\\n[ \"$1\" != configure ] || { echo broken on purpose >&2; exit 1; }\\n' >DEBIAN/postinst;"
    " chmod 755 DEBIAN/postinst"
)


def waiting(command: str) -> str:
    """A package that does something before it is unpacked."""
    return f"printf '#!/bin/sh\\n%s\\n' '{command}' >DEBIAN/preinst; chmod 755 DEBIAN/preinst"


def broken_program(path: str) -> str:
    """A server that does not start."""
    return f"printf '#!/bin/sh\\necho broken on purpose >&2\\nexit 1\\n' >.{path}; chmod 755 .{path}"


def repack(host: Host, package: str, suffix: str, change: str = PLAIN) -> None:
    """Offer a newer version of an installed package, in a repository that is a directory of the host."""
    host.check_output(f"command -v dpkg-repack >/dev/null || {APT} install dpkg-repack")
    host.check_output("sh -c %s repack %s %s %s", REPACK, package, suffix, change)


def withdraw(host: Host) -> None:
    """No longer offer what was packed; a patch reads the lists of packages anew."""
    host.check_output(f"rm -rf {DIRECTORY} {LIST}")


def version(host: Host, package: str) -> str:
    """The installed version."""
    return str(host.check_output("dpkg-query -W -f '${Version}' %s", package)).strip()


def age(host: Host, package: str) -> tuple[str, str]:
    """Install the older of the two versions that the mirror has, with all packages of its source; both versions."""
    host.check_output(f"{APT} update")
    listed = host.check_output("apt-cache madison %s | awk '{print $3}'", package).split()
    found = list(dict.fromkeys(listed))
    assert len(found) > 1, f"the mirror has one version of {package}: {found}"
    newer, older = found[0], found[1]
    source = host.check_output("dpkg-query -W -f '${source:Package}' %s", package).strip()
    names = host.check_output(
        "dpkg-query -W -f '${binary:Package} ${source:Package} ${db:Status-Status}\n' |"
        " awk -v source=%s '$2 == source && $3 == \"installed\" {print $1}'",
        source,
    ).split()
    wanted = " ".join(f"{name}={older}" for name in names)
    host.check_output(f"{POLICY}; {APT} install --allow-downgrades --allow-change-held-packages {wanted}")
    host.check_output("rm -f /usr/sbin/policy-rc.d")
    return older, newer


def names(host: Host) -> set[str]:
    """Every installed package."""
    return set(host.check_output("dpkg-query -W -f '${Package}\n'").split())


def untouched(host: Host, before: set[str]) -> None:
    """No hold, no repository, no package and no file of these tests is left."""
    host.check_output("apt-mark showhold | xargs -r apt-mark unhold >/dev/null")
    host.check_output(
        f"rm -rf {DIRECTORY} {TREES} {LIST} /var/lib/holdfast/patching /usr/sbin/policy-rc.d; apt-get -qq update"
    )
    # A version that was packed here is no newer one than the mirror's of which it was made.
    packed = host.check_output("dpkg-query -W -f '${Package}=${Version}\\n' | sed -n '/+lab/s/+lab.*//p'").split()
    if packed:
        host.check_output(f"{APT} -o DPkg::Lock::Timeout=120 install --allow-downgrades {' '.join(packed)}")
    added = " ".join(sorted(names(host) - before))
    if added:
        host.check_output(f"{APT} purge {added}")
