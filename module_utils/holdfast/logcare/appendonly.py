"""The append-only attribute of a file: what is in it stays, also for root, until root takes the attribute away."""

from __future__ import annotations

import array
import errno
import fcntl
import os

from ..errors import HoldfastError, Unsupported

_GET, _SET = 0x80086601, 0x40086602  # FS_IOC_GETFLAGS and FS_IOC_SETFLAGS where a long has 64 bits
_APPEND = 0x20
_NOT_HERE = (errno.ENOTTY, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


def is_set(path: str) -> bool:
    """Whether a file is append-only. Raises Unsupported where its file system has no such attribute."""
    return bool(_flags(path) & _APPEND)


def put(path: str, *, on: bool) -> bool:
    """Make a file append-only or not; returns whether that changed anything. Needs root. Raises Unsupported."""
    flags = _flags(path)
    wanted = flags | _APPEND if on else flags & ~_APPEND
    if wanted == flags:
        return False
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        fcntl.ioctl(descriptor, _SET, array.array("l", [wanted]))
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            raise Unsupported("host", "append-only", "this host takes the right away to set it") from None
        raise _why(path, error) from None
    finally:
        os.close(descriptor)
    if is_set(path) != on:
        raise Unsupported("host", "append-only", f"the file system of {path} took the attribute and does not have it")
    return True


def _flags(path: str) -> int:
    held = array.array("l", [0])
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise HoldfastError(f"cannot be opened: {error.strerror}", where=path) from None
    try:
        fcntl.ioctl(descriptor, _GET, held)
    except OSError as error:
        raise _why(path, error) from None
    finally:
        os.close(descriptor)
    return held[0]


def _why(path: str, error: OSError) -> HoldfastError:
    if error.errno in _NOT_HERE:
        return Unsupported("host", "append-only", f"the file system of {path} has no such attribute")
    return HoldfastError(f"its attributes cannot be changed: {error.strerror}", where=path)
