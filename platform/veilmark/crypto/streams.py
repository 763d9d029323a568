"""Streams encrypted in authenticated chunks, so that large files need little memory and a range can be read alone.

The construction is the one of Tink's AES-GCM-HKDF streaming AEAD (after Hoang, Reyhanitabar, Rogaway and Vizár,
"Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", CRYPTO 2015)::

    header   magic "VMS1" | chunk size u32 | salt 32 | nonce prefix 7      big-endian
    chunk i  AES-256-GCM(stream key, nonce = prefix | i u32 | last u8), tag 16

    stream key = HKDF-SHA256(data key, salt, info = header | SHA-256(context))

The nonce holds the index and whether the chunk is the last one, and the stream key depends on header and context: a
changed bit, another key or context, chunks swapped, repeated, left out or cut off all fail to authenticate. `context`
is what the bytes are (say, cohort and file id), so that one ciphertext cannot be put in another's place.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from veilmark.crypto.base import KEY_BYTES, CryptoError

CHUNK_SIZE = 64 * 1024
_MAX_CHUNK_SIZE = 16 * 1024 * 1024  # a hostile header may not make the reader allocate more
_MAX_CHUNKS = 2**32
_HEADER = struct.Struct(">4sI32s7s")
_MAGIC = b"VMS1"
_TAG = 16
_REFUSED = "cannot be authenticated: another key or context, or the bytes were changed"


@dataclass(frozen=True)
class _Cipher:
    """The stream's own key with its chunk size and nonce prefix."""

    aead: AESGCM
    chunk_size: int
    prefix: bytes

    @classmethod
    def of(cls, header: bytes, key: bytes, context: bytes) -> _Cipher:
        magic, chunk_size, salt, prefix = _HEADER.unpack(header)
        if magic != _MAGIC or not 1 <= chunk_size <= _MAX_CHUNK_SIZE:
            raise CryptoError("is not encrypted by this version", where="stream", remedy="check that it is the file")
        if len(key) != KEY_BYTES:
            raise CryptoError(f"has {len(key)} bytes, not {KEY_BYTES}", where="data key")
        info = header + hashlib.sha256(context).digest()
        own_key = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=info).derive(key)
        return cls(AESGCM(own_key), chunk_size, prefix)

    def nonce(self, index: int, last: bool) -> bytes:
        if index >= _MAX_CHUNKS:
            raise CryptoError("is too long", where="stream", remedy="use larger chunks")
        return self.prefix + struct.pack(">IB", index, last)

    def open(self, index: int, last: bool, chunk: bytes) -> bytes:
        try:
            return self.aead.decrypt(self.nonce(index, last), chunk, None)
        except InvalidTag as error:
            raise CryptoError(_REFUSED, where=f"chunk {index}", remedy="restore the file from a copy") from error


def encrypt_stream(
    reader: BinaryIO, writer: BinaryIO, key: bytes, *, context: bytes, chunk_size: int = CHUNK_SIZE
) -> None:
    """Encrypt all of `reader` into `writer`. key: 32 bytes; context: must be given again to decrypt."""
    header = _HEADER.pack(_MAGIC, chunk_size, os.urandom(32), os.urandom(7))
    cipher = _Cipher.of(header, key, context)
    writer.write(header)
    writer.writelines(
        cipher.aead.encrypt(cipher.nonce(index, last), chunk, None)
        for index, last, chunk in _chunks(reader, chunk_size)
    )


def decrypt_stream(reader: BinaryIO, writer: BinaryIO, key: bytes, *, context: bytes) -> None:
    """Decrypt all of `reader` into `writer`. Raises CryptoError.

    Each chunk is authenticated before it is written, but a cut at the end shows only at the end: whoever calls
    throws away what was written when this raises.
    """
    cipher = _Cipher.of(_read_header(reader), key, context)
    writer.writelines(
        cipher.open(index, last, chunk) for index, last, chunk in _chunks(reader, cipher.chunk_size + _TAG)
    )


def decrypted_size(reader: BinaryIO) -> int:
    """Bytes of plaintext in a seekable stream, as its length and header say; not authenticated."""
    _, chunk_size, _, _ = _HEADER.unpack(_read_header(reader, rewind=True))
    n_chunks, ciphertext = _shape(reader, chunk_size)
    return ciphertext - n_chunks * _TAG


def decrypt_range(reader: BinaryIO, key: bytes, *, start: int, stop: int, context: bytes) -> Iterator[bytes]:
    """The plaintext bytes start <= i < stop of a seekable stream, chunk by chunk. Raises CryptoError.

    The last chunk is authenticated first, whatever the range, so that a cut file is found before a byte leaves.
    """
    cipher = _Cipher.of(_read_header(reader, rewind=True), key, context)
    n_chunks, ciphertext = _shape(reader, cipher.chunk_size)
    size = ciphertext - n_chunks * _TAG
    if not 0 <= start <= stop <= size:
        raise CryptoError(f"{start}..{stop} is outside 0..{size}", where="range", remedy="ask for less")
    _open_at(reader, cipher, n_chunks - 1, n_chunks)
    for index in range(start // cipher.chunk_size, -(-stop // cipher.chunk_size)):
        chunk = _open_at(reader, cipher, index, n_chunks)
        offset = index * cipher.chunk_size
        yield chunk[max(start - offset, 0) : stop - offset]


def _open_at(reader: BinaryIO, cipher: _Cipher, index: int, n_chunks: int) -> bytes:
    stored = cipher.chunk_size + _TAG
    reader.seek(_HEADER.size + index * stored)
    return cipher.open(index, index == n_chunks - 1, _read_up_to(reader, stored))


def _shape(reader: BinaryIO, chunk_size: int) -> tuple[int, int]:
    ciphertext = reader.seek(0, os.SEEK_END) - _HEADER.size
    n_chunks = -(-ciphertext // (chunk_size + _TAG))
    if n_chunks < 1 or ciphertext < n_chunks * _TAG:
        raise CryptoError("is cut short", where="stream", remedy="restore the file from a copy")
    return n_chunks, ciphertext


def _read_header(reader: BinaryIO, *, rewind: bool = False) -> bytes:
    if rewind:
        reader.seek(0)
    header = _read_up_to(reader, _HEADER.size)
    if len(header) < _HEADER.size:
        raise CryptoError("is cut short", where="stream", remedy="restore the file from a copy")
    return header


def _chunks(reader: BinaryIO, size: int) -> Iterator[tuple[int, bool, bytes]]:
    """(index, whether it is the last, bytes): one chunk ahead, for only then the last one is known."""
    index, chunk = 0, _read_up_to(reader, size)
    while following := _read_up_to(reader, size) if len(chunk) == size else b"":
        yield index, False, chunk
        index, chunk = index + 1, following
    yield index, True, chunk


def _read_up_to(reader: BinaryIO, size: int) -> bytes:
    """`size` bytes, or fewer at the end only: a pipe or socket may give less at a time."""
    parts: list[bytes] = []
    while size > 0 and (part := reader.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
