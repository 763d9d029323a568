"""One image without its bundle: judged by the seal inside its file, else by the mark in its pixels.

A seal is one signature by a certificate. It shows that the site signed this file, and neither that two keys signed its
release (a lone file would be the way around the second one), nor that the log holds it, nor that it was not recalled.
So a whole seal is no pass: exit code 15, with a word of its own. What is altered is named by the seal alone.
"""

from __future__ import annotations

from collections.abc import Collection

from veilmark.provenance.digests import ImageMetadata
from veilmark.provenance.embedded.read_seal import read_seal
from veilmark.provenance.embedded.seal import Seal, SealState
from veilmark.provenance.errors import FileError
from veilmark.provenance.files import read_final
from veilmark.provenance.trust import TrustRoot
from veilmark.provenance.verdict import Problem, Verdict, Verification
from veilmark.provenance.watermark import detect_mark

_OF_SEAL = {
    SealState.VERIFIED: Verdict.SEALED,
    SealState.ALTERED: Verdict.ALTERED,
    SealState.MOVED: Verdict.COPIED_MARK,
}


def verify_alone(
    data: bytes, *, where: str, trust_root: TrustRoot | None, revoked: Collection[str], key: bytes
) -> Verification:
    """Judge an image file by itself. `revoked` can name its release by id alone. Raises ProvenanceError."""
    seal = read_seal(data, trust_root.certificate_roots if trust_root else (), where=where)
    if seal is None or seal.state not in _OF_SEAL:
        return _by_mark(data, where, key, seal)
    metadata = _metadata(data, where) if _names_its_release(seal) else None
    verdict = _OF_SEAL[seal.state]
    if metadata and metadata.release_id in revoked:
        verdict = Verdict.RECALLED
    return Verification(
        verdict=verdict,
        problems=_problems(seal, where),
        release_id=metadata.release_id if metadata else "",
        image_id=metadata.image_id if metadata else "",
        n_images=1,
        seal=seal,
    )


def _by_mark(data: bytes, where: str, key: bytes, seal: Seal | None) -> Verification:
    detection = detect_mark(read_final(data, where=where).pixels, key=key)
    if seal and seal.state is SealState.REFUSED:
        problems = (Problem(where=where, what=f"its {seal.kind} {seal.what}"),)
        return Verification(verdict=Verdict.UNDETERMINED, problems=problems, detection=detection, seal=seal)
    verdict = Verdict.MARK_ONLY if detection.detected else Verdict.UNMARKED
    return Verification(verdict=verdict, detection=detection, seal=seal)


def _names_its_release(seal: Seal) -> bool:
    """Whether the seal covers the metadata as the file has it: a manifest of C2PA does not tell what was changed."""
    return seal.state is SealState.VERIFIED or (seal.state is SealState.ALTERED and _is_of_attributes(seal))


def _is_of_attributes(seal: Seal) -> bool:
    return seal.kind == "DICOM signature" and "ImageComments" not in seal.changed


def _metadata(data: bytes, where: str) -> ImageMetadata | None:
    try:
        return read_final(data, where=where).metadata
    except FileError:
        return None


def _problems(seal: Seal, where: str) -> tuple[Problem, ...]:
    if seal.state is SealState.MOVED:
        return (Problem(where=where, what="the seal of another image is present, content does not match"),)
    how = {"changed": "is not as it was sealed", "removed": "was removed", "added": "was added"}
    return tuple(Problem(where=where, what=f"{name} {how[what]}") for name, what in seal.changed.items())
