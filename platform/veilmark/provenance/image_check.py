"""One image: is it a file of the release, a changed one, or does it only carry a mark?"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from veilmark.provenance.authenticate import SignedManifest
from veilmark.provenance.digests import content_digest, digest_of
from veilmark.provenance.errors import ProvenanceError
from veilmark.provenance.files import FinalImage, read_final
from veilmark.provenance.log.seen import SeenCheckpoint
from veilmark.provenance.logged import LogCheck, check_logged
from veilmark.provenance.lone_image import verify_alone
from veilmark.provenance.manifest import ImageEntry, Manifest
from veilmark.provenance.resemblance import shows_the_same
from veilmark.provenance.source import BundleSource
from veilmark.provenance.tracing.check import authenticate
from veilmark.provenance.trust import TrustRoot
from veilmark.provenance.verdict import Problem, Verdict, Verification
from veilmark.provenance.watermark import PUBLIC_DETECTION_KEY, Detection, MarkId, detect_mark


@dataclass(frozen=True, kw_only=True)
class _Match:
    verdict: Verdict
    image: ImageEntry | None
    what: str = ""
    detection: Detection | None = None


def verify_image(
    data: bytes,
    *,
    where: str,
    source: BundleSource | None,
    trust_root: TrustRoot | None,
    revoked: Collection[str] = (),
    seen: SeenCheckpoint | None = None,
    key: bytes = PUBLIC_DETECTION_KEY,
) -> Verification:
    """Check the bytes of one image file, against a bundle where one is given. Raises ProvenanceError."""
    if source is None:
        return verify_alone(data, where=where, trust_root=trust_root, revoked=revoked, key=key)
    final = read_final(data, where=where)
    signed = authenticate(source, trust_root, revoked=revoked)
    if signed.manifest is None:
        return Verification(verdict=Verdict.UNDETERMINED, problems=signed.problems)
    match = _match(data, final, signed.manifest, source, key)
    log = check_logged(source, signed.manifest, trust_root.identities, seen) if trust_root else LogCheck()
    doubts = (*log.problems, *log.doubts)
    problems = (*signed.problems, *([Problem(where=where, what=match.what)] if match.what else []), *doubts)
    return Verification(
        verdict=_verdict(match, signed, is_logged=not doubts),
        problems=problems,
        release_id=signed.manifest.release_id,
        image_id=match.image.image_id if match.image else "",
        n_images=1,
        proven_time=signed.proven_time if match.image else None,
        grant_id=signed.grant_id if match.image else "",
        detection=match.detection,
    )


def _verdict(match: _Match, signed: SignedManifest, *, is_logged: bool) -> Verdict:
    if match.image is None:
        return match.verdict
    if not signed.is_signed:
        return Verdict.UNDETERMINED
    is_ours = match.verdict in {Verdict.AUTHENTIC, Verdict.ALTERED}
    if signed.is_recalled and is_ours:
        return Verdict.RECALLED
    return match.verdict if is_logged or not is_ours else Verdict.UNDETERMINED


def _match(data: bytes, final: FinalImage, manifest: Manifest, source: BundleSource, key: bytes) -> _Match:
    """By the file's digest, then by its content's, then by its mark."""
    digest = digest_of(data)
    for image in manifest.images:
        if any(entry.digest == digest for entry in image.files):
            return _Match(verdict=Verdict.AUTHENTIC, image=image)
    content = content_digest(final.pixels, final.metadata) if final.metadata else ""
    for image in manifest.images:
        if image.content_digest == content:
            what = "pixels and metadata are as signed, other bytes of the file are not"
            return _Match(verdict=Verdict.ALTERED, image=image, what=what)
    return _match_by_mark(final, manifest, source, key)


def _match_by_mark(final: FinalImage, manifest: Manifest, source: BundleSource, key: bytes) -> _Match:
    by_mark = {MarkId.from_hex(image.mark_id): image for image in manifest.images if image.mark_id}
    detection = detect_mark(final.pixels, key=key, known_ids=list(by_mark))
    if detection.id is None:
        return _Match(verdict=Verdict.UNMARKED, image=None, detection=detection)
    image = by_mark.get(detection.id)
    if image is None:
        what = f"carries the mark {detection.id}, which is not of this release"
        return _Match(verdict=Verdict.MARK_ONLY, image=None, what=what, detection=detection)
    original = _original(image, source)
    if original is None:
        what = f"carries the mark of {image.image_id}, whose file in the bundle is missing or altered"
        return _Match(verdict=Verdict.MARK_ONLY, image=None, what=what, detection=detection)
    if shows_the_same(final.pixels, original.pixels):
        what = f"is {image.image_id} with changed pixels or metadata"
        return _Match(verdict=Verdict.ALTERED, image=image, what=what, detection=detection)
    what = f"mark of {image.image_id} present, content does not match"
    return _Match(verdict=Verdict.COPIED_MARK, image=image, what=what, detection=detection)


def _original(image: ImageEntry, source: BundleSource) -> FinalImage | None:
    for entry in image.files:
        try:
            data = source.read(entry.path)
            if digest_of(data) == entry.digest:
                return read_final(data, where=entry.path)
        except ProvenanceError:
            continue
    return None
