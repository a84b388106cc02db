"""Where the package's messages go: to the file of an instance, and to a person as far as one reads along."""

from __future__ import annotations

import logging
import os

from . import config
from .model import Instance


def configure_logging(instance: Instance, *, quiet: bool, verbose: bool = False) -> None:
    """Log to the file of the instance, and to standard error as far as a person wants to read it."""
    root = close_logs()
    root.setLevel(logging.INFO)
    root.propagate = False
    screen = logging.StreamHandler()
    screen.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    screen.setLevel(logging.ERROR if quiet else logging.INFO)
    screen.addFilter(lambda entry: _is_for_people(entry, quiet, verbose))
    root.addHandler(screen)
    try:
        file = logging.FileHandler(os.path.join(config.LOGS, f"{instance.name}.log"))
    except OSError as error:
        logging.getLogger(__name__).warning("no log file: %s", error)
        return
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s [%(process)d] %(message)s"))
    root.addHandler(file)


def close_logs() -> logging.Logger:
    """Take every handler off the package's logger, which is returned."""
    root = logging.getLogger(__name__.rpartition(".")[0])
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    return root


def _is_for_people(entry: logging.LogRecord, quiet: bool, verbose: bool) -> bool:
    if entry.name.endswith(".jobs") and not quiet:
        return entry.levelno == logging.WARNING  # how the job ended is what the command itself prints
    return verbose or entry.levelno >= logging.WARNING or not entry.name.endswith(".process")
