"""The host runner: this package as one executable archive, built from the very code that is running.

An Ansible module carries the sources of the package to a host; the archive is made of exactly those, so that a
scheduled job and a module cannot differ.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import marshal
import pkgutil
import sys
import zipfile
import zlib
from collections.abc import Mapping

ARCHIVE = "/opt/holdfast/holdfast.pyz"
COMMAND = "/usr/local/bin/holdfast"

# Isolated mode: neither the directory a job starts in nor PYTHONPATH decides what code runs as a database's owner.
_SHEBANG = b"#!/usr/bin/python3 -I\n"
_NAME = "holdfast"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNCHECKED_HASH = 0b01


def sources() -> dict[str, bytes]:
    """Every source file of the package as its own loader has it, by its path inside the archive."""
    package = __name__.rpartition(".")[0]
    found = {f"{_NAME}/__init__.py": _source(package, "__init__.py")}
    for module in pkgutil.walk_packages(sys.modules[package].__path__, package + "."):
        parent, _, name = module.name.rpartition(".")
        inside = module.name[len(package) + 1 :].replace(".", "/")
        if name == "__main__":
            continue  # no module imports it, so no payload has it
        if module.ispkg:
            found[f"{_NAME}/{inside}/__init__.py"] = _source(module.name, "__init__.py")
        else:
            found[f"{_NAME}/{inside}.py"] = _source(parent, f"{name}.py")
    return dict(sorted(found.items()))


def content_hash() -> str:
    """Twelve hexadecimal digits that name the code of this package, whatever carries it."""
    return _hash(sources())


def _hash(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(path.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()[:12]


def build() -> bytes:
    """The archive. The same sources and the same Python give the same bytes."""
    buffer = io.BytesIO()
    buffer.write(_SHEBANG)
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in {**sources(), "__main__.py": _entry_point()}.items():
            _add(archive, path, content)
            if path != "__main__.py":
                # Log backups start the runner every few minutes: compiling 40 files each time is most of its cost.
                _add(archive, path + "c", _compiled(path, content))
        archive.comment = _bytecode_tag()
    return buffer.getvalue()


def installed(path: str) -> str:
    """The content hash of the archive at ``path``, empty when there is none that this Python can run at full speed."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.comment != _bytecode_tag():
                return ""
            names = [name for name in archive.namelist() if name.endswith(".py") and name != "__main__.py"]
            return _hash({name: archive.read(name) for name in names})
    except (OSError, zipfile.BadZipFile, zlib.error):
        return ""


def _entry_point() -> bytes:
    # Named by the function itself: its import is what makes Ansible ship the command line, and all it needs, to a host.
    from .cli import main

    return f"import sys\n\nfrom {_NAME}.cli import {main.__name__}\n\nsys.exit({main.__name__}())\n".encode()


def _source(package: str, name: str) -> bytes:
    content = pkgutil.get_data(package, name)
    if content is None:
        raise RuntimeError(f"the loader of {package} cannot give the source of {name}")
    return content


def _add(archive: zipfile.ZipFile, path: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(path, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)


def _compiled(path: str, content: bytes) -> bytes:
    code = compile(content, path, "exec", dont_inherit=True)
    flags = _UNCHECKED_HASH.to_bytes(4, "little")
    return importlib.util.MAGIC_NUMBER + flags + importlib.util.source_hash(content) + marshal.dumps(code)


def _bytecode_tag() -> bytes:
    return b"bytecode " + importlib.util.MAGIC_NUMBER[:2].hex().encode()
