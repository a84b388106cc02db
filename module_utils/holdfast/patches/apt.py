"""Debian's package tools. What changes packages runs to its end, also when the one who asked is gone."""

from __future__ import annotations

import fcntl
import glob
import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from .. import process
from ..errors import CommandFailed, HoldfastError, NotInstalled, PackagesUnavailable, PatchFailed
from ..files import File, read, write
from . import packages
from .packages import Change, Package

POLICY = "/usr/sbin/policy-rc.d"
# Left behind by a killed run, it stands in nobody's way: the scripts of packages have the environment of their apt.
_POLICY = """\
#!/bin/sh
# Holdfast restarts servers itself after its own changes of packages; those of others are not its business.
[ -z "$HOLDFAST_PATCHES" ] || exit 101
"""
_KEEP = ("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold")
_QUIET = ("-q", "-y", "-o", "DPkg::Lock::Timeout=120", "-o", "APT::Sandbox::User=root")
_ENVIRONMENT = {
    "HOLDFAST_PATCHES": "1",
    "DEBIAN_FRONTEND": "noninteractive",
    "NEEDRESTART_SUSPEND": "1",
    "APT_LISTCHANGES_FRONTEND": "none",
    "UCF_FORCE_CONFFOLD": "1",
}
_COMPLAINT = re.compile(r"^(?:E: |dpkg: error|W: Failed| installed .* returned)")
_LOCK = "/var/lib/dpkg/lock-frontend"
_DPKG_SECONDS = 900
_LISTS = "/var/lib/apt/lists"


class Apt:
    """The packages of this host. Only root may change them."""

    def refresh(self) -> None:
        """Read the package lists anew. Raises PackagesUnavailable when a single one could not be had."""
        try:
            _run(["apt-get", *_QUIET, "-o", "APT::Update::Error-Mode=any", "update"])
        except CommandFailed as error:
            raise _unavailable(error) from None

    def listed(self) -> float | None:
        """When the package lists were last read, in seconds since the epoch; None when there are none."""
        times = [os.path.getmtime(path) for path in glob.glob(f"{_LISTS}/*Packages*")]
        return max(
            [*times, os.path.getmtime(f"{_LISTS}/partial")] if times and os.path.isdir(f"{_LISTS}/partial") else times,
            default=None,
        )

    def installed(self) -> dict[str, Package]:
        """Every package that is there."""
        return packages.installed(_run(["dpkg-query", "--show", f"--showformat={packages.QUERY}"]))

    def upgradable(self) -> list[Change]:
        """What an upgrade would change, those that are held too; nothing is ever removed by it."""
        argv = ["apt-get", "--simulate", "--ignore-hold", "-o", "Debug::NoLocking=1", "upgrade", "--with-new-pkgs"]
        return packages.changes(_run(argv))

    def simulate(self, wanted: Mapping[str, str]) -> list[Change]:
        """What installing these versions would change beside them."""
        argv = ["apt-get", "--simulate", "--allow-change-held-packages", "-o", "Debug::NoLocking=1", "install"]
        return packages.changes(_run([*argv, *_versions(wanted)]))

    def owner(self, path: str) -> str:
        """The package that a file came with; empty when none did."""
        real = os.path.realpath(path)
        for name in dict.fromkeys((path, real, real.replace("/usr/", "/", 1))):
            found = _start(["dpkg-query", "--search", name])
            if found.returncode == 0:
                return packages.bare(found.stdout.splitlines()[0].partition(": ")[0].split(",")[0])
        return ""

    def fetch(self, wanted: Mapping[str, str], directory: str) -> list[str]:
        """Download packages of exact versions. Raises PackagesUnavailable; what came by then is left there."""
        os.makedirs(directory, mode=0o755, exist_ok=True)
        try:
            _run(["apt-get", *_QUIET, "download", *_versions(wanted)], cwd=directory)
        except CommandFailed as error:
            raise _unavailable(error) from None
        return archives(directory)

    def keep(self, kept: Mapping[str, str], directory: str) -> list[str]:
        """Have the installed versions as files, for the way back: downloaded, or else packed from what is here."""
        os.makedirs(directory, mode=0o755, exist_ok=True)
        missing = []
        for name, version in kept.items():
            try:
                _run(["apt-get", *_QUIET, "download", f"{name}={version}"], cwd=directory)
            except CommandFailed:
                missing.append(name)
        if missing:
            _repacker()
            _run(["dpkg-repack", *missing], cwd=directory)
        return archives(directory)

    def install(self, paths: Sequence[str]) -> None:
        """Install packages from files. Configuration that somebody changed stays. Raises PatchFailed."""
        options = ["--no-remove", "--allow-downgrades", "--allow-change-held-packages", "--no-install-recommends"]
        try:
            _run(["apt-get", *_QUIET, *_KEEP, *options, "install", *paths])
        except CommandFailed as error:
            raise PatchFailed(f"the packages could not be installed: {error.what}") from None

    def put_back(self, paths: Sequence[str], added: Sequence[str]) -> None:
        """Have the versions before again, whatever state dpkg is in, and remove what was new. Needs no network."""
        _await_dpkg()
        options = ["--force-confold", "--force-confdef", "--force-downgrade", "--force-hold"]
        try:
            _run(["dpkg", *options, "--install", *paths])
            if added:
                _run(["dpkg", "--purge", *added])
            _run(["dpkg", "--force-confold", "--force-confdef", "--configure", "--pending"])
        except CommandFailed as error:
            raise PatchFailed(f"the versions before could not be put back: {error.what}") from None

    def broken(self) -> list[str]:
        """Packages that dpkg began with and did not finish."""
        return sorted(item.name for item in self.installed().values() if not item.whole)

    def hold(self, names: Sequence[str]) -> None:
        """Keep others, unattended upgrades among them, from changing these packages."""
        if names:
            _run(["apt-mark", "hold", *names])

    def release(self, names: Sequence[str]) -> None:
        """Undo :meth:`hold`."""
        if names:
            _run(["apt-mark", "unhold", *names])

    @contextmanager
    def no_restarts(self) -> Iterator[None]:
        """Meanwhile the scripts of packages stop and start no service: the server goes on until its turn comes."""
        before = read(POLICY)
        if before is not None and "Holdfast" in before:
            before = None  # left by a run that was killed
        if before is None:
            write(File(POLICY, _POLICY, 0o755))
        else:
            _check_policy(before)
        try:
            yield
        finally:
            if before is None:
                os.unlink(POLICY)


