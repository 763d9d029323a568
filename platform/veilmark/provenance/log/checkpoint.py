"""Checkpoints (c2sp.org/tlog-checkpoint): which log, how many entries, which root; a signed note of three lines."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection
from dataclasses import dataclass

from veilmark.crypto.base import Algorithm, Signer
from veilmark.provenance.envelope import decode_base64
from veilmark.provenance.errors import FormatError
from veilmark.provenance.identity import Identity
from veilmark.provenance.log.notes import check_note_name, sign_note, split_note, verify_note

_SIZE = re.compile(r"0|[1-9][0-9]{0,17}")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The log called `origin` had `size` entries with the Merkle tree hash `root` (32 bytes)."""

    origin: str
    size: int
    root: bytes

    def signed(self, signer: Signer) -> bytes:
        """The file. The key's name is the origin. Raises FormatError."""
        text = f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"
        return sign_note(text, signer, name=self.origin)


def parse_checkpoint(note: bytes, *, where: str) -> Checkpoint:
    """What a checkpoint says, its signatures unverified. Raises FormatError.

    Extension lines are refused: nobody could check them, and this project writes none.
    """
    text, _ = split_note(note, where=where)
    lines = text[:-1].split("\n")
    if len(lines) != 3 or not _SIZE.fullmatch(lines[1]):
        raise FormatError("is no checkpoint of origin, size and root", where=where)
    root = decode_base64(lines[2], where=where)
    if len(root) != 32:
        raise FormatError("names a root that is no SHA-256", where=where)
    return Checkpoint(origin=check_note_name(lines[0]), size=int(lines[1]), root=root)


def verify_checkpoint(note: bytes, identities: Collection[Identity], *, where: str) -> Checkpoint:
    """What a checkpoint says that a trusted identity signed and none revoked. Raises FormatError, SignatureError."""
    checkpoint = parse_checkpoint(note, where=where)
    keys = [identity.keys[Algorithm.ED25519] for identity in identities if not identity.revoked_at]
    verify_note(note, name=checkpoint.origin, public_keys=keys, where=where)
    return checkpoint
