"""Who signed a bundle's manifest, be it a release or a grant's copy of one.

A copy is ours where one trusted identity signed that its manifest belongs to a release's, and a trusted identity signed
that release: image by image they must bear the same ids and marks, and the documents must be the release's own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from veilmark.provenance import authenticate as of_release
from veilmark.provenance.authenticate import SignedManifest
from veilmark.provenance.digests import check_name, digest_of
from veilmark.provenance.envelope import Statement
from veilmark.provenance.errors import FileError, FormatError
from veilmark.provenance.layout import GRANT_ENVELOPE, RELEASE_PART, is_grant_copy
from veilmark.provenance.manifest import Manifest
from veilmark.provenance.predicates import GRANT_PREDICATE
from veilmark.provenance.source import BundleSource
from veilmark.provenance.statements import MANIFEST_NAME, grant_statement
from veilmark.provenance.strict_json import take
from veilmark.provenance.tracing.copies import documents_of
from veilmark.provenance.trust import TrustRoot
from veilmark.provenance.verdict import Problem


def authenticate(source: BundleSource, trust_root: TrustRoot | None, *, revoked: Collection[str]) -> SignedManifest:
    """As `veilmark.provenance.authenticate.authenticate`, of a release or of a grant's copy."""
    if not is_grant_copy(source.sizes):
        return of_release.authenticate(source, trust_root, revoked=revoked)
    claim, problems = _claim(source, trust_root)
    data = of_release.read_or_name(source, MANIFEST_NAME, problems, must=claim is None)
    manifest = of_release.read_manifest(data, must=claim is None)
    part = _ReleasePart(source)
    release = of_release.authenticate(part, trust_root, revoked=revoked, is_ours=claim is not None)
    problems += [Problem(where=f"{RELEASE_PART}{problem.where}", what=problem.what) for problem in release.problems]
    grant_id, release_digest, is_signed = "", "", False
    if claim and manifest:
        grant_id = _grant_id(claim, problems)
        release_digest = _release_digest(part, claim)
        is_signed = bool(grant_id) and claim == grant_statement(
            manifest, manifest_digest=digest_of(data), release_digest=release_digest, grant_id=grant_id
        )
    if claim and data and not is_signed:
        problems.append(Problem(where=MANIFEST_NAME, what=f"is not what {GRANT_ENVELOPE} signs"))
    if manifest and release.manifest:
        problems += _differences(manifest, release.manifest)
    is_taken_back = manifest is not None and bool({manifest.release_id, digest_of(data), release_digest} & set(revoked))
    return SignedManifest(
        manifest=manifest,
        has_our_envelope=claim is not None,
        is_signed=is_signed and release.is_signed,
        is_recalled=release.is_recalled or is_taken_back,
        proven_time=release.proven_time,
        problems=tuple(problems),
        grant_id=grant_id,
    )


@dataclass(frozen=True)
class _ReleasePart:
    """What a copy holds of its release, as a bundle."""

    copy: BundleSource

    @property
    def where(self) -> str:
        return f"{self.copy.where}: {RELEASE_PART}"

    @property
    def sizes(self) -> Mapping[str, int]:
        sizes = self.copy.sizes.items()
        return {name.removeprefix(RELEASE_PART): size for name, size in sizes if name.startswith(RELEASE_PART)}

    def read(self, name: str) -> bytes:
        if name not in self.sizes:
            raise FileError("is missing", where=f"{RELEASE_PART}{name}")
        return self.copy.read(f"{RELEASE_PART}{name}")


def _claim(source: BundleSource, trust_root: TrustRoot | None) -> tuple[Statement | None, list[Problem]]:
    if trust_root is None:
        return None, []
    return of_release.read_claim(source, GRANT_ENVELOPE, trust_root.identities, predicate_type=GRANT_PREDICATE)


def _grant_id(claim: Statement, problems: list[Problem]) -> str:
    try:
        return check_name(take(claim.predicate, "grant_id", str, where=GRANT_ENVELOPE), where=GRANT_ENVELOPE)
    except FormatError as error:
        problems.append(Problem(where=GRANT_ENVELOPE, what=error.what))
        return ""


def _release_digest(part: BundleSource, claim: Statement) -> str:
    """Of the release's manifest that the copy holds; where it was taken away, of the one that the claim names."""
    if MANIFEST_NAME in part.sizes:
        return digest_of(part.read(MANIFEST_NAME))
    return str(claim.predicate.get("release_manifest", ""))


def _differences(copy: Manifest, release: Manifest) -> Iterator[Problem]:
    """Signed or not, a copy shows its release's images and documents."""
    ours = [(image.image_id, image.mark_id) for image in copy.images]
    if ours != [(image.image_id, image.mark_id) for image in release.images]:
        yield Problem(where=MANIFEST_NAME, what="its images are not those of the release")
    digests = {entry.path: entry.digest for entry in copy.files}
    for entry in documents_of(release):
        if digests.get(entry.path) != entry.digest:
            yield Problem(where=entry.path, what="is not the release's own")
