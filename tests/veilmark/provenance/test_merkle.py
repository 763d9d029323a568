"""The Merkle tree of RFC 9162."""

from __future__ import annotations

import hashlib

import pymerkle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veilmark.provenance.merkle import (
    EMPTY_ROOT,
    MerkleTree,
    consistency_proof,
    range_proof,
    root_of_range,
    verify_consistency,
    verify_inclusion,
    verify_range,
)

leaf_lists = st.lists(st.binary(max_size=40), min_size=1, max_size=70)


def recursive_root(leaves: list[bytes]) -> bytes:
    """MTH as section 2.1.1 writes it, split at the largest power of two."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + recursive_root(leaves[:split]) + recursive_root(leaves[split:])).digest()


@settings(deadline=None)
@given(leaf_lists)
def test_root_is_that_of_the_rfc(leaves: list[bytes]) -> None:
    assert MerkleTree(leaves).root == recursive_root(leaves)


def test_the_empty_tree() -> None:
    assert MerkleTree([]).root == hashlib.sha256().digest()


@settings(deadline=None)
@given(leaf_lists, st.data())
def test_a_proof_holds_for_its_leaf_and_place_alone(leaves: list[bytes], data: st.DataObject) -> None:
    tree = MerkleTree(leaves)
    index = data.draw(st.integers(0, len(leaves) - 1))
    other = data.draw(st.integers(0, len(leaves) - 1))
    proof = tree.inclusion_proof(index)
    known = {"n_leaves": len(leaves), "proof": proof, "root": tree.root}
    assert verify_inclusion(leaves[index], index=index, **known)
    if other != index and leaves[other] != leaves[index]:
        assert not verify_inclusion(leaves[other], index=index, **known)
    assert not verify_inclusion(leaves[index] + b"x", index=index, **known)
    assert not verify_inclusion(leaves[index], index=len(leaves), **known)
    assert not verify_inclusion(leaves[index], index=index, **{**known, "proof": [*proof, bytes(32)]})
    if proof:
        assert not verify_inclusion(leaves[index], index=index, **{**known, "proof": proof[:-1]})


def test_no_proof_of_a_leaf_that_is_not_there() -> None:
    with pytest.raises(IndexError):
        MerkleTree([b"a"]).inclusion_proof(1)


@settings(deadline=None, max_examples=40)
@given(leaf_lists, st.data())
def test_roots_and_proofs_are_those_of_pymerkle(leaves: list[bytes], data: st.DataObject) -> None:
    """Their inclusion proofs hold the same hashes and the leaf; theirs of consistency, other nodes of the tree."""
    tree = MerkleTree(leaves)
    theirs = pymerkle.InmemoryTree.init_from_entries(leaves, algorithm="sha256")
    n_old = data.draw(st.integers(1, len(leaves)))
    index = data.draw(st.integers(0, len(leaves) - 1))
    assert tree.root == theirs.get_root()
    old_root = root_of_range(tree.node, 0, n_old)
    assert old_root == theirs.get_root(n_old)
    inclusion = theirs.prove_inclusion(index + 1, len(leaves))
    assert {*inclusion.path} == {*tree.inclusion_proof(index), tree.node(0, index)}
    pymerkle.verify_inclusion(tree.node(0, index), tree.root, inclusion)
    consistency = theirs.prove_consistency(n_old, len(leaves))
    ours = consistency_proof(tree.node, n_old, len(leaves))
    pymerkle.verify_consistency(old_root, tree.root, consistency)
    with pytest.raises(pymerkle.InvalidProof):
        pymerkle.verify_consistency(bytes(32), tree.root, consistency)
    known = {"n_old": n_old, "old_root": old_root, "n_new": len(leaves), "new_root": tree.root}
    assert verify_consistency(**known, proof=ours)
    for name, wrong in (("old_root", bytes(32)), ("new_root", bytes(32))):
        assert not verify_consistency(**{**known, name: wrong}, proof=ours)
    assert not verify_consistency(**known, proof=[*ours, bytes(32)])


@settings(deadline=None)
@given(leaf_lists, st.data())
def test_neighbours_share_one_proof(leaves: list[bytes], data: st.DataObject) -> None:
    tree = MerkleTree(leaves)
    start = data.draw(st.integers(0, len(leaves) - 1))
    end = data.draw(st.integers(start + 1, len(leaves)))
    proof = range_proof(tree.node, start, end, len(leaves))
    assert len(proof) <= 2 * len(leaves).bit_length()
    known = {"start": start, "n_leaves": len(leaves), "proof": proof, "root": tree.root}
    assert verify_range(leaves[start:end], **known)
    assert not verify_range([*leaves[start : end - 1], leaves[end - 1] + b"x"], **known)
    assert not verify_range(leaves[start:end], **{**known, "proof": [*proof, bytes(32)]})
    assert not verify_range([], **known)


@pytest.mark.parametrize(("n_old", "old", "n_new", "expected"), [(0, EMPTY_ROOT, 3, True), (0, bytes(32), 3, False)])
def test_every_tree_grew_from_the_empty_one(n_old: int, old: bytes, n_new: int, expected: bool) -> None:
    new = MerkleTree([b"a"] * n_new).root
    assert verify_consistency(n_old=n_old, old_root=old, n_new=n_new, new_root=new, proof=[]) is expected


def test_no_tree_shrinks() -> None:
    tree = MerkleTree([b"a", b"b"])
    with pytest.raises(IndexError):
        consistency_proof(tree.node, 3, 2)
    assert not verify_consistency(n_old=3, old_root=tree.root, n_new=2, new_root=tree.root, proof=[bytes(32)])
