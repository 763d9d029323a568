"""The hash chain: what a digest covers, and the signed head that lies outside the database.

Each event's digest covers its fields and the digest before it, so an edit, a removal or a reorder breaks the chain;
each digest is signed, so a rewritten chain has no signature; the newest event's digest also stands in a file (the
head), signed under another prefix than the events are, so a cut tail shows and no old event's signature makes a head.
A head that lags behind is no fault (a process may die between the commit and the file): the events after it carry
their own signatures. Whoever kept an earlier head and can write both places can go back to it; only a copy of the
head elsewhere shows that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.conf import settings

from veilmark.core.files import folder_lock, write_atomically
from veilmark.core.keys import signing_key
from veilmark.ledger.models import Event

GENESIS = "sha256:" + "0" * 64
KEY_NAME = "ledger"


def canonical(value: object) -> str:
    """JSON with one spelling: sorted keys, no spaces, ASCII, no NaN. Raises ValueError, TypeError."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_of(event: Event) -> str:
    """`sha256:<hex>` over canonical JSON of the event's fields."""
    fields: Mapping[str, object] = {
        "sequence": event.sequence,
        "kind": event.kind,
        "actor": str(event.actor_id or ""),
        "subject_type": event.subject_type,
        "subject_id": event.subject_id,
        "payload": event.payload_text,
        "created_at": event.created_at.isoformat(timespec="microseconds"),
        "previous_digest": event.previous_digest,
    }
    return "sha256:" + sha256(canonical(fields).encode()).hexdigest()


def sign(text: str) -> str:
    """Ed25519 over the text (an event's digest, a head's claim), in hex."""
    return signing_key(KEY_NAME).sign(text.encode()).hex()


def public_key() -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(signing_key(KEY_NAME).public_key_bytes)


def is_signed(text: str, signature: str, key: Ed25519PublicKey) -> bool:
    try:
        key.verify(bytes.fromhex(signature), text.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


@dataclass(frozen=True, kw_only=True)
class Head:
    """The newest event as it stood when its transaction was committed. signature: Ed25519 over `claim`, in hex."""

    sequence: int
    digest: str
    signature: str = ""

    @property
    def claim(self) -> str:
        return f"veilmark ledger head {self.sequence} {self.digest}"


def head_path() -> Path:
    return Path(settings.VEILMARK_VAR) / "ledger" / "head.json"


def head_read() -> Head | None:
    """The head, or None where there is no file. Raises ValueError where the file is no head."""
    try:
        fields = json.loads(head_path().read_text())
        return Head(sequence=int(fields["sequence"]), digest=str(fields["digest"]), signature=str(fields["signature"]))
    except FileNotFoundError:
        return None
    except (KeyError, TypeError) as error:
        raise ValueError("no ledger head") from error


def head_write(head: Head) -> None:
    """Sign and keep `head` unless a later one is there already: commits of two processes may arrive in either order."""
    path = head_path()
    with folder_lock(path.parent):
        try:
            present = head_read()
        except ValueError:
            return  # a damaged head is evidence: `ledger_verify` reports it, and nothing paints over it
        if present is None or present.sequence < head.sequence:
            signed = replace(head, signature=sign(head.claim))
            write_atomically(path, canonical(asdict(signed)).encode())
