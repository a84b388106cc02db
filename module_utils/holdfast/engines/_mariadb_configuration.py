"""The option files of a MariaDB server: kept in its data, and brought back to a new host."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import timezone
from typing import TYPE_CHECKING

from .. import files, process
from ..configuration import (
    Here,
    from_text,
    here,
    lowered,
    missing_path,
    own_addresses,
    refused_names,
    to_text,
    without_secrets,
)
from ..errors import HoldfastError
from ..model import Configuration, Fitted
from ..owner import run_as_owner
from ..units import format_instant
from ._mariadb_host import MariaDBHost
from ._mariadb_service import option_lines, service_on

_TABLE = (
    "CREATE TABLE IF NOT EXISTS holdfast.configuration (one TINYINT PRIMARY KEY, taken TIMESTAMP(6) NOT NULL,"
    " content LONGTEXT CHARACTER SET utf8mb4 NOT NULL) ENGINE=InnoDB"
    " COMMENT 'What the server is configured with outside its data, for a restore'"
)
_SAVE = "REPLACE INTO holdfast.configuration VALUES (1, CURRENT_TIMESTAMP(6), %s)"
_OF_THE_PLACE = frozenset(
    {
        "aria_log_dir_path",
        "basedir",
        "character_sets_dir",
        "datadir",
        "innodb_data_home_dir",
        "innodb_log_group_home_dir",
        "innodb_undo_directory",
        "lc_messages_dir",
        "log_basename",
        "log_bin_index",
        "master_info_file",
        "pid_file",
        "plugin_dir",
        "port",
        "relay_log",
        "relay_log_index",
        "relay_log_info_file",
        "report_host",
        "report_port",
        "server_id",
        "slave_load_tmpdir",
        "socket",
        "tmpdir",
        "user",
    }
)
_OF_A_GROUP = ("wsrep_", "rpl_semi_sync_")  # of servers, which this one is no longer in
_SEVERAL = re.compile(r"^(?:loose_)?(?:plugin_load_add|replicate_\w+|binlog_(?:do|ignore)_db|ignore_db_dirs?)$")
_NAME = re.compile(r"^[a-z][a-z0-9_.]*\Z")
_SIZE = re.compile(r"^(\d+)([KMGTkmgt]?)\Z")
_WORDS = re.compile(r"(?:variable|option|to|value for) '?(?:--)?([\w-]+)")
_ERROR = re.compile(r"\[ERROR\] (?:Buffered error: )?(?:\S*mariadbd: )?(.+)")
_LIBRARY = re.compile(r"open shared library '(?:[^']*/)?([^'/]+?)(?:\.so)?'")
_PLUGINS = re.compile(r"^(?:loose_)?plugin_load(?:_add)?$")
_SHARE = 0.8  # of the memory, that a buffer pool may have


class MariaDBConfiguration(MariaDBHost):
    """The part of the engine that keeps configuration and brings it back."""

    if TYPE_CHECKING:

        def is_replica(self) -> bool: ...

    def configuration(self) -> Configuration:
        version = str(self.row("SELECT @@version")[0]).split("-", maxsplit=1)[0]
        return without_secrets(Configuration(version, options(self._option_lines())))

    def save_configuration(self) -> Configuration | None:
        if self.is_replica():
            return None
        found, kept = self.configuration(), None
        with suppress(HoldfastError):  # one that cannot be read gives way
            kept = self.saved_configuration()
        if kept and found == replace(kept, taken=None):
            return kept
        if not kept:
            self.execute(_TABLE)
        self.execute(_SAVE, (to_text(found),))
        return self.saved_configuration()

    def saved_configuration(self) -> Configuration | None:
        there = "SELECT 1 FROM information_schema.tables WHERE table_schema = 'holdfast' AND table_name = %s"
        if not self.rows(there, ("configuration",)):
            return None
        rows = self.rows("SELECT content, taken FROM holdfast.configuration")
        return from_text(rows[0][0], rows[0][1].replace(tzinfo=timezone.utc)) if rows else None

    def fit(self, saved: Configuration) -> Fitted:
        return fit(saved, here())

    def configure(self, saved: Configuration | None) -> Fitted:
        path = self.recovered_file()
        with suppress(FileNotFoundError):
            os.replace(path, f"{path}.refused")
        if saved is None:
            return Fitted()
        fitted = Fitted(**run_as_owner(self.instance, lambda: vars(self._fit_to_files(saved))))
        while True:
            files.write(files.File(path, render(fitted.parameters, format_instant(saved.taken) or "")))
            words = run_as_owner(self.instance, self._parser_says)
            if not words:
                return fitted
            if not drop_refused(fitted, words):
                os.replace(path, f"{path}.refused")
                return Fitted(problem=f"the server would not start with it: {process.last_words(words)}")

    def recovered_file(self) -> str:
        """The file that a restore into a new server brings its configuration back in; the server reads it last."""
        directory = self.instance.options.get("configuration_directory", "/etc/mysql/mariadb.conf.d")
        return os.path.join(directory, f"95-holdfast-recovered-{self.instance.name}.cnf")

    def _fit_to_files(self, saved: Configuration) -> Fitted:
        """What this host can have and does not have anyway."""
        fitted, own = self.fit(saved), options(self._option_lines())
        fitted.parameters = {
            name: value for name, value in fitted.parameters.items() if name not in own or own[name] != value
        }
        return fitted

    def _option_lines(self) -> list[str]:
        return option_lines(self._arguments())

    def _arguments(self) -> tuple[str, ...]:
        service = service_on(self.socket)
        return service.arguments if service else ()

    def _parser_says(self) -> str:
        """What the server's own parser says against its configuration."""
        result = process.run(["mariadbd", *self._arguments(), "--verbose", "--help"])
        if not result.returncode and not _LIBRARY.search(result.stderr):
            return ""
        return "\n".join(_ERROR.findall(result.stderr)) or process.last_words(result.stderr)


