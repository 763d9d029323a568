"""Merkle tree hash, inclusion and consistency proofs and their checks, as RFC 9162 section 2.1 defines them.

A leaf is hashed with a 0x00 in front and an inner node with 0x01, so that neither can pass for the other. Proofs are
made from `Node`, which gives the hashes of whole subtrees: those of a tree in memory, or those of a log's tiles.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

Node = Callable[[int, int], bytes]  # (level, index) to the hash over leaves [index << level, (index + 1) << level)
EMPTY_ROOT = hashlib.sha256().digest()


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 || data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of_range(node: Node, start: int, end: int) -> bytes:
    """MTH(D[start:end]) of a range that is a subtree of the whole: [0, n), or a half of one by the RFC's split."""
    if (n := end - start) <= 0:
        return EMPTY_ROOT
    if n & (n - 1) == 0:
        level = n.bit_length() - 1
        return node(level, start >> level)
    middle = _split(start, end)
    return node_hash(root_of_range(node, start, middle), root_of_range(node, middle, end))


def inclusion_proof(node: Node, index: int, n_leaves: int) -> list[bytes]:
    """PATH(index, D_n) of section 2.1.3.1, from the leaf's sibling up. Raises IndexError."""
    if not 0 <= index < n_leaves:
        raise IndexError(f"leaf {index} of {n_leaves}")
    start, end, path = 0, n_leaves, []
    while end - start > 1:
        middle = _split(start, end)
        if index < middle:
            path.append(root_of_range(node, middle, end))
            end = middle
        else:
            path.append(root_of_range(node, start, middle))
            start = middle
    return path[::-1]


def consistency_proof(node: Node, n_old: int, n_new: int) -> list[bytes]:
    """PROOF(n_old, D_n_new) of section 2.1.4.1; empty where one of them is empty or both are the same."""
    if not 0 <= n_old <= n_new:
        raise IndexError(f"a tree of {n_new} leaves never had {n_old}")
    start, end, path = 0, n_new, []
    while 0 < n_old < end:
        middle = _split(start, end)
        if n_old <= middle:
            path.append(root_of_range(node, middle, end))
            end = middle
        else:
            path.append(root_of_range(node, start, middle))
            start = middle
    if start:  # the old tree's root is not itself a node of the new one
        path.append(root_of_range(node, start, end))
    return path[::-1]


def range_proof(node: Node, start: int, end: int, n_leaves: int) -> list[bytes]:
    """The roots of the largest subtrees beside leaves [start, end), left to right: at most two a level."""
    return [root_of_range(node, low, high) for low, high in _beside(0, n_leaves, start, end)]


class MerkleTree:
    """A tree over leaf data, kept level by level."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._levels = [[leaf_hash(leaf) for leaf in leaves]]
        while len(below := self._levels[-1]) > 1:
            self._levels.append([node_hash(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)])

    def __len__(self) -> int:
        return len(self._levels[0])

    def node(self, level: int, index: int) -> bytes:
        """The hash of a whole subtree."""
        return self._levels[level][index]

    @property
    def root(self) -> bytes:
        """The Merkle tree hash; that of an empty tree is SHA-256 of nothing."""
        return root_of_range(self.node, 0, len(self))

    def inclusion_proof(self, index: int) -> list[bytes]:
        """The siblings from leaf `index` up to the root. Raises IndexError."""
        return inclusion_proof(self.node, index, len(self))


def verify_inclusion(leaf: bytes, *, index: int, n_leaves: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` shows that `leaf` is number `index` of the `n_leaves` under `root` (section 2.1.3.2)."""
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


def verify_consistency(*, n_old: int, old_root: bytes, n_new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` shows that the new tree begins with the leaves of the old one (section 2.1.4.2)."""
    if n_old == 0 < n_new:
        return old_root == EMPTY_ROOT and not proof
    if n_old == n_new:
        return old_root == new_root and not proof
    if not 0 < n_old < n_new or not proof:
        return False
    path = [old_root, *proof] if n_old & (n_old - 1) == 0 else list(proof)
    node, last = n_old - 1, n_new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and old == old_root and new == new_root


def verify_range(leaves: Sequence[bytes], *, start: int, n_leaves: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` shows that `leaves` are numbers `start` and following of the `n_leaves` under `root`."""
    end = start + len(leaves)
    if not 0 <= start < end <= n_leaves or len(proof) != sum(1 for _ in _beside(0, n_leaves, start, end)):
        return False
    beside = iter(proof)

    def root_of(low: int, high: int) -> bytes:
        if high <= start or end <= low:
            return next(beside)
        if high - low == 1:
            return leaf_hash(leaves[low - start])
        middle = _split(low, high)
        return node_hash(root_of(low, middle), root_of(middle, high))

    return root_of(0, n_leaves) == root


def _beside(low: int, high: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    if high <= start or end <= low:
        yield low, high
    elif low < start or end < high:
        middle = _split(low, high)
        yield from _beside(low, middle, start, end)
        yield from _beside(middle, high, start, end)


def _split(start: int, end: int) -> int:
    """Where section 2.1.1 splits: the largest power of two below the number of leaves."""
    return start + (1 << (end - start - 1).bit_length() - 1)
