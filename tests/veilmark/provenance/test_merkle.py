"""The Merkle tree of RFC 9162."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veilmark.provenance.merkle import MerkleTree, verify_inclusion

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
