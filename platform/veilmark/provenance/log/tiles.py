"""The tree in files (c2sp.org/tlog-tiles): tiles of 256 hashes, a level of tiles for every eight levels of the tree.

Level 0 holds the hashes of entries, and each hash above it is the root of a whole tile below. The last tile of a level
is partial until it is full; its name says how many hashes it holds, so no file ever changes once its size is signed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from veilmark.provenance.errors import LogError
from veilmark.provenance.merkle import node_hash

WIDTH = 256
HASH_BYTES = 32
HEIGHT = 8  # levels of the tree to a level of tiles
Read = Callable[[str], bytes]  # a path below the log's folder to the file's bytes; raises ProvenanceError


def tile_path(level: int | str, index: int, width: int = WIDTH) -> str:
    """Where a tile lies: `tile/<level>/x001/x234/067`, with `.p/<width>` where it is partial."""
    parts = [f"{index % 1000:03d}"]
    while index := index // 1000:
        parts.insert(0, f"x{index % 1000:03d}")
    partial = f".p/{width}" if width < WIDTH else ""
    return f"tile/{level}/{'/'.join(parts)}{partial}"


def entries_path(index: int, width: int = WIDTH) -> str:
    """Where the entries of tile `index` of level 0 lie."""
    return tile_path("entries", index, width)


def widths(size: int, level: int) -> list[int]:
    """The widths of the tiles of one level in a tree of `size` leaves, in their order."""
    full, rest = divmod(size >> (HEIGHT * level), WIDTH)
    return [WIDTH] * full + ([rest] if rest else [])


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over a power of two of hashes."""
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]


def split_hashes(data: bytes, width: int, *, where: str) -> list[bytes]:
    """The hashes of a tile. Raises LogError for another number of them."""
    if len(data) != width * HASH_BYTES:
        raise LogError(f"holds {len(data)} bytes, not {width} hashes", where=where)
    return [data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)]


class TiledTree:
    """The tree of `size` leaves, read tile by tile: `node` is what `merkle` makes proofs from.

    Nothing read is believed: a proof that it gives must lead to the root of a signed checkpoint.
    """

    def __init__(self, read: Read, size: int) -> None:
        self._read, self._size = read, size
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def node(self, level: int, index: int) -> bytes:
        """The hash of a whole subtree. Raises ProvenanceError where its tile is missing or damaged."""
        tile_level, height = divmod(level, HEIGHT)
        tile, offset = divmod(index << height, WIDTH)
        return fold(self.tile(tile_level, tile)[offset : offset + (1 << height)])

    def tile(self, level: int, index: int) -> list[bytes]:
        """The hashes of one tile. Raises ProvenanceError."""
        if (level, index) not in self._tiles:
            width = min(WIDTH, (self._size >> (HEIGHT * level)) - index * WIDTH)
            path = tile_path(level, index, width)
            self._tiles[level, index] = split_hashes(self._read(path), width, where=path)
        return self._tiles[level, index]
