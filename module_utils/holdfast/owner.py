"""Doing the work of an instance as the user that owns its data directory, never as root."""

from __future__ import annotations

import json
import os
import pwd
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import IO, Any

from .engines import registry
from .errors import HoldfastError, InvalidInput, Unsupported
from .model import Instance
from .process import die_with_parent

Ask = Callable[..., Any]


def run_as_owner(instance: Instance, call: Callable[[], Any]) -> Any:
    """Call something as the instance's OS user and return its result, which JSON must be able to carry.

    Root does it in a child process that has given up its rights; the OS user itself does it at once. Raises
    InvalidInput for anybody else and when the user does not exist, and any HoldfastError that the call raises.
    """
    return _run(instance, lambda _ask: call(), {})


def run_with_root(instance: Instance, call: Callable[[Ask], Any], operations: Mapping[str, Callable[..., Any]]) -> Any:
    """As :func:`run_as_owner`, for work that needs root now and then.

    The call is given ``ask``: ``ask("stop")`` has this process, which stays root, carry out the operation of that name
    and returns or raises what that does. Nothing but the named operations can be asked for.
    """
    if os.geteuid() != 0:
        raise InvalidInput("only root can do this", where=instance.name, remedy="Use sudo")
    return _run(instance, call, operations)


def _run(instance: Instance, call: Callable[[Ask], Any], operations: Mapping[str, Callable[..., Any]]) -> Any:
    try:
        user = pwd.getpwnam(instance.os_user)
    except KeyError:
        raise InvalidInput(
            f"the OS user {instance.os_user!r} does not exist on this host",
            where=instance.name,
            remedy="Install the database server, or correct os_user of the instance",
        ) from None
    if os.geteuid() == user.pw_uid:
        return call(lambda name, *args: operations[name](*args))
    if os.geteuid() != 0:
        raise InvalidInput(
            f"jobs of this instance run as {instance.os_user}",
            where=instance.name,
            remedy=f"Use sudo, or become {instance.os_user}",
        )
    # The code of an Ansible module lies in a directory of root's: what is not imported yet, the owner could not read.
    with suppress(Unsupported):
        registry.load(instance.engine)
    return _in_child(user, call, operations)


def _in_child(user: pwd.struct_passwd, call: Callable[[Ask], Any], operations: Mapping[str, Callable[..., Any]]) -> Any:
    sys.stdout.flush()
    sys.stderr.flush()
    from_child, to_parent = os.pipe()
    from_parent, to_child = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(from_child)
        os.close(to_child)
        _child(user, call, os.fdopen(to_parent, "w", encoding="utf-8"), os.fdopen(from_parent, encoding="utf-8"))
    os.close(to_parent)
    os.close(from_parent)
    answer: dict[str, Any] | None = None
    try:
        with os.fdopen(from_child, encoding="utf-8") as hearing, os.fdopen(to_child, "w", encoding="utf-8") as saying:
            for line in hearing:
                message = json.loads(line)
                if "ask" in message:
                    operation = partial(operations[message["ask"]], *message["arguments"])
                    _say(saying, _answer(operation))
                else:
                    answer = message
    finally:
        _, status = os.waitpid(child, 0)
    if answer is None:
        raise HoldfastError(f"the process that worked as {user.pw_name} ended with status {status} and no answer")
    return _value(answer)


def _child(user: pwd.struct_passwd, call: Callable[[Ask], Any], saying: IO[str], hearing: IO[str]) -> None:
    def ask(name: str, *arguments: Any) -> Any:
        _say(saying, {"ask": name, "arguments": arguments})
        return _value(json.loads(hearing.readline()))

    def work() -> Any:
        os.initgroups(user.pw_name, user.pw_gid)
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
        die_with_parent()
        os.umask(0o027)
        os.environ.update(HOME=user.pw_dir, USER=user.pw_name, LOGNAME=user.pw_name)
        os.chdir("/")
        return call(ask)

    try:
        _say(saying, _answer(work))
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(0)


def _say(stream: IO[str], message: dict[str, Any]) -> None:
    stream.write(json.dumps(message, default=str) + "\n")
    stream.flush()


def _answer(call: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"value": call()}
    except HoldfastError as error:
        return {"error": dict(error.as_dict(), exit_code=error.exit_code)}
    except BaseException as error:  # noqa: BLE001 - the other process must learn of it
        return {"error": {"code": "failed", "what": f"{type(error).__name__}: {error}", "exit_code": 1}}


def _value(answer: dict[str, Any]) -> Any:
    if "error" in answer:
        raise _error(answer["error"])
    return answer["value"]


def _error(raw: Any) -> HoldfastError:
    kind = _kinds().get(raw["code"], HoldfastError)
    error = kind.__new__(kind)
    HoldfastError.__init__(error, raw["what"], where=raw.get("where", ""), remedy=raw.get("remedy", ""))
    error.code = raw["code"]
    error.exit_code = raw["exit_code"]
    return error


def _kinds() -> dict[str, type[HoldfastError]]:
    """The classes of errors by their codes: who catches one class must do so on this side, too."""
    found: dict[str, type[HoldfastError]] = {}
    waiting = [HoldfastError]
    while waiting:
        kind = waiting.pop()
        found[kind.code] = kind
        waiting.extend(kind.__subclasses__())
    return found
