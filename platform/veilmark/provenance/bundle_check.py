"""Whole bundles: every file's digest, every image's content, signature and proof; nothing missing, nothing more."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from veilmark.provenance.authenticate import authenticate
from veilmark.provenance.digests import content_digest, digest_of
from veilmark.provenance.envelope import envelope_signature, verify_envelope
from veilmark.provenance.errors import ProvenanceError
from veilmark.provenance.files import read_final
from veilmark.provenance.identity import Identity
from veilmark.provenance.layout import RECALL_NAME, RELEASE_ENVELOPE, envelope_name, proof_name
from veilmark.provenance.log.seen import SeenCheckpoint
from veilmark.provenance.logged import LogCheck, check_logged
from veilmark.provenance.manifest import FileEntry, ImageEntry, Manifest
from veilmark.provenance.predicates import IMAGE_PREDICATE
from veilmark.provenance.proofs import InclusionProof, content_tree, parse_proof, root_digest
from veilmark.provenance.source import BundleSource
from veilmark.provenance.statements import MANIFEST_NAME, image_statement
from veilmark.provenance.trust import TrustRoot
from veilmark.provenance.verdict import Problem, Verdict, Verification

_SIGNED_OTHERWISE = {MANIFEST_NAME, RELEASE_ENVELOPE, RECALL_NAME}


def verify_bundle(
    source: BundleSource,
    trust_root: TrustRoot | None,
    *,
    revoked: Collection[str] = (),
    seen: SeenCheckpoint | None = None,
) -> Verification:
    """Check everything but the marks. Raises ProvenanceError where there is no manifest to check against."""
    signed = authenticate(source, trust_root, revoked=revoked)
    problems, log = list(signed.problems), LogCheck()
    is_ours = signed.has_our_envelope
    if (manifest := signed.manifest) is not None:
        problems += _file_problems(source, manifest)
        problems += _content_problems(source, manifest)
        if trust_root:
            signature_problems = list(_signature_problems(source, manifest, trust_root.identities))
            is_ours = is_ours or len({problem.where for problem in signature_problems}) < len(manifest.images)
            problems += signature_problems
            log = check_logged(source, manifest, trust_root.identities, seen)
            problems += log.problems
    return Verification(
        verdict=_verdict(
            is_ours=is_ours, is_recalled=signed.is_recalled, has_problems=bool(problems), has_doubts=bool(log.doubts)
        ),
        problems=_first_of_each_file([*problems, *log.doubts]),
        release_id=manifest.release_id if manifest else "",
        n_images=len(manifest.images) if manifest else 0,
    )


def _first_of_each_file(problems: list[Problem]) -> tuple[Problem, ...]:
    """A damaged file fails several checks; the first says what happened to it."""
    first: dict[str, Problem] = {}
    for problem in problems:
        first.setdefault(problem.where, problem)
    return tuple(first.values())


def _verdict(*, is_ours: bool, is_recalled: bool, has_problems: bool, has_doubts: bool) -> Verdict:
    if not is_ours:
        return Verdict.UNDETERMINED
    if is_recalled:
        return Verdict.RECALLED
    if has_problems:
        return Verdict.ALTERED
    return Verdict.UNDETERMINED if has_doubts else Verdict.AUTHENTIC


def _file_problems(source: BundleSource, manifest: Manifest) -> Iterator[Problem]:
    listed = {entry.path: entry for entry in manifest.all_files()}
    owner = {entry.digest: entry.path for entry in listed.values()}
    missing = [path for path in listed if path not in source.sizes]
    for path in missing:
        yield Problem(where=path, what="is missing")
    for path in sorted(set(source.sizes) - set(listed) - _SIGNED_OTHERWISE):
        origin = owner.get(_digest(source, path))
        what = f"is {origin} under another name" if origin in missing else "does not belong to the release"
        yield Problem(where=path, what=what)
    for path, entry in listed.items():
        if path in source.sizes and (what := _difference(source, entry, owner)):
            yield Problem(where=path, what=what)


def _difference(source: BundleSource, entry: FileEntry, owner: Mapping[str, str]) -> str:
    digest = _digest(source, entry.path)
    if digest == entry.digest:
        return ""
    return f"holds what belongs to {owner[digest]}" if digest in owner else "was altered"


def _digest(source: BundleSource, path: str) -> str:
    try:
        return digest_of(source.read(path))
    except ProvenanceError:
        return ""


def _content_problems(source: BundleSource, manifest: Manifest) -> Iterator[Problem]:
    tree = content_tree([image.content_digest for image in manifest.images])
    if root_digest(tree) != manifest.merkle_root:
        yield Problem(where=MANIFEST_NAME, what="its Merkle root is not that of its images")
    for index, image in enumerate(manifest.images):
        expected = InclusionProof(
            content_digest=image.content_digest,
            index=index,
            n_leaves=len(tree),
            hashes=tuple(tree.inclusion_proof(index)),
        )
        name = proof_name(image.image_id)
        if what := _proof_difference(source, name, expected, manifest.merkle_root):
            yield Problem(where=name, what=what)
        for entry in image.files:
            if entry.path in source.sizes and (what := _content_difference(source, entry.path, image)):
                yield Problem(where=entry.path, what=what)


def _proof_difference(source: BundleSource, name: str, expected: InclusionProof, merkle_root: str) -> str:
    try:
        proof = parse_proof(source.read(name), where=name)
    except ProvenanceError as error:
        return error.what
    return "" if proof == expected and proof.leads_to(merkle_root) else "does not lead to the release's Merkle root"


def _content_difference(source: BundleSource, path: str, image: ImageEntry) -> str:
    try:
        final = read_final(source.read(path), where=path)
    except ProvenanceError as error:
        return error.what
    if final.metadata is None:
        return "carries no metadata of ours"
    same = content_digest(final.pixels, final.metadata) == image.content_digest
    return "" if same else "its pixels or metadata are not those endorsed"


def _signature_problems(source: BundleSource, manifest: Manifest, trusted: Collection[Identity]) -> Iterator[Problem]:
    for image in manifest.images:
        name = envelope_name(image.image_id)
        try:
            envelope = source.read(name)
            statement = verify_envelope(envelope, trusted, predicate_type=IMAGE_PREDICATE, where=name)
        except ProvenanceError as error:
            yield Problem(where=name, what=error.what)
            continue
        if statement != image_statement(image, release_id=manifest.release_id):
            yield Problem(where=name, what="signs something other than this image")
        elif envelope_signature(envelope, where=name) != image.signature:
            yield Problem(where=name, what="is not the signature that the manifest lists")
