"""Merkle tree hash, inclusion proofs and their check, as RFC 9162 sections 2.1.1 to 2.1.3 define them.

A leaf is hashed with a 0x00 in front and an inner node with 0x01, so that neither can pass for the other. The tree is
built level by level, a lone last node moving up unchanged: the same tree as the RFC's split at a power of two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 || data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class MerkleTree:
    """A tree over leaf data, kept level by level: proofs cost its height."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._levels = [[leaf_hash(leaf) for leaf in leaves]]
        while len(self._levels[-1]) > 1:
            self._levels.append(_parents(self._levels[-1]))

    def __len__(self) -> int:
        return len(self._levels[0])

    @property
    def root(self) -> bytes:
        """The Merkle tree hash; that of an empty tree is SHA-256 of nothing."""
        return self._levels[-1][0] if len(self) else hashlib.sha256().digest()

    def inclusion_proof(self, index: int) -> list[bytes]:
        """The siblings from leaf `index` up to the root. Raises IndexError."""
        if not 0 <= index < len(self):
            raise IndexError(f"leaf {index} of {len(self)}")
        proof = []
        for level in self._levels[:-1]:
            if (sibling := index ^ 1) < len(level):
                proof.append(level[sibling])
            index >>= 1
        return proof


def verify_inclusion(leaf: bytes, *, index: int, n_leaves: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` shows that `leaf` is number `index` of the `n_leaves` under `root` (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < n_leaves:
        return False
    node, last = index, n_leaves - 1
    result = leaf_hash(leaf)
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            result = node_hash(sibling, result)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and result == root


def _parents(level: list[bytes]) -> list[bytes]:
    parents = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    return [*parents, level[-1]] if len(level) % 2 else parents
