"""Who signed a bundle's manifest, and whether the signer took it back."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from veilmark.provenance.digests import digest_of
from veilmark.provenance.envelope import Statement, verify_envelope
from veilmark.provenance.errors import FileError, FormatError, ProvenanceError
from veilmark.provenance.identity import Identity
from veilmark.provenance.layout import RECALL_NAME, RELEASE_ENVELOPE, STAMP_NAME
from veilmark.provenance.manifest import Manifest, parse_manifest
from veilmark.provenance.predicates import RECALL_PREDICATE, RELEASE_PREDICATE
from veilmark.provenance.source import BundleSource
from veilmark.provenance.statements import MANIFEST_NAME, release_statement
from veilmark.provenance.timestamps import ProvenTime, verify_stamp
from veilmark.provenance.trust import TrustRoot
from veilmark.provenance.verdict import Problem


@dataclass(frozen=True, kw_only=True)
class SignedManifest:
    """`manifest` is None where its bytes are not what was signed and cannot be parsed either. `proven_time`: of the
    release envelope, None where the bundle holds no good time stamp.

    `grant_id`: of the grant that a copy was made for, "" for a release itself.
    `has_our_envelope`: a trusted key signed the release envelope, whatever it says. `is_signed`: it says these bytes.
    """

    manifest: Manifest | None
    has_our_envelope: bool
    is_signed: bool
    is_recalled: bool
    proven_time: ProvenTime | None
    problems: tuple[Problem, ...]
    grant_id: str = ""


def authenticate(
    source: BundleSource, trust_root: TrustRoot | None, *, revoked: Collection[str], is_ours: bool = False
) -> SignedManifest:
    """Check the manifest's signature before believing a word of it. Raises ProvenanceError where nothing can be read.

    `revoked` are release ids or manifest digests that the caller knows to be recalled. `is_ours`: another signature
    shows already that a trusted identity made it, so that a missing manifest is a finding and no bad input.
    """
    trusted = trust_root.identities if trust_root else ()
    statement, problems = _release_claim(source, trusted)
    must = statement is None and not is_ours
    data = read_or_name(source, MANIFEST_NAME, problems, must=must)
    # Of a manifest that was taken away the signature still says which one it was, and so whether it was recalled.
    digest = digest_of(data) if data or statement is None else statement.subjects.get(MANIFEST_NAME, "")
    manifest = read_manifest(data, must=must)
    is_signed = bool(statement and manifest) and statement == (
        release_statement(manifest, manifest_digest=digest) if manifest else None
    )
    if statement and data and not is_signed:
        problems.append(Problem(where=MANIFEST_NAME, what=f"is not what {RELEASE_ENVELOPE} signs"))
    is_recalled = _is_recalled(source, trusted, digest, problems) or digest in revoked
    if manifest and manifest.release_id in revoked:
        is_recalled = True
    proven_time = _proven_time(source, trust_root, problems)
    return SignedManifest(
        manifest=manifest,
        has_our_envelope=statement is not None,
        is_signed=is_signed,
        is_recalled=is_recalled,
        proven_time=proven_time if statement else None,  # of a stranger's envelope it would say nothing
        problems=tuple(problems),
    )


def _release_claim(source: BundleSource, trusted: Collection[Identity]) -> tuple[Statement | None, list[Problem]]:
    if not trusted:
        return None, [Problem(where=source.where, what="no trust root is pinned, so no signature can be believed")]
    return read_claim(source, RELEASE_ENVELOPE, trusted, predicate_type=RELEASE_PREDICATE)


def read_claim(
    source: BundleSource, name: str, trusted: Collection[Identity], *, predicate_type: str
) -> tuple[Statement | None, list[Problem]]:
    """What a trusted identity states in the envelope `name` of a bundle; None, and why, where none does."""
    try:
        return verify_envelope(source.read(name), trusted, predicate_type=predicate_type, where=name), []
    except ProvenanceError as error:
        return None, [Problem(where=name, what=error.what)]


def read_or_name(source: BundleSource, name: str, problems: list[Problem], *, must: bool) -> bytes:
    """A file of the bundle; empty, and named among `problems`, where it cannot be read. Raises that if it `must`."""
    try:
        return source.read(name)
    except FileError as error:
        if must:
            raise
        problems.append(Problem(where=name, what=error.what))
        return b""


def read_manifest(data: bytes, *, must: bool) -> Manifest | None:
    """The manifest; None where it is none. Raises FormatError for that where it `must` be one."""
    try:
        return parse_manifest(data, where=MANIFEST_NAME)
    except FormatError:
        if must:
            raise
        return None


def _is_recalled(source: BundleSource, trusted: Collection[Identity], digest: str, problems: list[Problem]) -> bool:
    if RECALL_NAME not in source.sizes or not trusted:
        return False
    try:
        envelope = source.read(RECALL_NAME)
        statement = verify_envelope(envelope, trusted, predicate_type=RECALL_PREDICATE, where=RECALL_NAME)
    except ProvenanceError as error:
        problems.append(Problem(where=RECALL_NAME, what=error.what))
        return False
    if statement.subjects != {MANIFEST_NAME: digest}:
        problems.append(Problem(where=RECALL_NAME, what="recalls another release"))
        return False
    return True


def _proven_time(source: BundleSource, trust_root: TrustRoot | None, problems: list[Problem]) -> ProvenTime | None:
    if STAMP_NAME not in source.sizes or not trust_root:
        return None
    try:
        stamp, envelope = source.read(STAMP_NAME), source.read(RELEASE_ENVELOPE)
        return verify_stamp(stamp, envelope, roots=trust_root.timestamp_roots, where=STAMP_NAME)
    except ProvenanceError as error:
        problems.append(Problem(where=STAMP_NAME, what=error.what))
        return None
