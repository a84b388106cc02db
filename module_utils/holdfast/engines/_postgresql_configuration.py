"""The configuration files of a PostgreSQL server: kept in its data, and brought back into a new cluster."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import replace

from .. import process
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
from ..errors import HoldfastError, NotInstalled
from ..model import Configuration, Fitted
from ..owner import run_as_owner
from ..units import format_instant
from ._postgresql_host import PostgreSQLHost
from ._postgresql_programs import program
from ._postgresql_settings import scaled
from ._postgresql_staging import assignment

# What the server's own parser makes of its files. Those of ALTER SYSTEM are in the data.
_PARAMETERS = """
    SELECT DISTINCT ON (lower(f.name)) lower(f.name), f.setting
      FROM pg_file_settings f LEFT JOIN pg_settings s ON lower(s.name) = lower(f.name)
     WHERE f.name IS NOT NULL AND f.sourcefile !~ '/postgresql[.]auto[.]conf$'
       AND (f.error IS NULL OR s.pending_restart)
     ORDER BY lower(f.name), f.seqno DESC
"""
_FILES = {"pg_hba.conf": "hba_file", "pg_ident.conf": "ident_file"}
_TABLE = """
    CREATE TABLE IF NOT EXISTS holdfast.configuration (
        one boolean PRIMARY KEY CHECK (one), taken timestamptz NOT NULL, content text NOT NULL);
    COMMENT ON TABLE holdfast.configuration IS 'What the server is configured with outside its data, for a restore';
    DO $$ DECLARE grantee text; BEGIN
        FOR grantee IN SELECT coalesce(quote_ident(r.rolname), 'PUBLIC')
            FROM pg_class c CROSS JOIN aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
            WHERE c.oid = 'holdfast.configuration'::regclass AND a.grantee <> c.relowner
        LOOP EXECUTE format('REVOKE ALL ON holdfast.configuration FROM %s', grantee); END LOOP;
    END $$;
"""
_SAVE = """
    INSERT INTO holdfast.configuration VALUES (true, now(), %s)
    ON CONFLICT (one) DO UPDATE SET taken = now(), content = excluded.content RETURNING taken
"""
_OF_THE_PLACE = frozenset(
    {
        "cluster_name",
        "config_file",
        "data_directory",
        "external_pid_file",
        "hba_file",
        "ident_file",
        "port",
        "promote_trigger_file",
        "restore_command",
        "stats_temp_directory",
        "unix_socket_directories",
    }
)
_STEERS_ANOTHER = ("archive_", "primary_", "recovery_end_", "recovery_min_", "recovery_target")
_LIBRARIES = frozenset({"shared_preload_libraries", "session_preload_libraries", "local_preload_libraries"})
_AUTOMATIC = re.compile(r"^\s*([\w.]+)\s*=\s*'((?:[^']|'')*)'\s*$")
_WORDS = re.compile(r'parameter "([\w.]+)"')
_SAYS = re.compile(r"\b(?:LOG|ERROR|FATAL):\s+(.+)")
# An entry may name a file with more of them.
_INCLUDED = re.compile(r"^\s*(?:include(?:_dir|_if_exists)?\s+\"?([^\s\"]+)|[^#]*?[\s,]@([^\s,\"]+))")
_RECOVERED = os.path.join("conf.d", "holdfast-recovered.conf")
_ASIDE = ".distribution"
_HEADER = "# Brought back by Holdfast from the configuration of {taken}, which the backup held.\n"


class PostgreSQLConfiguration(PostgreSQLHost):
    """The part of the engine that keeps configuration and brings it back."""

    def configuration(self) -> Configuration:
        version, *paths = self._row(
            "SELECT split_part(current_setting('server_version'), ' ', 1), "
            + ", ".join(f"current_setting('{setting}')" for setting in _FILES.values())
        )
        files = {}
        for name, path in zip(_FILES, paths):
            (content,) = self._row("SELECT pg_read_binary_file(%s)", (path,))
            files[name] = bytes(content).decode("utf-8", "replace")
        return without_secrets(Configuration(str(version), dict(self._rows(_PARAMETERS)), files))

    def save_configuration(self) -> Configuration | None:
        if self._row("SELECT pg_is_in_recovery()")[0]:
            return None
        found, kept = self.configuration(), None
        with suppress(HoldfastError):  # one that cannot be read gives way
            kept = self.saved_configuration()
        if kept and found == replace(kept, taken=None):
            return kept
        self._execute("SET synchronous_commit TO local")  # as for markers
        if not kept:
            self._execute(_TABLE)
        return replace(found, taken=self._row(_SAVE, (to_text(found),))[0])

    def saved_configuration(self) -> Configuration | None:
        if not self._row("SELECT to_regclass('holdfast.configuration') IS NOT NULL")[0]:
            return None
        rows = self._rows("SELECT content, taken FROM holdfast.configuration")
        return from_text(*rows[0]) if rows else None

    def fit(self, saved: Configuration) -> Fitted:
        return fit(saved, here(), self._libraries(saved))

    def _libraries(self, saved: Configuration) -> str:
        try:
            return os.path.join(os.path.dirname(program("postgres", saved.version)), "..", "lib")
        except NotInstalled:
            return ""

    def configure(self, saved: Configuration | None) -> Fitted:
        # The files belong to the owner of the data: root has no part in it.
        return Fitted(**run_as_owner(self.instance, lambda: vars(self._configure(saved))))

    def _configure(self, saved: Configuration | None) -> Fitted:
        directory = self._cluster().directory
        _take_back(directory)
        if saved is None:
            return Fitted()
        fitted = self.fit(saved)
        automatic = os.path.join(self._cluster().data_directory, "postgresql.auto.conf")
        with open(automatic, encoding="utf-8") as stream:
            own = fit_automatic(stream.read(), fitted, here(), self._libraries(saved))
        _write(automatic, own, 0o600)
        header = _HEADER.format(taken=format_instant(saved.taken))
        for name, text in fitted.files.items():
            path = os.path.join(directory, name)
            with suppress(FileNotFoundError):
                os.rename(path, path + _ASIDE)
            _write(path, header + text, 0o640)
        while True:
            lines = [assignment(name, value or "") for name, value in sorted(fitted.parameters.items())]
            _write(os.path.join(directory, _RECOVERED), header + "".join(f"{line}\n" for line in lines), 0o644)
            words = self._parser_says(directory)
            if not words:
                return fitted
            refused = refused_names(words, _WORDS, fitted.parameters)
            if not refused:
                _take_back(directory)
                return Fitted(problem=f"the server would not start with it: {process.last_words(words)}")
            for name, reason in refused.items():
                del fitted.parameters[name]
                fitted.left_out[name] = f"the server does not take it: {reason}"

    def _parser_says(self, directory: str) -> str:
        """What the server's own parser says against its configuration."""
        cluster = self._cluster()
        argv = [program("postgres", cluster.version), "-D", cluster.data_directory, "-C", "port"]
        result = process.run([*argv, "-c", f"config_file={directory}/postgresql.conf"])
        if not result.returncode:
            return ""
        return "\n".join(_SAYS.findall(result.stderr)) or process.last_words(result.stderr)


