"""`proofs/<image>.json`: that one image belongs to the endorsed Merkle root, without the other images."""

from __future__ import annotations

from dataclasses import dataclass

from veilmark.provenance.digests import check_digest, digest_bytes
from veilmark.provenance.errors import FormatError
from veilmark.provenance.merkle import MerkleTree, verify_inclusion
from veilmark.provenance.strict_json import check_keys, parse_object, readable_json, take, take_list

SCHEMA = "veilmark/inclusion-proof/1"


@dataclass(frozen=True, kw_only=True)
class InclusionProof:
    """`content_digest` is leaf number `index` of `n_leaves`; `hashes` are the siblings up to the root."""

    content_digest: str
    index: int
    n_leaves: int
    hashes: tuple[bytes, ...]

    def leads_to(self, merkle_root: str) -> bool:
        """Whether the proof ends in `merkle_root`."""
        return verify_inclusion(
            digest_bytes(self.content_digest),
            index=self.index,
            n_leaves=self.n_leaves,
            proof=self.hashes,
            root=digest_bytes(merkle_root),
        )

    def to_bytes(self) -> bytes:
        """The file."""
        return readable_json(
            {
                "schema": SCHEMA,
                "content_digest": self.content_digest,
                "index": self.index,
                "n_leaves": self.n_leaves,
                "hashes": [value.hex() for value in self.hashes],
            }
        )


def content_tree(content_digests: list[str]) -> MerkleTree:
    """The tree whose root is audited, endorsed and signed: one leaf an image, its content digest's 32 bytes."""
    return MerkleTree([digest_bytes(digest) for digest in content_digests])


def root_digest(tree: MerkleTree) -> str:
    """The root as a digest."""
    return f"sha256:{tree.root.hex()}"


def parse_proof(data: bytes, *, where: str) -> InclusionProof:
    """Raises FormatError."""
    body = parse_object(data, where=where, max_bytes=1 << 16)
    check_keys(body, ("schema", "content_digest", "index", "n_leaves", "hashes"), where=where)
    if body["schema"] != SCHEMA:
        raise FormatError(f"schema is not {SCHEMA}", where=where)
    hashes = take_list(body, "hashes", str, where=where)
    return InclusionProof(
        content_digest=check_digest(take(body, "content_digest", str, where=where), where=where),
        index=take(body, "index", int, where=where),
        n_leaves=take(body, "n_leaves", int, where=where),
        hashes=tuple(digest_bytes(check_digest(f"sha256:{value}", where=where)) for value in hashes),
    )
