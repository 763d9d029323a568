"""The seal of one file, of whatever kind it is. DICOM needs the base install alone, PNG a library beside it."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.serialization import Encoding

from veilmark.crypto.chains import load_certificate
from veilmark.provenance.embedded.dicom_seal import read_dicom_seal
from veilmark.provenance.embedded.seal import Seal, SealState

_PNG = b"\x89PNG\r\n\x1a\n"
_MANIFEST_CHUNK = b"caBX"


def read_seal(data: bytes, roots: Sequence[bytes], *, where: str) -> Seal | None:
    """What the signature inside an image file says under `roots` (certificates, DER); None for a file without one."""
    certificates = [load_certificate(root, where="certificate root") for root in roots]
    if data[128:132] == b"DICM":
        return read_dicom_seal(data, certificates, where=where)
    if not _holds_manifest(data):
        return None
    if not roots:
        return _unread("was not read: no certificate root is pinned")
    try:
        from veilmark.provenance.embedded.c2pa_seal import judge_manifest  # noqa: PLC0415 - not in the base install
    except ImportError:
        return _unread("was not read: that needs a library; pip install c2pa-python")
    return judge_manifest(data, b"".join(root.public_bytes(Encoding.PEM) for root in certificates), where=where)


def _unread(what: str) -> Seal:
    return Seal(kind="C2PA manifest", state=SealState.UNREAD, what=what)


def _holds_manifest(data: bytes) -> bool:
    """Whether a PNG has a chunk of C2PA (C2PA 2.x, section A.3.3)."""
    at = len(_PNG) if data.startswith(_PNG) else len(data)
    while at + 8 <= len(data):
        if data[at + 4 : at + 8] == _MANIFEST_CHUNK:
            return True
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return False
