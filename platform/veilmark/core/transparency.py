"""The installation's transparency log: every image that was ever released here, in `var/log`.

The folder is the log as C2SP's tlog-tiles lay it out: copied to any web server, it can be mirrored and watched.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from django.conf import settings

from veilmark.core.keys import site_identity
from veilmark.provenance.log.reader import Logged
from veilmark.provenance.log.writer import TransparencyLog


def log_folder() -> Path:
    """Where the log lies; `checkpoint` in it is the file to publish."""
    return Path(settings.VEILMARK_VAR) / "log"


def site_log() -> TransparencyLog:
    """The log, and the key that signs its checkpoints: whoever can sign a release needs no second one to log it.

    A new log is named after that key, an old one keeps its name.
    """
    signer = site_identity().ed25519
    name = signer.key_id.removeprefix("sha256:")[:16]
    return TransparencyLog(folder=log_folder(), signer=signer, origin=f"veilmark.invalid/log/{name}")


def log_append(entries: Sequence[bytes]) -> Logged:
    """Add entries (`veilmark.provenance.log.entries`) to the log, on disk when this returns. Raises ProvenanceError."""
    return site_log().append(entries)
