"""What this package refuses.

Errors::

    ProvenanceError           what was wrong, where, what to do next
    +-- MarkError             an image, a key or an id that the watermark cannot work with
    +-- FileError             an image file that cannot be read or written
    +-- FormatError           JSON (manifest, envelope, proof, trust root) that breaks its schema
    +-- SignatureError        a signature that does not verify
    |   +-- UnknownKeyError   a signature by a key that the trust root does not hold
    |   +-- RevokedKeyError   a signature by a key that the trust root revokes
    |   +-- DowngradeError    a signature that its kind of statement must have, and that is not there
    |   +-- StampError        a time stamp that cannot be had or does not verify
    +-- RootsError            roots by The Update Framework that are stale, rolled back or not signed as they must be
    +-- BundleError           a bundle that cannot be built or opened
    +-- LogError              a transparency log that is damaged or cannot grow
"""


class ProvenanceError(Exception):
    """A refusal that a person can act on. `str()` is one line: where, what, what to do."""

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__("; ".join(part for part in (f"{where}: {what}" if where else what, remedy) if part))


class MarkError(ProvenanceError):
    """An image, a key or an id that the watermark cannot work with."""


class FileError(ProvenanceError):
    """An image file that cannot be read or written."""


class FormatError(ProvenanceError):
    """JSON that breaks its schema."""


class SignatureError(ProvenanceError):
    """A signature that does not verify."""


class UnknownKeyError(SignatureError):
    """A signature by a key that the trust root does not hold."""


class RevokedKeyError(SignatureError):
    """A signature by a key that the trust root revokes."""


class DowngradeError(SignatureError):
    """A signature that its kind of statement must have, and that is not there."""


class StampError(SignatureError):
    """A time stamp that cannot be had or does not verify."""


class RootsError(ProvenanceError):
    """Roots by The Update Framework that are stale, rolled back or not signed as they must be."""


class BundleError(ProvenanceError):
    """A bundle that cannot be built or opened."""


class LogError(ProvenanceError):
    """A transparency log that is damaged or cannot grow."""
