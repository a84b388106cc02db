"""Where restic finds the repository of an instance."""

from __future__ import annotations

import os
import re
import shlex

from ..errors import InvalidInput
from ..model import Repository


def location(instance: str, repository: Repository) -> tuple[str, list[str]]:
    """Restic's name of the repository of an instance, and the options that reach it."""
    settings = repository.settings
    if repository.type == "posix":
        return os.path.join(settings["path"], "restic", instance), []
    if repository.type == "s3":
        parts = [settings["bucket"], settings.get("prefix", "").strip("/"), "restic", instance]
        lookup = "dns" if settings.get("uri_style", "path") == "host" else "path"
        options = ["-o", f"s3.bucket-lookup={lookup}"]
        if settings.get("region"):
            options += ["-o", f"s3.region={settings['region']}"]
        if settings.get("ca_file"):
            options += ["--cacert", settings["ca_file"]]
        return f"s3:https://{settings['endpoint']}/" + "/".join(part for part in parts if part), options
    if repository.type == "sftp":
        command = shlex.join(ssh(repository))
        path = os.path.join(settings["path"], "restic", instance)
        return f"sftp:{settings['user']}@{settings['host']}:{path}", ["-o", f"sftp.command={command}"]
    raise InvalidInput(
        f"restic has no repository of type {repository.type!r} here",
        where=f"repository {repository.name}",
        remedy="Valid types are posix, s3 and sftp",
    )


def ssh(repository: Repository) -> list[str]:
    """The command that begins a session with a repository over sftp."""
    settings = repository.settings
    words = ["ssh", "-i", settings["private_key_file"], "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"]
    words += ["-o", "ServerAliveInterval=30", "-p", settings.get("port", "22")]
    if settings.get("known_hosts_file"):
        known = settings["known_hosts_file"]  # that file alone, as pgBackRest takes it
        words += ["-o", f"UserKnownHostsFile={known}", "-o", "GlobalKnownHostsFile=/dev/null"]
    return [*words, f"{settings['user']}@{settings['host']}", "-s", "sftp"]


def endpoint(repository: Repository) -> tuple[str, int] | None:
    """Host and port that a remote repository listens on; None for a local one."""
    if repository.type == "sftp":
        return repository.settings["host"], int(repository.settings.get("port", "22"))
    if repository.type == "s3":
        match = re.fullmatch(r"\[?(.+?)\]?(?::(\d+))?", repository.settings["endpoint"])
        return (match[1], int(match[2] or 443)) if match else None
    return None