def fit(saved: Configuration, host: Here, libraries: str) -> Fitted:
    """See the protocol; ``libraries`` is the directory of the server's, empty when it is not known."""
    fitted = Fitted(left_out=dict(saved.left_out))
    for name, value in saved.parameters.items():
        if name in _OF_THE_PLACE or name.startswith(_STEERS_ANOTHER):
            fitted.of_the_place.append(name)
            continue
        kept = _fit_parameter(name, value or "", fitted, host, libraries)
        if kept is not None:
            fitted.parameters[name] = kept
    if fitted.left_out.keys() & {"ssl_cert_file", "ssl_key_file"} and fitted.parameters.pop("ssl", None):
        fitted.left_out["ssl"] = "its certificate or key is not here"
    for name, text in saved.files.items():
        fitted.files[name] = _fit_file(name, text, fitted, host)
    return fitted


def fit_automatic(text: str, fitted: Fitted, host: Here, libraries: str) -> str:
    """What ALTER SYSTEM set, as this host can have it: it came with the data, and outranks every other file."""
    kept = []
    for line in text.splitlines():
        found = _AUTOMATIC.match(line)
        name = found[1].lower() if found else ""
        if not found or name == "port" or name.startswith("archive_"):
            kept.append(line)  # those are the instance's own already
        elif name in _OF_THE_PLACE or name.startswith(_STEERS_ANOTHER):
            fitted.of_the_place.append(name)
        else:
            before = found[2].replace("''", "'").replace("\\\\", "\\")
            value = _fit_parameter(name, before, fitted, host, libraries)
            if value is not None:
                kept.append(line if value == before else assignment(name, value))
    return "".join(f"{line}\n" for line in kept)


def _fit_parameter(name: str, value: str, fitted: Fitted, host: Here, libraries: str) -> str | None:
    """The value that this host can have; None when it can have none."""
    if name == "synchronous_standby_names" and value:
        fitted.left_out[name] = "no commit would end before such a standby is attached"
        return None
    if name in _LIBRARIES:
        return _installed(name, value, fitted, host, libraries)
    if name == "listen_addresses" and value:
        return own_addresses(name, value, fitted, host) or None
    if name == "shared_buffers":
        size = int(scaled(value, "8kB") or 0)
        most = lowered(name, size, host.memory // 4, fitted, host) if size > host.memory // 2 else size
        return value if most == size else f"{most >> 20}MB"
    if name == "huge_pages" and value == "on":
        fitted.left_out[name] = "try instead of on: this host may not have them"
        return "try"
    reason = missing_path(name, value, host)
    if reason:
        fitted.left_out[name] = reason
    return None if reason else value


def _installed(name: str, value: str, fitted: Fitted, host: Here, libraries: str) -> str:
    wanted = [item.strip().strip('"') for item in value.split(",") if item.strip()]
    if not libraries:
        return value
    paths = {item: os.path.join(libraries, re.sub(r"^\$libdir/|\.so$", "", item) + ".so") for item in wanted}
    lost = [item for item in wanted if not host.can_read(paths[item])]
    if lost:
        fitted.left_out[name] = f"not installed here: {', '.join(lost)}"
    return ", ".join(item for item in wanted if item not in lost)


def _fit_file(name: str, text: str, fitted: Fitted, host: Here) -> str:
    lines = text.splitlines()
    for number, line in enumerate(lines):
        match = _INCLUDED.match(line)
        path = (match[1] or match[2]) if match else ""
        if path and not (path.startswith("/") and host.can_read(path)):
            lines[number] = f"# left out by Holdfast, as the file is not here: {line}"
            fitted.left_out[f"{name}, line {number + 1}"] = f"{path} is not on this host"
    return "".join(f"{line}\n" for line in lines)


def _take_back(directory: str) -> None:
    for name in _FILES:
        with suppress(FileNotFoundError):
            os.replace(os.path.join(directory, name) + _ASIDE, os.path.join(directory, name))
    recovered = os.path.join(directory, _RECOVERED)
    with suppress(FileNotFoundError):
        os.replace(recovered, recovered + ".refused")


def _write(path: str, content: str, mode: int) -> None:
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(content)
