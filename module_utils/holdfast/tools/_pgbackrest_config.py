"""The options of pgBackRest for an instance, as a stanza section for the server and as an environment for the jobs."""

from __future__ import annotations

import glob
import grp
import os
import pwd
import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from ..errors import InvalidInput, RepositoryUnavailable, Unsupported, WrongKey
from ..files import read
from ..model import Instance, Repository
from ._pgbackrest_version import BLOCK_INCREMENTAL, Version

CONFIG_DIRECTORY = "/etc/pgbackrest/conf.d"
_MAIN_FILES = ("/etc/pgbackrest/pgbackrest.conf", "/etc/pgbackrest.conf")
SPOOL = "/var/spool/pgbackrest"
KEEP_ALL = "9999999"  # the largest number: what goes is decided by Holdfast's retention alone

_CONNECT_SECONDS = 5
_answered: set[tuple[str, int]] = set()  # addresses that did in this process
_COMPRESS_LEVELS = {"zst": "3", "lz4": "1", "gz": "6", "bz2": "9"}


def config_file(instance: Instance) -> str:
    return f"{CONFIG_DIRECTORY}/holdfast-{instance.name}.conf"


def process_max(instance: Instance) -> int:
    """Parallel workers of a backup: half the cores, because the server needs the others."""
    return int(instance.options.get("process_max") or max(1, (os.cpu_count() or 1) // 2))


def stanza_options(instance: Instance, data_directory: str, socket_directory: str) -> dict[str, str]:
    """Everything of a stanza but its repositories.

    archive-push-queue-max stays unset on purpose: with it, pgBackRest drops log and tells the server it is archived.
    """
    compress_type = instance.options.get("compress_type", "zst")
    return {
        "pg1-path": data_directory,
        "pg1-port": str(instance.port),
        "pg1-socket-path": socket_directory,
        "pg1-user": instance.os_user,
        "archive-async": "y",
        "archive-timeout": instance.options.get("archive_timeout", "60"),
        "checksum-page": "y",
        "compress-level": instance.options.get("compress_level", _COMPRESS_LEVELS.get(compress_type, "3")),
        "compress-type": compress_type,
        "expire-auto": "n",
        "lock-path": os.path.join(instance.state_directory, "pgbackrest-lock"),
        "log-level-file": "warn",
        "log-path": "/var/log/pgbackrest",
        "process-max": str(process_max(instance)),
        "spool-path": SPOOL,
        "start-fast": "y",
    }


def repository_options(repository: Repository, number: int, version: Version) -> dict[str, str]:
    """The options of one repository under the given number, secrets included. Raises InvalidInput, Unsupported."""
    settings = repository.settings
    options: dict[str, str] = {
        "cipher-pass": _passphrase(repository),
        "cipher-type": "aes-256-cbc",
        "retention-archive": KEEP_ALL,
        "retention-diff": KEEP_ALL,
        "retention-full": KEEP_ALL,
        "retention-full-type": "count",
        "type": repository.type,
    }
    if version >= BLOCK_INCREMENTAL:
        options.update({"block": "y", "bundle": "y"})
    if repository.type == "posix":
        options["path"] = os.path.join(_required(repository, settings, "path"), "pgbackrest")
    elif repository.type == "s3":
        options.update(_s3(repository))
    elif repository.type == "sftp":
        if version < BLOCK_INCREMENTAL:
            raise Unsupported(
                "pgbackrest",
                f"repository {repository.name} of type sftp",
                f"it needs pgBackRest 2.46 or newer, this is {'.'.join(map(str, version))}",
                remedy="Give the instance other repositories",
            )
        options.update(_sftp(repository))
    else:
        raise InvalidInput(
            f"pgBackRest has no repository type {repository.type!r}", where=f"repository {repository.name}"
        )
    return {f"repo{number}-{name}": value for name, value in options.items()}


def _s3(repository: Repository) -> dict[str, str]:
    settings, secrets = repository.settings, repository.secrets
    host, port = _endpoint(_required(repository, settings, "endpoint"))
    prefix = settings.get("prefix", "").strip("/")
    options = {
        "path": "/" + "/".join(part for part in (prefix, "pgbackrest") if part),
        "s3-bucket": _required(repository, settings, "bucket"),
        "s3-endpoint": host,
        "s3-key": _required(repository, secrets, "key_id"),
        "s3-key-secret": _required(repository, secrets, "key_secret"),
        "s3-region": _required(repository, settings, "region"),
        "s3-uri-style": settings.get("uri_style", "host"),
    }
    if port:
        options["storage-port"] = str(port)
    if settings.get("ca_file"):
        options["storage-ca-file"] = settings["ca_file"]
    return options


def _sftp(repository: Repository) -> dict[str, str]:
    settings = repository.settings
    options = {
        "path": os.path.join(_required(repository, settings, "path"), "pgbackrest"),
        "sftp-host": _required(repository, settings, "host"),
        "sftp-host-key-hash-type": "sha256",
        "sftp-host-key-check-type": "strict",
        "sftp-host-user": _required(repository, settings, "user"),
        "sftp-private-key-file": _required(repository, settings, "private_key_file"),
    }
    if settings.get("port"):
        options["sftp-host-port"] = settings["port"]
    if settings.get("known_hosts_file"):
        options["sftp-known-host"] = settings["known_hosts_file"]
    return options


def check_reachable(repository: Repository) -> None:
    """Raise RepositoryUnavailable when nothing listens at the repository's address.

    pgBackRest itself tries again for minutes, file by file, before it says so. Each address is asked until it has
    answered once: sshd shuts a host out that often connects without logging in.
    """
    settings = repository.settings
    if repository.type == "s3":
        host, port = _endpoint(settings["endpoint"])
        address = (host, port or 443)
    elif repository.type == "sftp":
        address = (settings["host"], int(settings.get("port", "22")))
    else:
        return
    if address in _answered:
        return
    import socket  # for these repositories alone

    try:
        socket.create_connection(address, timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise RepositoryUnavailable(
            f"{address[0]}:{address[1]} does not answer: {error.strerror or error}",
            where=f"repository {repository.name}",
            remedy="Check the address, the network and the storage server",
        ) from None
    _answered.add(address)


def _endpoint(text: str) -> tuple[str, int | None]:
    address = urlsplit(text if "//" in text else f"//{text}")
    return address.hostname or text, address.port


def _passphrase(repository: Repository) -> str:
    if not repository.secrets.get("passphrase"):
        raise WrongKey(
            "the passphrase is missing",
            where=f"repository {repository.name}",
            remedy="Put it back into /etc/holdfast/keys: without it nothing can be read",
        )
    return repository.passphrase


def _required(repository: Repository, values: Mapping[str, str], name: str) -> str:
    if not values.get(name):
        raise InvalidInput(f"{name} is missing", where=f"repository {repository.name}")
    return values[name]


def section(stanza: str, options: Mapping[str, str]) -> str:
    """A configuration file with one section. Raises InvalidInput for a value that would break out of its line."""
    lines = [f"[{stanza}]"]
    for name in sorted(options):
        if "\n" in options[name] or options[name] != options[name].strip():
            raise InvalidInput(
                f"{name} must not hold line breaks or begin or end with spaces", where=f"stanza {stanza}"
            )
        lines.append(f"{name}={options[name]}")
    return "# Managed by Holdfast: changes are overwritten.\n" + "\n".join(lines) + "\n"


def environment(stanza: str, options: Mapping[str, str]) -> dict[str, str]:
    """The options as environment variables: no secret is on an argument list, and no file on the host has a say."""
    variables = {"PGBACKREST_" + name.upper().replace("-", "_"): value for name, value in options.items()}
    variables["PGBACKREST_STANZA"] = stanza
    return variables


def group_of(user: str) -> str:
    """Primary group of a user; its own name before it exists, as distributions create it."""
    try:
        return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
    except KeyError:
        return user


def foreign_section(stanza: str, own_file: str, directory: str = CONFIG_DIRECTORY) -> str | None:
    """Path of another configuration file that already has a section for the stanza."""
    main = next((path for path in _MAIN_FILES if os.path.exists(path)), None)
    others: list[str] = [main] if main else []
    others += [path for path in sorted(glob.glob(f"{directory}/*.conf")) if path != own_file]
    heading = re.compile(rf"^\[{re.escape(stanza)}(?::[a-z-]+)?\]\s*$", re.MULTILINE)
    return next((path for path in others if heading.search(read(path) or "")), None)


def newest_first(ids: Sequence[str]) -> list[str]:
    """Backup labels so that each comes before the one it depends on: a label begins later than its parent's."""
    return sorted(ids, key=lambda label: label.rsplit("_", 1)[-1], reverse=True)
