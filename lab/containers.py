"""podman, on machines where it runs as it is and on those with hybrid cgroups."""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

RUN_DIR = Path("/run/holdfast-lab")
CGROUP_DIR = Path("/sys/fs/cgroup")
# What podman remembers until the machine restarts: that it has not, and which addresses are taken.
PODMAN_ALIVE = Path("/run/libpod/alive")
PODMAN_NETWORKS = Path("/run/containers/networks")
LABEL = "holdfast.lab"


class LabError(Exception):
    """The lab cannot do what was asked; the text says what to do about it."""


def run(
    command: Sequence[str],
    *,
    stdin: str | None = None,
    env: dict[str, str] | None = None,
    timeout: float = 120,
    what: str = "",
) -> str:
    """Return what a command printed.

    :param what: its name in an error, where the command line would say too much.
    :raises LabError: it failed or took longer than ``timeout`` seconds.
    """
    what = what or " ".join(command)
    try:
        done = subprocess.run(
            command,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            env={**os.environ, **(env or {})},
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        raise LabError(f"{command[0]} is not installed: run lab/bootstrap.sh lab") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"{what}: no end after {timeout:.0f} s") from None
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise LabError(f"{what}: exit {done.returncode}: {reason}")
    return done.stdout


@contextmanager
def locked(path: Path, timeout: float = 900) -> Iterator[None]:
    """Keep other processes out of the same step.

    :raises LabError: another one has not left it after ``timeout`` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout
    with path.open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise LabError(f"another process has held {path} for {timeout:.0f} s") from None
                time.sleep(0.1)
        yield


class Podman:
    """podman as this machine needs it to be called."""

    def __init__(self, prefix: Sequence[str] = (), env: dict[str, str] | None = None) -> None:
        self.prefix = list(prefix)
        self.env = env or {}

    @property
    def rootless(self) -> bool:
        """Whether container addresses cannot be reached, only published ports."""
        return os.geteuid() != 0

    def command(self, *args: str) -> list[str]:
        """Return the full command line, for ``exec`` and pipes."""
        return [*self.prefix, "podman", *args]

    def __call__(self, *args: str, stdin: str | None = None, timeout: float = 120) -> str:
        """Return what a podman command printed."""
        what = f"podman {args[0]}"
        return run(self.command(*args), stdin=stdin, env=self.env, timeout=timeout, what=what).strip()

    def succeeds(self, *args: str) -> bool:
        """Whether a podman command ends well."""
        try:
            self(*args)
        except LabError:
            return False
        return True


def connect() -> Podman:
    """Return the podman of this machine.

    With unified cgroups this is the user's own. With hybrid ones, which crun refuses and newer
    systemd cannot boot on, it runs in a mount namespace that shows it a unified hierarchy.

    :raises LabError: the cgroups are hybrid and the user is not root.
    """
    if (CGROUP_DIR / "cgroup.controllers").exists():
        return Podman()
    if os.geteuid() != 0:
        raise LabError("this machine has hybrid cgroups: run as root, or boot with systemd.unified_cgroup_hierarchy=1")
    with locked(RUN_DIR / "lock"):
        pid = _namespace() or _namespace_of_containers() or _make_namespace()
        config = RUN_DIR / "containers.conf"
        config.write_text(containers_conf(resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    prefix = ["nsenter", "--mount", f"--target={pid}", f"--wdns={Path.cwd()}", "--"]
    return Podman(prefix, {"CONTAINERS_CONF": str(config)})


def containers_conf(open_files: int) -> str:
    """Return a configuration that asks for no more than a process without CAP_SYS_RESOURCE may have."""
    return (
        "[containers]\n"
        f'default_ulimits = ["nofile={open_files}:{open_files}", "nproc=32768:32768"]\n'
        "pids_limit = 0\n"
        "[engine]\n"
        'cgroup_manager = "cgroupfs"\n'
        'events_logger = "file"\n'
        "[network]\n"
        'network_backend = "netavark"\n'
    )


def unified(mountinfo: str) -> bool:
    """Whether a process with these mounts sees one cgroup hierarchy."""
    return any(line.split()[4] == str(CGROUP_DIR) and " - cgroup2 " in line for line in mountinfo.splitlines())


def _shows_unified(pid: int) -> bool:
    try:
        return unified(Path(f"/proc/{pid}/mountinfo").read_text())
    except OSError:
        return False


def _namespace() -> int | None:
    try:
        pid = int((RUN_DIR / "namespace.pid").read_text())
    except (OSError, ValueError):
        return None
    return pid if _shows_unified(pid) else None


def _namespace_of_containers() -> int | None:
    """Hold the namespace of containers that outlived the process which held it."""
    for process in Path("/proc").glob("[0-9]*"):
        if _command(process) == "conmon" and _shows_unified(int(process.name)):
            return _hold(["nsenter", "--mount", f"--target={process.name}", "--", "sleep", "infinity"])
    return None


def _make_namespace() -> int:
    """Start the process that holds the namespace; one serves every lab, as they share podman's storage.

    Mounts and containers of an earlier one ended with it, which podman must be told: where ``/run``
    outlives the processes, it would look for their networks.
    """
    if (RUN_DIR / "namespace.pid").exists():
        _forget_containers_as_a_restart_does()
    show = f"umount -R {CGROUP_DIR} && mount -t cgroup2 cgroup2 {CGROUP_DIR} && exec sleep infinity"
    return _hold(["unshare", "--mount", "--propagation", "private", "sh", "-c", show])


def _hold(command: Sequence[str]) -> int:
    holder = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 5
    while not _shows_unified(holder.pid):
        if holder.poll() is not None or time.monotonic() > deadline:
            holder.kill()
            raise LabError("no mount namespace with unified cgroups could be made: the machine forbids it to root")
        time.sleep(0.02)
    (RUN_DIR / "namespace.pid").write_text(str(holder.pid))
    return holder.pid


def _forget_containers_as_a_restart_does() -> None:
    if any(_command(process) == "conmon" for process in Path("/proc").glob("[0-9]*")):
        raise LabError("the lab's containers lost their namespace while others run: stop those, or restart the machine")
    for container in run(["crun", "list", "--quiet"]).split():
        # Without --force it refuses what lives.
        subprocess.run(["crun", "delete", container], capture_output=True, check=False)
    shutil.rmtree(PODMAN_NETWORKS, ignore_errors=True)
    PODMAN_ALIVE.unlink(missing_ok=True)


def _command(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return ""


def release(podman: Podman) -> None:
    """End the namespace when no lab needs it any more."""
    if not podman.prefix:
        return
    with locked(RUN_DIR / "lock"):
        pid = _namespace()
        if pid and not podman("ps", "--all", "--quiet", "--filter", f"label={LABEL}"):
            os.kill(pid, signal.SIGTERM)
            (RUN_DIR / "namespace.pid").unlink()
