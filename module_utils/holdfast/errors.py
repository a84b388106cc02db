"""One error type: what went wrong, where, and what to do about it."""

from __future__ import annotations

from typing import Any


class HoldfastError(Exception):
    """An expected failure that a person can act on.

    ``what`` states the failure, ``where`` the instance, host, file or repository, ``remedy`` the next step.
    ``code`` is a stable word for records and alerts. ``retryable`` marks failures that may pass on their own
    (server starting, network), which a job tries again. None of the texts may hold a secret.
    """

    code = "failed"
    exit_code = 1
    retryable = False

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}. {self.remedy}" if self.remedy else text

    def as_dict(self) -> dict[str, Any]:
        """The error as records and JSON hold it."""
        return {"code": self.code, "what": self.what, "where": self.where, "remedy": self.remedy}


class InvalidInput(HoldfastError):
    """Arguments or configuration are wrong; nothing was done."""

    code = "invalid-input"
    exit_code = 2


class NotInstalled(InvalidInput):
    """A program or a driver is missing on this host, as is to be expected before the first run of site.yml."""

    code = "not-installed"


class ServerUnavailable(HoldfastError):
    """The database server does not answer."""

    code = "server-unavailable"
    retryable = True


class AccessDenied(HoldfastError):
    """The server or the repository refuses the credentials."""

    code = "access-denied"


class RepositoryUnavailable(HoldfastError):
    """The repository cannot be reached, read or written."""

    code = "repository-unavailable"
    retryable = True


class RepositoryMissing(RepositoryUnavailable):
    """The place can be reached, and the repository is not there: no second attempt finds it."""

    code = "repository-missing"
    retryable = False


class RepositoryFull(HoldfastError):
    """No space is left where the backup, its log or its scratch copy should go."""

    code = "repository-full"


class WrongKey(HoldfastError):
    """The encryption key is missing or does not open the repository."""

    code = "wrong-key"


class ForeignRepository(HoldfastError):
    """The repository holds backups of another system; writing to it would mix the two."""

    code = "foreign-repository"


class CorruptBackup(HoldfastError):
    """A stored backup does not match its checksums or cannot be restored."""

    code = "corrupt-backup"


class CheckFailed(HoldfastError):
    """A restored instance failed the engine's checker or a data assertion."""

    code = "check-failed"


class ObjectiveMissed(HoldfastError):
    """A restore test went well and took longer, or lost more, than the service level allows."""

    code = "objective-missed"


class TargetNotReached(HoldfastError):
    """A restore ended before its target; the text says how far it got."""

    code = "target-not-reached"


class NotInBackup(HoldfastError):
    """What is to be rescued is not in the backup at that moment."""

    code = "not-in-backup"


class Refused(HoldfastError):
    """A guard stands in the way of something that destroys; nothing was done."""

    code = "refused"
    exit_code = 2


class AuditIncomplete(HoldfastError):
    """Some questions of an audit had no answer; what the others found is kept."""

    code = "audit-incomplete"


class Fenced(HoldfastError):
    """The instance lost its role to another one and is kept from taking writes."""

    code = "fenced"


class RestartRequired(HoldfastError):
    """The server must be restarted by a person before the job can work."""

    code = "restart-required"


class ClockWentBack(HoldfastError):
    """The system clock is behind the newest record."""

    code = "clock-went-back"


class Busy(HoldfastError):
    """Another job holds the lock of this instance."""

    code = "busy"
    exit_code = 75  # EX_TEMPFAIL of sysexits.h


class TimeLimitExceeded(HoldfastError):
    """The job ran longer than its time limit and was stopped."""

    code = "time-limit"


class WindowClosed(HoldfastError):
    """The window of the job ended before the job did, and the job was stopped."""

    code = "window-closed"


class Interrupted(HoldfastError):
    """The job was stopped by a signal."""

    code = "interrupted"


# The end of a whole job, never of one of its steps. No base class: an error finds its class by its code.
STOPS = (TimeLimitExceeded, WindowClosed, Interrupted)


class PackagesUnavailable(HoldfastError):
    """The package repositories of the host do not answer, or lack what they announced."""

    code = "packages-unavailable"


class PatchFailed(HoldfastError):
    """New packages could not be installed, or the server does not work with them; the text says how it is left."""

    code = "patch-failed"


class CommandFailed(HoldfastError):
    """An external command failed for a reason no other class names."""

    code = "command-failed"


class Unsupported(HoldfastError):
    """The engine or tool has no such ability. Reported as "not applicable", never as a pass or a crash."""

    code = "unsupported"
    exit_code = 2

    def __init__(self, engine: str, ability: str, reason: str, *, remedy: str | None = None) -> None:
        super().__init__(f"{ability} is not applicable: {reason}", where=engine, remedy=remedy or "")
        self.ability = ability
        self.reason = reason
