"""The images of a bundle, each for itself: its files' content, its proof, its signature; every file read once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from veilmark.provenance.digests import content_digest, digest_of
from veilmark.provenance.envelope import envelope_signature, verify_envelope
from veilmark.provenance.errors import FileError, ProvenanceError
from veilmark.provenance.files import read_final
from veilmark.provenance.identity import Identity
from veilmark.provenance.layout import envelope_name, is_grant_copy, proof_name
from veilmark.provenance.manifest import ImageEntry, Manifest
from veilmark.provenance.parallel import Progress, each
from veilmark.provenance.predicates import IMAGE_PREDICATE
from veilmark.provenance.proofs import parse_proof
from veilmark.provenance.source import BundleSource, open_bundle
from veilmark.provenance.statements import image_statement
from veilmark.provenance.verdict import Problem


@dataclass(frozen=True, kw_only=True)
class CheckedImage:
    """`digests` of the files that were read, by path; `is_signed` by one of the trusted identities."""

    digests: Mapping[str, str]
    problems: tuple[Problem, ...]
    is_signed: bool


@dataclass(frozen=True, kw_only=True)
class _Checker:
    source: BundleSource
    release_id: str
    merkle_root: str
    n_images: int
    identities: Collection[Identity]
    is_copy: bool


def check_images(
    source: BundleSource,
    manifest: Manifest,
    identities: Collection[Identity],
    *,
    n_processes: int = 1,
    progress: Progress,
) -> Iterator[CheckedImage]:
    """One result for each image of the manifest. Without identities signatures are not looked at."""
    terms = partial(
        _Checker,
        release_id=manifest.release_id,
        merkle_root=manifest.merkle_root,
        n_images=len(manifest.images),
        identities=tuple(identities),
        is_copy=is_grant_copy(source.sizes),
    )
    setup = partial(_opened, Path(source.where) if n_processes > 1 else source, terms)
    items = list(enumerate(manifest.images))
    return each(_check, items, setup=setup, n_processes=n_processes, progress=progress)


_Find = Callable[[_Checker, bytes, str, ImageEntry, int], str]


@contextmanager
def _opened(bundle: Path | BundleSource, terms: partial[_Checker]) -> Iterator[_Checker]:
    """Each process opens the bundle for itself; where there is but one, it is open already."""
    with open_bundle(bundle) if isinstance(bundle, Path) else nullcontext(bundle) as source:
        yield terms(source=source)


def _check(checker: _Checker, item: tuple[int, ImageEntry]) -> CheckedImage:
    index, image = item
    find_problem: dict[str, _Find] = {entry.path: _content_problem for entry in image.files}
    if not checker.is_copy:  # the one statement over a copy's manifest covers its images
        find_problem |= {proof_name(image.image_id): _proof_problem, envelope_name(image.image_id): _signature_problem}
    digests, problems = {}, {}
    for name, find in find_problem.items():
        try:
            _check_size(checker.source, name, image)
            data = checker.source.read(name)
            digests[name] = digest_of(data)
            what = find(checker, data, name, image, index)
        except ProvenanceError as error:
            what = error.what
        if what:
            problems[name] = Problem(where=name, what=what)
    is_signed = bool(checker.identities) and not checker.is_copy and envelope_name(image.image_id) not in problems
    return CheckedImage(digests=digests, problems=tuple(problems.values()), is_signed=is_signed)


def _check_size(source: BundleSource, name: str, image: ImageEntry) -> None:
    """A file of another size is altered: it need not be unpacked to see that."""
    signed = next((entry.size for entry in image.files if entry.path == name), None)
    if signed is not None and source.sizes.get(name, signed) != signed:
        raise FileError(f"has {source.sizes[name]} bytes, not the {signed} that were signed", where=name)


def _content_problem(_checker: _Checker, data: bytes, name: str, image: ImageEntry, _index: int) -> str:
    final = read_final(data, where=name)
    if final.metadata is None:
        return "carries no metadata of ours"
    same = content_digest(final.pixels, final.metadata) == image.content_digest
    return "" if same else "its pixels or metadata are not those endorsed"


def _proof_problem(checker: _Checker, data: bytes, name: str, image: ImageEntry, index: int) -> str:
    proof = parse_proof(data, where=name)
    is_its = (proof.content_digest, proof.index, proof.n_leaves) == (image.content_digest, index, checker.n_images)
    return "" if is_its and proof.leads_to(checker.merkle_root) else "does not lead to the release's Merkle root"


def _signature_problem(checker: _Checker, data: bytes, name: str, image: ImageEntry, _index: int) -> str:
    if not checker.identities:
        return ""
    statement = verify_envelope(data, checker.identities, predicate_type=IMAGE_PREDICATE, where=name)
    if statement != image_statement(image, release_id=checker.release_id):
        return "signs something other than this image"
    is_listed = envelope_signature(data, where=name) == image.signature
    return "" if is_listed else "is not the signature that the manifest lists"
