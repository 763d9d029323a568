"""Whole bundles: every file's digest, every image's content, signature and proof; nothing missing, nothing more."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from veilmark.provenance.digests import digest_of
from veilmark.provenance.errors import ProvenanceError
from veilmark.provenance.images_check import CheckedImage, check_images
from veilmark.provenance.layout import (
    CHECKPOINT_NAME,
    GRANT_ENVELOPE,
    LOG_PROOF_NAME,
    RECALL_NAME,
    RELEASE_ENVELOPE,
    RELEASE_PART,
    STAMP_NAME,
    is_grant_copy,
)
from veilmark.provenance.log.seen import SeenCheckpoint
from veilmark.provenance.logged import LogCheck, check_logged
from veilmark.provenance.manifest import FileEntry, Manifest
from veilmark.provenance.parallel import Progress, no_progress
from veilmark.provenance.proofs import content_tree, root_digest
from veilmark.provenance.source import BundleSource
from veilmark.provenance.statements import MANIFEST_NAME
from veilmark.provenance.tracing.check import authenticate
from veilmark.provenance.trust import TrustRoot
from veilmark.provenance.verdict import Problem, Verdict, Verification

_SIGNED_OTHERWISE = {MANIFEST_NAME, RELEASE_ENVELOPE, RECALL_NAME, STAMP_NAME}
_COPY_SIGNED_OTHERWISE = {
    MANIFEST_NAME,
    GRANT_ENVELOPE,
    CHECKPOINT_NAME,
    LOG_PROOF_NAME,
    f"{RELEASE_PART}{RECALL_NAME}",
}


def verify_bundle(
    source: BundleSource,
    trust_root: TrustRoot | None,
    *,
    revoked: Collection[str] = (),
    seen: SeenCheckpoint | None = None,
    n_processes: int = 1,
    progress: Progress = no_progress,
) -> Verification:
    """Check everything but the marks. Raises ProvenanceError where there is no manifest to check against."""
    signed = authenticate(source, trust_root, revoked=revoked)
    manifest = signed.manifest
    if manifest is None:
        verdict = _verdict(is_ours=signed.has_our_envelope, is_recalled=signed.is_recalled, has_problems=True)
        return Verification(verdict=verdict, problems=_first_of_each_file(signed.problems))
    identities = trust_root.identities if trust_root else ()
    images = list(check_images(source, manifest, identities, n_processes=n_processes, progress=progress))
    log = check_logged(source, manifest, identities, seen) if identities else LogCheck()
    problems = [*signed.problems, *_file_problems(source, manifest, images), *_root_problems(manifest)]
    problems += [problem for image in images for problem in image.problems]
    problems += log.problems
    is_ours = signed.has_our_envelope or any(image.is_signed for image in images)
    return Verification(
        verdict=_verdict(
            is_ours=is_ours,
            is_recalled=signed.is_recalled,
            has_problems=bool(problems),
            has_doubts=bool(log.doubts),
        ),
        problems=_first_of_each_file([*problems, *log.doubts]),
        release_id=manifest.release_id,
        n_images=len(manifest.images),
        proven_time=signed.proven_time,
        grant_id=signed.grant_id,
    )


def _first_of_each_file(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """A damaged file fails several checks; the first says what happened to it."""
    first: dict[str, Problem] = {}
    for problem in problems:
        first.setdefault(problem.where, problem)
    return tuple(first.values())


def _verdict(*, is_ours: bool, is_recalled: bool, has_problems: bool, has_doubts: bool = False) -> Verdict:
    if not is_ours:
        return Verdict.UNDETERMINED
    if is_recalled:
        return Verdict.RECALLED
    if has_problems:
        return Verdict.ALTERED
    return Verdict.UNDETERMINED if has_doubts else Verdict.AUTHENTIC


def _file_problems(source: BundleSource, manifest: Manifest, images: Sequence[CheckedImage]) -> Iterator[Problem]:
    listed = {entry.path: entry for entry in manifest.all_files()}
    digests = _Digests(source, images, {entry.size for entry in listed.values()})
    owner = {entry.digest: entry.path for entry in listed.values()}
    missing = [path for path in listed if path not in source.sizes]
    for path in missing:
        yield Problem(where=path, what="is missing")
    others = _COPY_SIGNED_OTHERWISE if is_grant_copy(source.sizes) else _SIGNED_OTHERWISE
    for path in sorted(set(source.sizes) - set(listed) - others):
        origin = owner.get(digests.of(path))
        what = f"is {origin} under another name" if origin in missing else "does not belong to the release"
        yield Problem(where=path, what=what)
    for path, entry in listed.items():
        if path in source.sizes and (what := _difference(digests.of(path), entry, owner)):
            yield Problem(where=path, what=what)


def _difference(digest: str, entry: FileEntry, owner: Mapping[str, str]) -> str:
    if digest == entry.digest:
        return ""
    return f"holds what belongs to {owner[digest]}" if digest in owner else "was altered"


class _Digests:
    """Digests of a bundle's files, each read once. What has no listed size is not read: it matches nothing anyway, and
    it may unpack to gigabytes."""

    def __init__(self, source: BundleSource, images: Sequence[CheckedImage], sizes: Collection[int]) -> None:
        self._source, self._sizes = source, sizes
        self._read = {path: digest for image in images for path, digest in image.digests.items()}

    def of(self, path: str) -> str:
        """The digest, or "" for a file that matches nothing or cannot be read."""
        if path not in self._read:
            self._read[path] = self._compute(path)
        return self._read[path]

    def _compute(self, path: str) -> str:
        if self._source.sizes[path] not in self._sizes:
            return ""
        try:
            return digest_of(self._source.read(path))
        except ProvenanceError:
            return ""


def _root_problems(manifest: Manifest) -> Iterator[Problem]:
    tree = content_tree([image.content_digest for image in manifest.images])
    if root_digest(tree) != manifest.merkle_root:
        yield Problem(where=MANIFEST_NAME, what="its Merkle root is not that of its images")