def options(lines: Iterable[str]) -> dict[str, str | None]:
    """Options as ``my_print_defaults`` lists them: the last one of a name counts, of those that add up all do."""
    found: dict[str, str | None] = {}
    for line in lines:
        name, equals, value = line.partition("=")
        name = name[2:].replace("-", "_").lower()
        if not line.startswith("--") or not name:
            continue
        if _SEVERAL.match(name) and found.get(name):
            value = f"{found[name]}\n{value}"
        found[name] = value if equals else None
    return found


def drop_refused(fitted: Fitted, words: str) -> bool:
    """Leave out what the server's parser complains of; whether that is anything of ours."""
    lost = {*_LIBRARY.findall(words)}
    for name, value in list(fitted.parameters.items()):
        if value and _PLUGINS.match(name):
            kept = [part for part in re.split(r"[\n;]", value) if not lost & {*re.findall(r"[\w-]+", part)}]
            if kept != re.split(r"[\n;]", value):
                fitted.left_out[name] = f"not installed here: {', '.join(sorted(lost))}"
                fitted.parameters[name] = "\n".join(kept)
                if not kept:
                    del fitted.parameters[name]
    refused = refused_names(words, _WORDS, fitted.parameters)
    fitted.left_out.update({name: f"the server does not take it: {reason}" for name, reason in refused.items()})
    for name in refused:
        del fitted.parameters[name]
    return bool(refused or lost)


def fit(saved: Configuration, host: Here) -> Fitted:
    """See the protocol."""
    fitted = Fitted(left_out=dict(saved.left_out))
    for name, value in saved.parameters.items():
        plain = name.removeprefix("loose_")
        # With a bare name it is among the data, and must be on at the first start: only then it begins a new history.
        if plain in _OF_THE_PLACE or (plain == "log_bin" and "/" in (value or "")):
            fitted.of_the_place.append(name)
        elif plain.startswith(_OF_A_GROUP):
            fitted.left_out[name] = "it is of a group of servers that this one is no longer in"
        elif not _NAME.match(name) or any(not part.isprintable() for part in (value or "").split("\n")):
            fitted.left_out[name] = "this is no option that can be written to a file"
        elif value is None:
            fitted.parameters[name] = None
        else:
            kept = _fit_value(plain, value, fitted, host)
            if kept is not None:
                fitted.parameters[name] = kept
    return fitted


def _fit_value(name: str, value: str, fitted: Fitted, host: Here) -> str | None:
    if name == "bind_address" and value:
        return own_addresses(name, value, fitted, host) or None
    if name == "innodb_buffer_pool_size":
        size, most = _bytes(value), int(host.memory * _SHARE)
        return value if size <= most else str(lowered(name, size, host.memory // 2, fitted, host))
    reason = missing_path(name, value, host)
    if reason:
        fitted.left_out[name] = reason
    return None if reason else value


def _bytes(value: str) -> int:
    match = _SIZE.match(value)
    if not match:
        return 0
    return int(match[1]) << (10 * " KMGT".index(match[2].upper() or " "))


def render(parameters: dict[str, str | None], taken: str) -> str:
    """The option file for them."""
    lines = [f"# Brought back by Holdfast from the configuration of {taken}, which the backup held.", "[mariadbd]"]
    for name, value in sorted(parameters.items()):
        if not _NAME.match(name) or name in _OF_THE_PLACE:
            raise HoldfastError("no option of a server that is brought back", where=name)
        lines += [name] if value is None else [f"{name} = {_quoted(part)}" for part in value.split("\n")]
    return "".join(f"{line}\n" for line in lines)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\")
    return f'"{escaped}"' if re.search(r"[\s#'\"]|^$", value) else escaped
