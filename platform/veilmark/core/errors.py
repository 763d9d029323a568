"""Every refusal of the platform that a person can act on: what was wrong, where, what to do next.

Errors::

    ApplicationError          400  a request or an argument that cannot be used
    +-- NotAllowedError       403  this person may not do this
    +-- NotFoundError         404  there is no such thing (or this person may not know of it)
    +-- StateError            409  the thing is not in a state in which this can be done
    +-- IntegrityError        409  what is stored is not what was written
    +-- LockedError           429  too many wrong attempts
    +-- ConfigurationError    500  the installation lacks something

The pure packages have trees of their own (GeneratorError, AuditError, PolicyError, DicomError, CryptoError,
ProvenanceError, ClientError) of the same shape; `refusal_of` maps them.
"""

from __future__ import annotations


def one_line(what: str, *, where: str = "", remedy: str = "") -> str:
    return "; ".join(part for part in (f"{where}: {what}" if where else what, remedy) if part)


class ApplicationError(Exception):
    """A refusal that a person can act on. `str()` is one line: what, where, what to do."""

    status = 400

    def __init__(self, what: str, *, where: str = "", remedy: str = "", status: int | None = None) -> None:
        self.what, self.where, self.remedy = what, where, remedy
        self.status = status or self.status
        super().__init__(one_line(what, where=where, remedy=remedy))


class NotAllowedError(ApplicationError):
    """This person may not do this."""

    status = 403


class NotFoundError(ApplicationError):
    """There is no such thing, or this person may not know of it."""

    status = 404


class StateError(ApplicationError):
    """The thing is not in a state in which this can be done."""

    status = 409


class IntegrityError(ApplicationError):
    """What is stored is not what was written."""

    status = 409


class LockedError(ApplicationError):
    """Too many wrong attempts."""

    status = 429


class ConfigurationError(ApplicationError):
    """The installation lacks something."""

    status = 500


def refusal_of(error: BaseException) -> ApplicationError | None:
    """The refusal that `error` is, or None where it is a defect.

    The pure packages share a shape, not a base class (they import nothing of the platform), so the shape is asked for.
    """
    if isinstance(error, ApplicationError):
        return error
    parts = [getattr(error, name, None) for name in ("what", "where", "remedy")]
    what, where, remedy = parts
    if isinstance(what, str) and isinstance(where, str) and isinstance(remedy, str):
        return ApplicationError(what, where=where, remedy=remedy)
    return None
