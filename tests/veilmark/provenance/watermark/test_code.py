"""The convolutional code: whatever is encoded is decoded, also from damaged soft values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veilmark.provenance.watermark.code import candidates, coded_length, decode, encode, is_nearest, signs

bit_lists = st.lists(st.integers(0, 1), min_size=1, max_size=120)


def soft(coded: np.ndarray) -> np.ndarray:
    return (1 - 2 * coded.astype(np.float32)).astype(np.float32)


@settings(deadline=None)
@given(bit_lists)
def test_what_is_encoded_is_decoded(bits: list[int]) -> None:
    message = np.array([bits], np.uint8)
    coded = encode(message)
    assert coded.shape == (1, coded_length(len(bits)))
    assert (decode(soft(coded)) == message).all()


@settings(deadline=None)
@given(bit_lists, st.data())
def test_eight_wrong_signs_anywhere_are_corrected(bits: list[int], data: st.DataObject) -> None:
    """The free distance is 18, so any 8 errors leave the true word the nearest."""
    message = np.array([bits], np.uint8)
    values = soft(encode(message))
    wrong = data.draw(st.sets(st.integers(0, values.shape[1] - 1), max_size=8))
    values[0, sorted(wrong)] *= -1
    assert (decode(values) == message).all()


def test_a_batch_decodes_like_its_messages_one_by_one() -> None:
    rng = np.random.default_rng(3)
    messages = rng.integers(0, 2, (7, 96)).astype(np.uint8)
    noisy = soft(encode(messages)) + rng.normal(0, 1, (7, coded_length(96))).astype(np.float32)
    one_by_one = np.concatenate([decode(row[None]) for row in noisy])
    assert (decode(noisy) == one_by_one).all()
    assert (one_by_one == messages).all()


@pytest.mark.parametrize("noise", [0.2, 0.5, 1.0, 1.5])
def test_what_is_certain_without_decoding_is_what_decoding_gives(noise: float) -> None:
    rng = np.random.default_rng(4)
    messages = rng.integers(0, 2, (200, 96)).astype(np.uint8)
    noisy = signs(messages) + rng.normal(0, noise, (200, coded_length(96))).astype(np.float32)
    certain = is_nearest(noisy, signs(messages))
    assert certain.all() == (noise == 0.2)
    assert (decode(noisy[certain]) == messages[certain]).all()
    assert not is_nearest(noisy, signs(np.roll(messages, 1, axis=0))).any()


def test_nine_wrong_places_of_eighteen_are_not_certain() -> None:
    """Two messages that differ in the last bit lie 18 apart or more: half-way between them nothing is certain."""
    messages = np.zeros((2, 96), np.uint8)
    messages[1, -1] = 1
    words = signs(messages)
    between = words.mean(axis=0, keepdims=True)
    assert not is_nearest(between, words[:1]).any()
    assert not is_nearest(between, words[1:]).any()


def test_the_second_candidate_is_the_second_most_likely_message() -> None:
    """Against all 256 messages of eight bits."""
    every = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    rng = np.random.default_rng(5)
    noisy = signs(every[:60]) + rng.normal(0, 1.5, (60, coded_length(8))).astype(np.float32)
    ranked = np.argsort(-(noisy @ signs(every).T), axis=1)
    listed = candidates(noisy, 4)
    assert (listed[:, :2] == every[ranked[:, :2]]).all()
    assert all(len(np.unique(messages, axis=0)) == 4 for messages in listed)


def test_a_large_batch_is_decoded_in_parts() -> None:
    messages = np.random.default_rng(6).integers(0, 2, (600, 20)).astype(np.uint8)
    assert (candidates(signs(messages), 2)[:, 0] == messages).all()
