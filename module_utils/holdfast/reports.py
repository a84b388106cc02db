"""Documents and data on the control host: written when they differ, readable by their owner and group."""

from __future__ import annotations

import grp
import json
import os
import pwd
from typing import Any

from . import files
from .document import Document, markdown, to_html
from .errors import HoldfastError
from .files import File


def both_forms(directory: str, name: str, document: Document) -> list[File]:
    """The document as Markdown and as HTML."""
    return [
        _file(os.path.join(directory, f"{name}.md"), markdown(document)),
        _file(os.path.join(directory, f"{name}.html"), to_html(document)),
    ]


def page(path: str, document: Document) -> File:
    """The document as HTML."""
    return _file(path, to_html(document))


def text(path: str, content: str) -> File:
    """A text as it is."""
    return _file(path, content)


def data(path: str, value: Any) -> File:
    """Plain data as a JSON file."""
    return _file(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, default=str) + "\n")


def differing(wanted: list[File]) -> list[File]:
    """Those of the files that are not on disk as they should be."""
    return [file for file in wanted if _read(file.path) != file.content]


def save(wanted: list[File]) -> None:
    """Write files, each in one step. Raises HoldfastError where that is impossible."""
    for file in wanted:
        try:
            files.write(file)
        except OSError as error:
            raise HoldfastError(
                f"cannot be written: {error.strerror}",
                where=file.path,
                remedy="Choose a directory that you may write to",
            ) from None


def diff(file: File) -> dict[str, str]:
    """The change of one file in the form in which Ansible shows it."""
    return {
        "before_header": file.path,
        "after_header": file.path,
        "before": _read(file.path) or "",
        "after": file.content,
    }


def _read(path: str) -> str | None:
    try:
        return files.read(path)
    except (OSError, UnicodeDecodeError) as error:
        raise HoldfastError(f"cannot be read: {error}", where=path) from None


def _file(path: str, content: str) -> File:
    user = pwd.getpwuid(os.geteuid()).pw_name
    return File(path, content, 0o640, user, grp.getgrgid(os.getegid()).gr_name)
