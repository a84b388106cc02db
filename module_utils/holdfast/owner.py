"""Doing the work of an instance as the user that owns its data directory, never as root."""

from __future__ import annotations

import json
import os
import pwd
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .engines import registry
from .errors import HoldfastError, InvalidInput, Unsupported
from .model import Instance
from .process import die_with_parent


def run_as_owner(instance: Instance, call: Callable[[], Any]) -> Any:
    """Call something as the instance's OS user and return its result, which JSON must be able to carry.

    Root does it in a child process that has given up its rights; the OS user itself does it at once. Raises
    InvalidInput for anybody else and when the user does not exist, and any HoldfastError that the call raises.
    """
    try:
        user = pwd.getpwnam(instance.os_user)
    except KeyError:
        raise InvalidInput(
            f"the OS user {instance.os_user!r} does not exist on this host",
            where=instance.name,
            remedy="Install the database server, or correct os_user of the instance",
        ) from None
    if os.geteuid() == user.pw_uid:
        return call()
    if os.geteuid() != 0:
        raise InvalidInput(
            f"jobs of this instance run as {instance.os_user}",
            where=instance.name,
            remedy=f"Use sudo, or become {instance.os_user}",
        )
    # The code of an Ansible module lies in a directory of root's: what is not imported yet, the owner could not read.
    with suppress(Unsupported):
        registry.load(instance.engine)
    return _in_child(user, call)


def _in_child(user: pwd.struct_passwd, call: Callable[[], Any]) -> Any:
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _child(user, call, writing)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as stream:
            answer = stream.read()
    finally:
        _, status = os.waitpid(child, 0)
    if not answer:
        raise HoldfastError(f"the process that worked as {user.pw_name} ended with status {status} and no answer")
    result = json.loads(answer)
    if "error" in result:
        raise _error(result["error"])
    return result["value"]


def _child(user: pwd.struct_passwd, call: Callable[[], Any], writing: int) -> None:
    try:
        os.initgroups(user.pw_name, user.pw_gid)
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
        die_with_parent()
        os.umask(0o027)
        os.environ.update(HOME=user.pw_dir, USER=user.pw_name, LOGNAME=user.pw_name)
        os.chdir("/")
        answer = {"value": call()}
    except HoldfastError as error:
        answer = {"error": dict(error.as_dict(), exit_code=error.exit_code)}
    except BaseException as error:  # noqa: BLE001 - the parent must learn of it, and nothing may run on in the child
        answer = {"error": {"code": "failed", "what": f"{type(error).__name__}: {error}", "exit_code": 1}}
    try:
        with os.fdopen(writing, "w", encoding="utf-8") as stream:
            json.dump(answer, stream, default=str)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(0)


def _error(raw: Any) -> HoldfastError:
    error = HoldfastError(raw["what"], where=raw.get("where", ""), remedy=raw.get("remedy", ""))
    error.code = raw["code"]
    error.exit_code = raw["exit_code"]
    return error
