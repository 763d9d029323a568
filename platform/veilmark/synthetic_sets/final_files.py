"""Reading a set's final files: the bytes that would leave, never the arrays they were written from."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass

import numpy as np
from PIL import Image

from generators.data import ImageSet
from veilmark.core.errors import IntegrityError
from veilmark.provenance.digests import content_digest
from veilmark.provenance.files import FinalImage, read_final
from veilmark.provenance.prepared import PreparedImages
from veilmark.provenance.proofs import content_tree, root_digest
from veilmark.provenance.watermark import MarkId, detect_mark, mark_survival
from veilmark.synthetic_sets.models import SyntheticSet
from veilmark.synthetic_sets.selectors import set_folder

SHEET_COLUMNS = 12
SHEET_ROWS = 6
SHEET_GAP = 2


@dataclass(frozen=True, kw_only=True)
class FinalSet:
    """Images as read, and the Merkle root of what was read."""

    images: ImageSet
    content_root: str


def read_final_set(synthetic_set: SyntheticSet) -> FinalSet:
    """Every image of the set with its columns. Raises ProvenanceError, IntegrityError for damage and gaps."""
    prepared = PreparedImages.read(set_folder(synthetic_set))
    finals = [_read(prepared, row) for row in range(len(prepared.draft.images))]
    known = [final.metadata for final in finals if final.metadata]
    digests = [content_digest(final.pixels, final.metadata) for final in finals if final.metadata]
    columns = {name: np.array([getattr(row, name) for row in known]) for name in ("label", "sex", "age_group")}
    return FinalSet(
        images=ImageSet(images=np.stack([final.pixels for final in finals]), bits=_bits(synthetic_set), **columns),
        content_root=root_digest(content_tree(digests)),
    )


def read_final_image(synthetic_set: SyntheticSet, row: int) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    """The pixels of one image."""
    return _read(PreparedImages.read(set_folder(synthetic_set)), row).pixels


def read_audited_image(
    synthetic_set: SyntheticSet, row: int, *, content_root: str
) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    """The pixels of one image. Raises IntegrityError unless they belong to the files of which `content_root` is."""
    prepared = PreparedImages.read(set_folder(synthetic_set))
    digests = [entry.content_digest for entry in prepared.draft.images]
    final = _read(prepared, row)
    is_it = final.metadata is not None and content_digest(final.pixels, final.metadata) == digests[row]
    if not is_it or root_digest(content_tree(digests)) != content_root:
        raise IntegrityError("is not what was audited", where=f"image {row} of {synthetic_set}", remedy="draw it anew")
    return final.pixels


def white_of(synthetic_set: SyntheticSet) -> int:
    """The white of the set's images: the generator card declares their bits."""
    return int(2 ** (_bits(synthetic_set) or 8) - 1)


def _bits(synthetic_set: SyntheticSet) -> int | None:
    bits = synthetic_set.training_run.card.get("bit_depth")
    return None if bits is None else int(bits)


def as_8_bit(
    pixels: np.ndarray[tuple[int, ...], np.dtype[np.generic]], *, white: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Pixels for a screen: 16-bit values are scaled by `white`, which was declared and not read from them."""
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8)
    return (pixels.astype(np.float32) * (255 / white)).round().clip(0, 255).astype(np.uint8)


def n_marks_found(prepared: PreparedImages) -> int:
    """In how many final files a blind search finds the very mark that was put there."""
    found = 0
    for row, entry in enumerate(prepared.draft.images):
        detection = detect_mark(_read(prepared, row).pixels) if entry.mark_id else None
        found += detection is not None and detection.id is not None and detection.id.hex == entry.mark_id
    return found


def marks_after_attacks(prepared: PreparedImages, *, seed: int) -> dict[str, object]:
    """What the built-in attacks leave of the marks of a random sample, for `SyntheticSet.mark_survival`.

    `passes` is False where an image of the set bears no mark: there is nothing that could survive.
    """
    if prepared.n_marked < len(prepared.draft.images):
        return {"passes": False, "n_tried": 0, "attacks": []}
    ids = [MarkId.from_hex(entry.mark_id) for entry in prepared.draft.images]
    survival = mark_survival(_FinalPixels(prepared), ids, seed=seed)
    attacks = [asdict(attack) for attack in survival.attacks]
    return {"passes": survival.passes, "n_tried": survival.n_tried, "attacks": attacks}


@dataclass(frozen=True)
class _FinalPixels:
    """The pixels of final files, each read when it is asked for: a set may be larger than memory."""

    prepared: PreparedImages

    def __len__(self) -> int:
        return len(self.prepared.draft.images)

    def __getitem__(self, row: int) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
        return _read(self.prepared, row).pixels


def contact_sheet(synthetic_set: SyntheticSet) -> bytes:
    """A PNG of up to 72 images, labels taking turns. Only synthetic images: nothing real lies beside them."""
    images = read_final_set(synthetic_set).images
    grid = SHEET_COLUMNS * SHEET_ROWS
    rows = np.argsort(_turns(images), kind="stable")[:grid]
    tiles = images.select(rows).images.astype(np.float32) * (255 / images.max_value)
    buffer = io.BytesIO()
    Image.fromarray(_tiled(tiles.round().astype(np.uint8))).save(buffer, format="PNG")
    return buffer.getvalue()


def _turns(images: ImageSet) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Each image's position among those of its label: sorting by it makes the labels take turns."""
    labels = np.zeros(len(images), str) if images.label is None else images.label
    turns = np.empty(len(images), dtype=np.intp)
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        turns[mine] = np.arange(len(mine))
    return turns


def _tiled(tiles: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    n_rows = -(-len(tiles) // SHEET_COLUMNS)
    height, width = (side + SHEET_GAP for side in tiles.shape[1:3])
    sheet = np.full((n_rows * height - SHEET_GAP, SHEET_COLUMNS * width - SHEET_GAP, *tiles.shape[3:]), 255, np.uint8)
    for position, tile in enumerate(tiles):
        top, left = position // SHEET_COLUMNS * height, position % SHEET_COLUMNS * width
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return sheet


def _read(prepared: PreparedImages, row: int) -> FinalImage:
    name = prepared.draft.images[row].files[0].path
    try:
        data = (prepared.folder / name).read_bytes()
    except OSError as error:
        raise IntegrityError(f"cannot be read ({error.strerror})", where=name, remedy="draw the set anew") from error
    return read_final(data, where=name)