def archives(directory: str) -> list[str]:
    """The package files in a directory."""
    return sorted(glob.glob(os.path.join(directory, "*.deb")))


def _await_dpkg() -> None:
    """Wait for what a run that was killed may have left behind: dpkg goes on to its end."""
    deadline = time.monotonic() + _DPKG_SECONDS
    with open(_LOCK, "w", encoding="ascii") as stream:
        while True:
            try:
                fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() > deadline:
                    raise PatchFailed("another program has used dpkg for too long", where=_LOCK) from None
                time.sleep(1)
            else:
                fcntl.lockf(stream, fcntl.LOCK_UN)
                return


def _repacker() -> None:
    try:
        process.require("dpkg-repack")
    except NotInstalled:
        raise NotInstalled(
            "an installed version can be downloaded no more, and dpkg-repack is not there to pack it",
            remedy="Install the package dpkg-repack: without the version before there is no way back",
        ) from None


def _check_policy(text: str) -> None:
    if "101" not in text:
        raise HoldfastError(
            "this file lets packages restart services, and was not written by Holdfast",
            where=POLICY,
            remedy="Move it out of the way, or have it exit with 101",
        )


def _versions(wanted: Mapping[str, str]) -> list[str]:
    return [f"{name}={version}" for name, version in sorted(wanted.items())]


def _unavailable(error: CommandFailed) -> PackagesUnavailable:
    return PackagesUnavailable(
        f"packages cannot be had: {error.what}",
        remedy="See to the package repositories of this host and to its network; nothing was changed",
    )


def _run(argv: Sequence[str], cwd: str = "/") -> str:
    done = _start(argv, cwd)
    if done.returncode != 0:
        said = [line for line in (done.stderr + done.stdout).splitlines() if _COMPLAINT.match(line)]
        words = process.last_words("\n".join(said) or done.stderr or done.stdout, 4)
        raise CommandFailed(f"{os.path.basename(argv[0])} exited with {done.returncode}: {words}")
    return done.stdout


def _start(argv: Sequence[str], cwd: str = "/") -> subprocess.CompletedProcess[str]:
    # A session of its own: a connection that breaks must not end dpkg in the middle of a package.
    return subprocess.run(
        [process.require(argv[0]), *argv[1:]],
        cwd=cwd,
        env=process.environment(_ENVIRONMENT),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
        check=False,
    )
