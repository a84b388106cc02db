"""What a lab keeps beside its containers: keys, certificates, credentials and the ssh configuration."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from containers import run

BUCKET = "holdfast"
EC_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "365")


@dataclass(frozen=True)
class Address:
    """Where ssh reaches a host, and the key by which it is known."""

    host: str
    address: str
    port: int
    host_key: str


class State:
    """The directory of one lab.

    ``hosts/HOST`` inside it is what that host sees as ``/lab``; nothing else leaves the directory.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ssh_config = directory / "ssh_config"
        self.s3 = directory / "s3.json"

    def shared(self, host: str) -> Path:
        """Return the directory that a host sees as ``/lab``."""
        return self.directory / "hosts" / host

    def prepare(self, hosts: Sequence[str], s3_host: str, s3_program: Path) -> None:
        """Make what does not exist yet: a second call changes nothing."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        key = self.directory / "id_ed25519"
        if not key.exists():
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(key)])
        authority = self.directory / "ca.crt"
        if not authority.exists():
            self._openssl(
                *("-x509", "-subj", "/CN=Holdfast lab", "-addext", "keyUsage=critical,keyCertSign,cRLSign"),
                *("-keyout", "ca.key", "-out", "ca.crt"),
            )
        if not self.s3.exists():
            self._write_secret(self.s3, json.dumps(s3_credentials(s3_host), indent=2) + "\n")
        for host in hosts:
            shared = self.shared(host)
            shared.mkdir(parents=True, exist_ok=True)
            shutil.copy(authority, shared / "ca.crt")
            shutil.copy(f"{key}.pub", shared / "authorized_keys")
            # sshd refuses keys that a group could have written.
            shared.chmod(0o755)
            (shared / "authorized_keys").chmod(0o644)
        shared = self.shared(s3_host)
        if not (shared / "server.crt").exists():
            self._openssl(
                *("-x509", "-CA", "ca.crt", "-CAkey", "ca.key", "-subj", f"/CN={s3_host}"),
                *("-addext", f"subjectAltName=DNS:{s3_host}", "-addext", "basicConstraints=critical,CA:FALSE"),
                *("-keyout", f"hosts/{s3_host}/server.key", "-out", f"hosts/{s3_host}/server.crt"),
            )
        if not (shared / "rclone").exists():
            shutil.copy(s3_program, shared / "rclone")
        s3 = json.loads(self.s3.read_text())
        # rclone reads the variable as a CSV list, systemd takes the outer quotes away.
        pair = f"{s3['access_key']},{s3['secret_key']}"
        self._write_secret(shared / "s3.env", f"RCLONE_AUTH_KEY='\"{pair}\"'\n")

    def write_ssh(self, login: str, addresses: Iterable[Address]) -> None:
        """Write ``known_hosts`` and ``ssh_config`` for the hosts as they run now."""
        addresses = sorted(addresses, key=lambda each: each.host)
        known_hosts = self.directory / "known_hosts"
        known_hosts.write_text("".join(f"{each.host} {each.host_key}\n" for each in addresses))
        self.ssh_config.write_text(
            ssh_config(login, addresses, self.directory / "id_ed25519", known_hosts, self._control_dir())
        )

    def forget(self) -> None:
        """Remove everything, shared ssh connections included."""
        link = self.directory / "control"
        if link.is_symlink():
            control = Path(os.readlink(link))
            if control.is_dir():
                for socket in control.iterdir():
                    subprocess.run(
                        ["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "host"], capture_output=True, check=False
                    )
                shutil.rmtree(control, ignore_errors=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _control_dir(self) -> Path:
        """Return a directory for sockets: their paths must be short, and never met again by a later lab."""
        link = self.directory / "control"
        if not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(tempfile.mkdtemp(prefix="lab-"))
        return Path(os.readlink(link))

    def _openssl(self, *args: str) -> None:
        files = [f"{self.directory}/{arg}" if arg.endswith((".key", ".crt")) else arg for arg in args]
        run(["openssl", "req", *EC_KEY, *files])

    @staticmethod
    def _write_secret(path: Path, text: str) -> None:
        path.touch(mode=0o600)
        path.write_text(text)


def s3_credentials(host: str) -> dict[str, str]:
    """Return new credentials and how to reach the object store from any host of the lab."""
    return {
        "endpoint": f"https://{host}:9000",
        "region": "us-east-1",
        "bucket": BUCKET,
        "access_key": secrets.token_hex(10),
        "secret_key": secrets.token_hex(20),
        "ca_file": "/etc/ssl/certs/ca-certificates.crt",
    }


def ssh_config(login: str, addresses: Iterable[Address], identity: Path, known_hosts: Path, control_dir: Path) -> str:
    """Return a configuration that knows these hosts by their plain names."""
    hosts = "".join(
        f"Host {each.host}\n  HostName {each.address}\n  Port {each.port}\n  HostKeyAlias {each.host}\n"
        for each in addresses
    )
    return (
        f"{hosts}Host *\n"
        f"  User {login}\n"
        f'  IdentityFile "{identity}"\n'
        "  IdentitiesOnly yes\n"
        f'  UserKnownHostsFile "{known_hosts}"\n'
        "  StrictHostKeyChecking yes\n"
        "  ConnectTimeout 10\n"
        "  ControlMaster auto\n"
        "  ControlPersist 60\n"
        f'  ControlPath "{control_dir}/%n"\n'
        "  LogLevel ERROR\n"
    )
