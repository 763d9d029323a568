"""Encrypted streams: what goes in comes out, and nothing changed ever does."""

from __future__ import annotations

import io
import os
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veilmark.crypto.base import CryptoError
from veilmark.crypto.streams import decrypt_range, decrypt_stream, decrypted_size, encrypt_stream

KEY = bytes(range(32))
CONTEXT = b"cohort 7, file 3"
HEADER, CHUNK, TAG = 47, 16, 16
STORED = CHUNK + TAG
PLAIN = bytes(range(40))  # three chunks, the last one of 8 bytes


class Trickle(io.BytesIO):
    """Gives at most three bytes at a time, as a socket may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(3, size if size is not None and size >= 0 else 3))


def encrypted(plain: bytes = PLAIN, chunk_size: int = CHUNK, context: bytes = CONTEXT) -> bytes:
    out = io.BytesIO()
    encrypt_stream(io.BytesIO(plain), out, KEY, context=context, chunk_size=chunk_size)
    return out.getvalue()


def decrypted(data: bytes, key: bytes = KEY, context: bytes = CONTEXT) -> bytes:
    out = io.BytesIO()
    decrypt_stream(io.BytesIO(data), out, key, context=context)
    return out.getvalue()


def chunk(data: bytes, index: int) -> bytes:
    return data[HEADER + index * STORED : HEADER + (index + 1) * STORED]


@given(plain=st.binary(max_size=200), chunk_size=st.integers(1, 70), context=st.binary(max_size=20))
def test_round_trip(plain: bytes, chunk_size: int, context: bytes) -> None:
    data = encrypted(plain, chunk_size, context)
    assert decrypted(data, context=context) == plain
    assert decrypted_size(io.BytesIO(data)) == len(plain)
    assert plain == b"" or len(plain) < 8 or plain not in data


@given(data=st.data(), plain=st.binary(max_size=200), chunk_size=st.integers(1, 70))
def test_any_range(data: st.DataObject, plain: bytes, chunk_size: int) -> None:
    start = data.draw(st.integers(0, len(plain)))
    stop = data.draw(st.integers(start, len(plain)))
    stream = io.BytesIO(encrypted(plain, chunk_size))
    assert b"".join(decrypt_range(stream, KEY, start=start, stop=stop, context=CONTEXT)) == plain[start:stop]


def test_readers_that_give_little_at_a_time() -> None:
    stored, plain = io.BytesIO(), io.BytesIO()
    encrypt_stream(Trickle(PLAIN), stored, KEY, context=CONTEXT, chunk_size=CHUNK)
    decrypt_stream(Trickle(stored.getvalue()), plain, KEY, context=CONTEXT)
    assert plain.getvalue() == PLAIN


def test_default_chunks() -> None:
    plain = os.urandom(3 * 64 * 1024)
    stored = io.BytesIO()
    encrypt_stream(io.BytesIO(plain), stored, KEY, context=CONTEXT)
    assert decrypted(stored.getvalue()) == plain


def test_equal_input_gives_unequal_ciphertext() -> None:
    assert encrypted() != encrypted()


@given(bit=st.integers(0, 8 * (HEADER + len(PLAIN) + 3 * TAG) - 1))
def test_any_changed_bit_is_found(bit: int) -> None:
    data = bytearray(encrypted())
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CryptoError):
        decrypted(bytes(data))


@given(length=st.integers(0, HEADER + len(PLAIN) + 3 * TAG - 1))
def test_any_cut_is_found(length: int) -> None:
    data = encrypted()[:length]
    with pytest.raises(CryptoError):
        decrypted(data)
    with pytest.raises(CryptoError):
        list(decrypt_range(io.BytesIO(data), KEY, start=0, stop=1, context=CONTEXT))


TAMPERED: dict[str, Callable[[bytes], bytes]] = {
    "bytes appended": lambda data: data + b"\0",
    "a chunk appended": lambda data: data + chunk(data, 0),
    "first chunks swapped": lambda data: data[:HEADER] + chunk(data, 1) + chunk(data, 0) + chunk(data, 2),
    "first chunk left out": lambda data: data[:HEADER] + chunk(data, 1) + chunk(data, 2),
    "middle chunk left out": lambda data: data[:HEADER] + chunk(data, 0) + chunk(data, 2),
    "a chunk repeated": lambda data: data[:HEADER] + chunk(data, 0) * 2 + chunk(data, 2),
    "last chunk cut off": lambda data: data[: HEADER + 2 * STORED],
    "chunk of another stream": lambda data: data[:HEADER] + chunk(encrypted(), 0) + data[HEADER + STORED :],
    "header of another stream": lambda data: encrypted()[:HEADER] + data[HEADER:],
    "chunk size zero": lambda data: data[:4] + bytes(4) + data[8:],
    "chunk size huge": lambda data: data[:4] + b"\xff" * 4 + data[8:],
    "another version": lambda data: b"VMS2" + data[4:],
    "header alone": lambda data: data[:HEADER],
    "plain text": lambda _: b"%PDF-1.7" * 20,
}


@pytest.mark.parametrize("tamper", TAMPERED.values(), ids=TAMPERED.keys())
def test_tampered_stream_is_refused(tamper: Callable[[bytes], bytes]) -> None:
    data = tamper(encrypted())
    with pytest.raises(CryptoError):
        decrypted(data)
    with pytest.raises(CryptoError):
        list(decrypt_range(io.BytesIO(data), KEY, start=0, stop=len(PLAIN), context=CONTEXT))


@pytest.mark.parametrize(
    ("key", "context"),
    [(bytes(32), CONTEXT), (KEY, b"cohort 8, file 3"), (KEY, b""), (KEY[:16], CONTEXT)],
    ids=["another key", "another context", "no context", "short key"],
)
def test_key_and_context_are_both_needed(key: bytes, context: bytes) -> None:
    with pytest.raises(CryptoError):
        decrypted(encrypted(), key, context)


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (5, 3), (0, 41)], ids=["negative", "backwards", "beyond"])
def test_ranges_outside_are_refused(start: int, stop: int) -> None:
    with pytest.raises(CryptoError, match="range"):
        list(decrypt_range(io.BytesIO(encrypted()), KEY, start=start, stop=stop, context=CONTEXT))


@pytest.mark.parametrize("chunk_size", [0, 2**25], ids=["zero", "huge"])
def test_chunk_sizes_out_of_range_are_refused(chunk_size: int) -> None:
    with pytest.raises(CryptoError):
        encrypted(chunk_size=chunk_size)
