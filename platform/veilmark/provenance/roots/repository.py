"""The publisher's side of The Update Framework (spec 1.0): a folder of signed files that any web server can hold.

    metadata/N.root.json      who may say what; a new one is signed by the old holders and the new
    metadata/N.targets.json   the digests of trust-root.json and revoked.json
    metadata/N.snapshot.json, metadata/timestamp.json   that this is still the last word: they expire first

Every holder signs with both keys, Ed25519 and ML-DSA-65 (TAP 21). More than half of the root's holders must sign, so
that neither all keys of one algorithm nor half of the holders are enough to change who is believed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from securesystemslib.exceptions import StorageError
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from veilmark.provenance.atomic import write_atomically
from veilmark.provenance.errors import RootsError
from veilmark.provenance.identity import SigningIdentity
from veilmark.provenance.roots.content import Roots
from veilmark.provenance.roots.holders import Holders, Keepers
from veilmark.provenance.roots.signers import tuf_signers

T = TypeVar("T", Root, Targets, Snapshot, Timestamp)
METADATA, TARGETS = "metadata", "targets"
LIFETIMES = {
    Root.type: timedelta(days=365),
    Targets.type: timedelta(days=180),
    Snapshot.type: timedelta(days=30),
    Timestamp.type: timedelta(days=30),  # a receiver without network believes what it fetched for so long
}


@dataclass(frozen=True, kw_only=True)
class Published:
    """What lies in a repository. `files`: SHA-256 in hex by name; `expires`: when the first of its parts does, its root
    aside, which is `root_expires`."""

    files: Mapping[str, str]
    expires: datetime
    root_expires: datetime

    def says(self, content: Roots) -> bool:
        """Whether it says exactly that."""
        return self.files == {name: hashlib.sha256(data).hexdigest() for name, data in content.files().items()}


def read_published(folder: Path) -> Published | None:
    """What the publisher's own folder says last, unverified; None where nothing was published. Raises RootsError."""
    if not _path(folder, Timestamp.type).exists():
        return None
    try:
        timestamp = Metadata[Timestamp].from_file(str(_path(folder, Timestamp.type))).signed
        version = timestamp.snapshot_meta.version
        snapshot = Metadata[Snapshot].from_file(str(_path(folder, f"{version}.snapshot"))).signed
        targets = Metadata[Targets].from_file(str(_path(folder, f"{version}.targets"))).signed
        root = _last_root(folder)
    except (StorageError, DeserializationError) as error:
        raise RootsError("cannot be read", where=str(folder), remedy="restore the folder from a copy") from error
    return Published(
        files={name: target.hashes["sha256"] for name, target in targets.targets.items()},
        expires=min(part.expires for part in (timestamp, snapshot, targets)),
        root_expires=root.expires,
    )


def root_version(folder: Path) -> int:
    """How often the root was signed over to holders: 0 where there is no repository."""
    return max((int(path.name.partition(".")[0]) for path in (folder / METADATA).glob("*.root.json")), default=0)


def create_repository(folder: Path, content: Roots, holders: Holders, *, now: datetime) -> None:
    """Make the repository. `metadata/1.root.json` is what receivers pin. Raises RootsError where there is one."""
    if root_version(folder):
        raise RootsError("holds a repository already", where=str(folder), remedy="publish in it")
    _write_root(folder, holders, version=1, signed_by=holders.root, now=now)
    _write_content(folder, content, holders, version=1, now=now)


def publish_content(folder: Path, content: Roots, keepers: Keepers, *, now: datetime) -> None:
    """Say what is believed from now on; also to say the same again before it expires.

    Raises RootsError, also where the root names other keepers: receivers would refuse what these sign.
    """
    _write_content(folder, content, keepers, version=_last_content(folder) + 1, now=now)


def rotate_root(
    folder: Path, content: Roots, holders: Holders, *, old: Iterable[SigningIdentity], now: datetime
) -> None:
    """Hand over to new holders: the new root is signed by the `old` ones too. Raises RootsError."""
    version = root_version(folder) + 1
    _write_root(folder, holders, version=version, signed_by=[*old, *holders.root], now=now)
    publish_content(folder, content, holders, now=now)


def _write_root(
    folder: Path, holders: Holders, *, version: int, signed_by: Iterable[SigningIdentity], now: datetime
) -> None:
    root = Root(version=version, expires=now + LIFETIMES[Root.type], consistent_snapshot=True)
    for role in LIFETIMES:
        signers = tuf_signers(holders.of(role))
        for signer in signers:
            root.add_key(signer.public_key, role)
        root.roles[role].threshold = 2 * holders.threshold if role == Root.type else len(signers)
    metadata = _sign(root, signed_by)
    if version > 1:
        previous = Metadata[Root].from_file(str(_path(folder, f"{version - 1}.root")))
        if not root.get_root_verification_result(previous.signed, metadata.signed_bytes, metadata.signatures):
            raise RootsError("would not be believed: too few of the old or new holders signed it", where="new root")
    write_atomically(_path(folder, f"{version}.root"), metadata.to_bytes())


def _write_content(folder: Path, content: Roots, keepers: Keepers, *, version: int, now: datetime) -> None:
    """Targets first and the timestamp last: whoever reads meanwhile gets the old ones, whole."""
    targets = Targets(version=version, expires=now + LIFETIMES[Targets.type])
    for name, data in content.files().items():
        targets.targets[name] = TargetFile.from_data(name, data, ["sha256"])
    snapshot = Snapshot(version=version, expires=now + LIFETIMES[Snapshot.type])
    snapshot.meta = {"targets.json": MetaFile(version=version)}
    timestamp = Timestamp(version=version, expires=now + LIFETIMES[Timestamp.type])
    timestamp.snapshot_meta = MetaFile(version=version)
    root = _last_root(folder)
    files = {
        f"{version}.targets": _believed(root, targets, keepers),
        f"{version}.snapshot": _believed(root, snapshot, keepers),
        Timestamp.type: _believed(root, timestamp, keepers),
    }
    for name, data in content.files().items():
        write_atomically(folder / TARGETS / f"{targets.targets[name].hashes['sha256']}.{name}", data)
    for name, data in files.items():
        write_atomically(_path(folder, name), data)


def _believed(root: Root, signed: T, keepers: Keepers) -> bytes:
    """The file, as receivers of `root` accept it. Raises RootsError where the keys are not those that it names."""
    metadata = _sign(signed, keepers.of(signed.type))
    try:
        root.verify_delegate(signed.type, metadata.signed_bytes, metadata.signatures)
    except UnsignedMetadataError as error:
        remedy = "bring the keys back that it names, or hand over to new ones with the root's own"
        raise RootsError(
            "the keys at hand are not those that the root names", where=signed.type, remedy=remedy
        ) from error
    return metadata.to_bytes()


def _sign(signed: T, holders: Iterable[SigningIdentity]) -> Metadata[T]:
    metadata = Metadata(signed)
    for signer in tuf_signers(holders):
        metadata.sign(signer, append=True)
    return metadata


def _last_root(folder: Path) -> Root:
    return Metadata[Root].from_file(str(_path(folder, f"{root_version(folder)}.root"))).signed


def _last_content(folder: Path) -> int:
    """The version of what was published last, 0 of a root that says nothing yet. Raises RootsError without a root."""
    if not root_version(folder):
        raise RootsError("holds no repository", where=str(folder), remedy="create one first")
    path = _path(folder, Timestamp.type)
    return Metadata[Timestamp].from_file(str(path)).signed.version if path.exists() else 0


def _path(folder: Path, name: str) -> Path:
    return folder / METADATA / f"{name}.json"
