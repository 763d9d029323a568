"""Mark ids pack into 64 bits and back, and refuse what does not fit."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veilmark.provenance.errors import MarkError
from veilmark.provenance.watermark import MarkId
from veilmark.provenance.watermark.mark_id import checked_id, message_bits


@settings(deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_packing_is_reversible(number: int) -> None:
    mark = MarkId.from_int(number)
    assert int(mark) == number
    assert MarkId.from_hex(mark.hex) == mark


@settings(deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(0, 95))
def test_one_wrong_bit_fails_the_check(number: int, position: int) -> None:
    bits = message_bits([MarkId.from_int(number)], b"key")[0]
    assert checked_id(bits, b"key") == MarkId.from_int(number)
    assert checked_id(bits, b"other key") is None
    bits[position] ^= 1
    assert checked_id(bits, b"key") is None


@pytest.mark.parametrize("text", ["", "1", "0" * 17, "g" * 16, "0X" + "0" * 14, "A" * 16, " " * 16])
def test_hex_that_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(MarkError):
        MarkId.from_hex(text)


@pytest.mark.parametrize("fields", [{"release": 1 << 20}, {"release": -1}, {"random": 1 << 40}, {"version": 16}])
def test_fields_that_do_not_fit_are_refused(fields: dict[str, int]) -> None:
    with pytest.raises(MarkError):
        MarkId(**{"release": 0, "random": 0, **fields})
