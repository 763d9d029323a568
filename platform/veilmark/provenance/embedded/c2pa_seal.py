"""Reading the C2PA manifest of one PNG, by the library where it is installed (the `platform` extra)."""

from __future__ import annotations

import io
import json
import os

import c2pa

from veilmark.provenance.embedded.c2pa_manifests import PNG, trusting
from veilmark.provenance.embedded.seal import Seal, SealState
from veilmark.provenance.errors import ProvenanceError
from veilmark.provenance.files import read_final

KIND = "C2PA manifest"
_TRUSTED = "signingCredential.trusted"
_WHOLE = "claimSignature.validated"


def judge_manifest(data: bytes, root_pem: bytes, *, where: str) -> Seal:
    """What the manifest of a PNG says under the root certificates `root_pem`."""
    try:
        reader = c2pa.Reader(PNG.media_type, io.BytesIO(data), None, context=trusting(root_pem, os.getpid()))
        results = reader.get_validation_results()["activeManifest"]
        manifest = json.loads(reader.json())["manifests"][reader.get_active_manifest()["label"]]
    except (c2pa.C2paError, KeyError, TypeError, ValueError) as error:
        what = f"is not believed: cannot be read ({' '.join(str(error).split())[:120]})"
        return Seal(kind=KIND, state=SealState.REFUSED, what=what)
    said = {row["code"] for row in results["success"]}
    failures = sorted(row["code"] for row in results["failure"])
    if not {_TRUSTED, _WHOLE} <= said or any(_concerns_signer(code) for code in failures):
        what = f"is not believed: {', '.join(failures) or 'its signer is not trusted'}"
        return Seal(kind=KIND, state=SealState.REFUSED, what=what)
    signer = str(manifest["signature_info"].get("issuer", ""))
    if not failures:
        return Seal(kind=KIND, state=SealState.VERIFIED, signer=signer)
    changed = dict.fromkeys(failures, "changed")
    if manifest.get("title") != _title(data, where):
        return Seal(kind=KIND, state=SealState.MOVED, what="signs another image", signer=signer, changed=changed)
    return Seal(kind=KIND, state=SealState.ALTERED, what="signs other bytes", signer=signer, changed=changed)


def _concerns_signer(code: str) -> bool:
    return code.startswith(("signingCredential.", "claimSignature.", "algorithm.", "timeStamp."))


def _title(data: bytes, where: str) -> str:
    """What the sealer calls this image: the name of its file in a bundle."""
    try:
        metadata = read_final(data, where=where).metadata
    except ProvenanceError:
        return ""
    return f"{metadata.image_id}{PNG.suffix}" if metadata else ""
