"""Which bytes a Range header means: single ranges of RFC 9110, section 14.1.2, everything else refused or ignored."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veilmark.access.streaming import MAX_DIGITS, ByteRange, RangeError, parse_range

SIZES = st.integers(1, 10**12)


@given(n_total=SIZES, first=st.integers(0, 10**13), length=st.integers(0, 10**13))
def test_a_closed_range_gives_those_of_its_bytes_that_the_file_has(n_total, first, length):
    header = f"bytes={first}-{first + length}"
    if first >= n_total:
        with pytest.raises(RangeError):
            parse_range(header, n_total)
    else:
        assert parse_range(header, n_total) == ByteRange(first=first, last=min(first + length, n_total - 1))


@given(n_total=SIZES, first=st.integers(0, 10**12 - 1))
def test_an_open_range_goes_to_the_end(n_total, first):
    first %= n_total
    assert parse_range(f"bytes={first}-", n_total) == ByteRange(first=first, last=n_total - 1)


@given(n_total=SIZES, length=st.integers(1, 10**13))
def test_a_suffix_is_the_last_bytes_or_all_of_them(n_total, length):
    found = parse_range(f"bytes=-{length}", n_total)
    assert found == ByteRange(first=max(0, n_total - length), last=n_total - 1)


@given(header=st.text(), n_total=st.integers(0, 10**6))
def test_no_header_breaks_the_parser_or_leaves_the_file(header, n_total):
    for text in (header, f"bytes={header}"):
        with suppress(RangeError):
            found = parse_range(text, n_total)
            assert found is None or 0 <= found.first <= found.last < n_total


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("bytes=", id="nothing"),
        pytest.param("bytes=-", id="neither first nor last"),
        pytest.param("bytes=5", id="no dash"),
        pytest.param("bytes=5-2", id="ends before it begins"),
        pytest.param("bytes=a-b", id="no digits"),
        pytest.param("bytes=0x0-0xf", id="hexadecimal"),
        pytest.param("bytes=+1-2", id="a sign"),
        pytest.param("bytes=--5", id="two dashes"),
        pytest.param("bytes=1-2-3", id="three numbers"),
        pytest.param("bytes=1 - 2", id="spaces inside"),
        pytest.param("bytes=1.0-2", id="a fraction"),
        pytest.param("bytes=0-1,3-4", id="two ranges"),
        pytest.param("bytes=0-1,", id="an empty second range"),
        pytest.param("bytes=\u0661-\u0662", id="digits of another script"),
        pytest.param(f"bytes={'9' * (MAX_DIGITS + 1)}-", id="more digits than any file"),
        pytest.param("bytes=100-", id="begins after the last byte"),
        pytest.param("bytes=100-200", id="wholly outside"),
        pytest.param("bytes=-0", id="the last zero bytes"),
    ],
)
def test_what_is_no_single_range_inside_the_file_is_refused(header):
    with pytest.raises(RangeError) as refused:
        parse_range(header, 100)
    assert (refused.value.status, refused.value.where) == (416, "Range")
    assert refused.value.remedy


@pytest.mark.parametrize("header", ["", "items=0-5", "byte=0-5", "0-5"])
def test_a_unit_that_is_not_bytes_is_ignored(header):
    assert parse_range(header, 100) is None
