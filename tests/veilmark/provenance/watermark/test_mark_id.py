"""Mark ids pack into 64 or 128 bits and back, and refuse what does not fit."""

from __future__ import annotations

import hashlib
import hmac

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veilmark.provenance.errors import MarkError
from veilmark.provenance.watermark import PUBLIC_DETECTION_KEY, MarkId
from veilmark.provenance.watermark.code import coded_length, decode
from veilmark.provenance.watermark.mark_id import FORMS, LONG, SHORT, checked_id, message_bits
from veilmark.provenance.watermark.pattern import PROFILES, pattern_for, version_for

SHORT_IDS = st.builds(MarkId, release=st.integers(0, 2**20 - 1), random=st.integers(0, 2**40 - 1))
LONG_IDS = st.builds(MarkId, release=st.integers(0, 2**44 - 1), random=st.integers(0, 2**80 - 1), version=st.just(LONG))
IDS = SHORT_IDS | LONG_IDS
CARRIED = [(profile, version) for profile in PROFILES for version in profile.versions]


@settings(deadline=None)
@given(IDS)
def test_packing_is_reversible(mark: MarkId) -> None:
    assert MarkId.from_bytes(bytes(mark)) == MarkId.from_hex(mark.hex) == mark
    assert len(mark.hex) == mark.form.n_bits // 4 == {SHORT: 16, LONG: 32}[mark.version]
    assert mark.hex[0] == str(mark.version)


@settings(deadline=None)
@given(IDS, st.data())
def test_one_wrong_bit_fails_the_check(mark: MarkId, data: st.DataObject) -> None:
    bits = message_bits([mark], b"key")[0]
    assert checked_id(bits, b"key") == mark
    assert checked_id(bits, b"other key") is None
    bits[data.draw(st.integers(0, len(bits) - 1))] ^= 1
    assert checked_id(bits, b"key") is None


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(CARRIED), st.data())
def test_every_tile_gives_back_what_it_carries(carried: tuple, data: st.DataObject) -> None:
    """Id, message, code word, slots; and back from slots of which some say nothing and some lie."""
    profile, version = carried
    mark = data.draw(SHORT_IDS if version == SHORT else LONG_IDS)
    pattern = pattern_for(profile, PUBLIC_DETECTION_KEY)
    soft = pattern.slot_signs(message_bits([mark], b"key"))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    soft *= rng.choice(np.array([1, 0, -1], np.float32), soft.shape, p=[0.86, 0.1, 0.04])
    gathered = pattern.gather(soft, coded_length(FORMS[version].n_message_bits))
    assert checked_id(decode(gathered)[0], b"key") == mark


@pytest.mark.parametrize(("profile", "version"), CARRIED)
def test_slots_are_shared_evenly_by_the_coded_bits(profile, version: int) -> None:
    """Each bit has its slots, and nowhere in the word do fifty bits have much fewer than the others."""
    pattern = pattern_for(profile, PUBLIC_DETECTION_KEY)
    n_coded = coded_length(FORMS[version].n_message_bits)
    n_slots = pattern.gather(pattern.scramble.reshape(1, *pattern.pilots.shape), n_coded)[0]
    assert n_slots.sum() == pattern.data_slots.size
    assert n_slots.min() >= 1
    assert np.ptp(n_slots) <= 1
    windows = np.convolve(n_slots, np.ones(50), "valid")
    assert np.ptp(windows) <= 2


def test_sides_of_128_pixels_take_the_long_form() -> None:
    assert [version_for(*shape) for shape in ((64, 64), (127, 500), (128, 128), (130, 700))] == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "is not 16 or 32 hexadecimal digits", id="nothing"),
        pytest.param("1" * 15, "is not 16 or 32 hexadecimal digits", id="15 digits"),
        pytest.param("1" * 17, "is not 16 or 32 hexadecimal digits", id="17 digits"),
        pytest.param("2" * 31, "is not 16 or 32 hexadecimal digits", id="31 digits"),
        pytest.param("2" * 64, "is not 16 or 32 hexadecimal digits", id="64 digits"),
        pytest.param("g" * 16, "is not 16 or 32 hexadecimal digits", id="no hexadecimal"),
        pytest.param("0x" + "1" * 14, "is not 16 or 32 hexadecimal digits", id="prefix"),
        pytest.param("1" + "A" * 15, "is not 16 or 32 hexadecimal digits", id="upper case"),
        pytest.param(" " * 32, "is not 16 or 32 hexadecimal digits", id="spaces"),
        pytest.param("2" * 16, "an id of 16 digits begins with 1, not 2", id="16 digits of the long form"),
        pytest.param("1" * 32, "an id of 32 digits begins with 2, not 1", id="32 digits of the short form"),
        pytest.param("f" * 32, "an id of 32 digits begins with 2, not f", id="a version of the future"),
    ],
)
def test_hex_that_is_no_id_is_refused(text: str, message: str) -> None:
    with pytest.raises(MarkError, match=message):
        MarkId.from_hex(text)


@pytest.mark.parametrize("body", [bytes(8), b"\x20" + bytes(7), bytes(16), b"\x10" + bytes(15), b"\xf0" + bytes(15)])
def test_a_checked_message_of_another_version_is_no_id(body: bytes) -> None:
    """Whoever has the key can write any bits and their check."""
    check = hmac.new(b"key", body, hashlib.sha256).digest()[:4]
    assert checked_id(np.unpackbits(np.frombuffer(body + check, np.uint8)), b"key") is None


@pytest.mark.parametrize(
    "fields",
    [
        {"release": 1 << 20},
        {"release": -1},
        {"random": 1 << 40},
        {"version": 0},
        {"version": 3},
        {"version": 16},
        {"version": LONG, "release": 1 << 44},
        {"version": LONG, "random": 1 << 80},
    ],
)
def test_fields_that_do_not_fit_are_refused(fields: dict[str, int]) -> None:
    with pytest.raises(MarkError):
        MarkId(**{"release": 0, "random": 0, **fields})


def test_drawn_ids_fill_their_form() -> None:
    for version, form in FORMS.items():
        drawn = [MarkId.draw(5, version) for _ in range(64)]
        assert {(mark.release, mark.version) for mark in drawn} == {(5, version)}
        assert len(set(drawn)) == 64
        assert max(mark.random for mark in drawn).bit_length() > form.random_bits - 8
