"""Signed notes (c2sp.org/signed-note): a text, a blank line, and a line for each signature.

Ed25519 signatures (type 0x01) are made and checked; lines by other keys or of other types are passed over, as the
format asks, and a line that claims a trusted key but does not verify refuses the whole note.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Collection

from veilmark.crypto.base import Algorithm, Signer
from veilmark.crypto.signatures import is_signed
from veilmark.provenance.envelope import decode_base64
from veilmark.provenance.errors import FormatError, SignatureError, UnknownKeyError

MAX_NOTE_BYTES = 1 << 18  # many post-quantum signatures fit
_ED25519 = b"\x01"
_DASH = "\N{EM DASH} "
_LINE = re.compile(r"\u2014 (\S+) (\S+)")


def note_key_id(name: str, public_key: bytes) -> bytes:
    """The 4 bytes by which a signature line names an Ed25519 key. No digest: it only says which key to try."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public_key).digest()[:4]


def sign_note(text: str, signer: Signer, *, name: str) -> bytes:
    """The note of `text` (which ends in a newline) with one signature, by the key called `name`. Raises FormatError."""
    check_note_name(name)
    signature = note_key_id(name, signer.public_key_bytes) + signer.sign(text.encode())
    return f"{text}\n{_DASH}{name} {base64.b64encode(signature).decode()}\n".encode()


def verify_note(note: bytes, *, name: str, public_keys: Collection[bytes], where: str) -> str:
    """The text, where one of the raw Ed25519 `public_keys` signed it under `name`.

    Raises FormatError, UnknownKeyError (none of them signed) and SignatureError (one that should have did not).
    """
    text, lines = split_note(note, where=where)
    known = {note_key_id(name, key): key for key in public_keys}
    signed = [signature for signer, signature in lines if signer == name and signature[:4] in known]
    if not signed:
        raise UnknownKeyError(f"is not signed by a trusted key of {name[:80]!r}", where=where)
    for signature in signed:
        key = known[signature[:4]]
        if not is_signed(text.encode(), signature[4:], public_key=key, algorithm=Algorithm.ED25519):
            raise SignatureError("the signature does not verify", where=where)
    return text


def split_note(note: bytes, *, where: str) -> tuple[str, list[tuple[str, bytes]]]:
    """The text, and of each signature line the key's name and the bytes, nothing verified. Raises FormatError."""
    if len(note) > MAX_NOTE_BYTES:
        raise FormatError(f"larger than {MAX_NOTE_BYTES} bytes", where=where)
    try:
        whole = note.decode()
    except UnicodeDecodeError as error:
        raise FormatError("is no UTF-8 text", where=where) from error
    head, blank, tail = whole.rpartition("\n\n")
    if not blank or not tail.endswith("\n") or any(sign < " " and sign != "\n" for sign in whole):
        raise FormatError("is no signed note", where=where)
    return f"{head}\n", [_signature(line, where) for line in tail[:-1].split("\n")]


def check_note_name(name: str) -> str:
    """A key's name, without spaces and plus signs. Raises FormatError."""
    if not name or len(name) > 200 or not name.isprintable() or any(sign.isspace() or sign == "+" for sign in name):
        raise FormatError(f"{name[:80]!r} is no name without spaces and plus signs")
    return name


def _signature(line: str, where: str) -> tuple[str, bytes]:
    found = _LINE.fullmatch(line)
    if not found:
        raise FormatError("has a line that is no signature", where=where)
    signature = decode_base64(found[2], where=where)
    if len(signature) < 5:
        raise FormatError("has a signature without bytes", where=where)
    return found[1], signature
