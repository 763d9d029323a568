"""Image sets: the one shape in which images travel between the root packages."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from generators.base import DataError

COLUMNS = ("label", "subject", "sex", "age_group", "site", "split", "licence")
SPLITS = ("train", "holdout", "control")

Strings = NDArray[np.str_]


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """Images with what is known of each.

    images: uint8 or uint16, [N, H, W] or [N, H, W, 3].
    label, subject, sex, age_group, site, split, licence: strings [N], or None where unknown for the whole set.
    An empty string marks a value that one image lacks.
    bits: how many bits of the storage are used, as somebody declared it: 9 to 16 for uint16, 8 for uint8; None for all
    of them. It is never read from the pixels: the brightest pixel of a private cohort is a private number.
    Raises DataError, also where a pixel lies above the declared white.
    """

    images: NDArray[np.uint8] | NDArray[np.uint16]
    label: Strings | None = None
    subject: Strings | None = None
    sex: Strings | None = None
    age_group: Strings | None = None
    site: Strings | None = None
    split: Strings | None = None
    licence: Strings | None = None
    bits: int | None = None

    def __post_init__(self) -> None:
        _check_images(self.images)
        _check_bits(self.images, self.bits)
        for name, column in self.columns():
            if column.shape != (len(self.images),):
                raise DataError(
                    f"column has shape {column.shape}, {len(self.images)} images",
                    where=name,
                    remedy="give one value an image",
                )

    def __len__(self) -> int:
        return len(self.images)

    def columns(self) -> Iterator[tuple[str, Strings]]:
        """The columns that are present, in the contract's order."""
        for name in COLUMNS:
            column = getattr(self, name)
            if column is not None:
                yield name, column

    @property
    def bit_depth(self) -> int:
        """8 or 16: the storage depth, not the used range."""
        return self.images.dtype.itemsize * 8

    @property
    def used_bits(self) -> int:
        """The declared number of bits, else the storage depth."""
        return self.bits or self.bit_depth

    @property
    def max_value(self) -> int:
        """White: 255, or 2^bits - 1 of 16-bit storage."""
        return int(2**self.used_bits - 1)

    @property
    def channels(self) -> int:
        return 1 if self.images.ndim == 3 else 3

    @property
    def privacy_unit(self) -> str:
        """`subject` where subjects are known, else `record`, which every shipped profile refuses (privacy.md 1)."""
        return "record" if self.subject is None else "subject"

    def subjects(self) -> Strings:
        """The privacy unit of each image: its subject, or its own index where subjects are unknown."""
        return np.arange(len(self)).astype(str) if self.subject is None else self.subject

    @property
    def n_subjects(self) -> int:
        return len(np.unique(self.subjects()))

    def select(self, keep: NDArray[np.bool_] | NDArray[np.intp]) -> ImageSet:
        """The images that a mask or an index array names, with their columns."""
        columns = {name: column[keep] for name, column in self.columns()}
        return replace(self, images=self.images[keep], **columns)  # type: ignore[arg-type]  # strings, by name

    def of_split(self, split: str) -> ImageSet:
        """The images of one split; the whole set where it has no split column and `split` is train."""
        if self.split is None:
            if split != "train":
                raise DataError(f"no images of split {split}", where="split", remedy="split the cohort by subject")
            return self
        return self.select(self.split == split)

    @property
    def digest(self) -> str:
        """`sha256:<hex>` over shapes, types, pixels, columns and declared bits, however the file was compressed."""
        state = hashlib.sha256()
        columns = [(name, np.char.encode(column, "utf-8")) for name, column in self.columns()]
        for name, value in (("images", self.images), *columns):
            array = np.ascontiguousarray(value)
            state.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
            state.update(array.tobytes())
        if self.used_bits != self.bit_depth:
            state.update(f"bits:{self.used_bits};".encode())
        return f"sha256:{state.hexdigest()}"

    def write(self, stream: IO[bytes]) -> None:
        """Write the contract's `.npz`: `images`, the columns that are present, `bits` of 16-bit storage."""
        arrays = {"images": self.images, **dict(self.columns()), **self.bits_entry()}
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]

    def bits_entry(self) -> dict[str, NDArray[np.uint8]]:
        """The array `bits` of the contract's `.npz`; nothing for 8-bit images, where it could only be 8."""
        return {} if self.bit_depth == 8 else {"bits": np.array(self.used_bits, dtype=np.uint8)}

    def save(self, path: Path) -> None:
        """`write` to a file."""
        with path.open("wb") as stream:
            self.write(stream)

    @classmethod
    def load(cls, path: Path) -> ImageSet:
        """`read` from a file. Raises DataError in one line."""
        try:
            with path.open("rb") as stream:
                return cls.read(stream, where=str(path))
        except OSError as error:
            raise DataError("no such file, or not readable", where=str(path), remedy="check the path") from error

    @classmethod
    def read(cls, stream: IO[bytes], *, where: str) -> ImageSet:
        """Read an `.npz` of the contract; `labels` is accepted for `label`. Raises DataError in one line."""
        try:
            with np.load(stream, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except (ValueError, TypeError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise DataError("not a readable .npz", where=where, remedy="write it with numpy.savez") from error
        if "images" not in arrays:
            raise DataError("has no array `images`", where=where, remedy="name the pixel array `images`")
        if "labels" in arrays:
            arrays.setdefault("label", arrays["labels"])
        columns = {name: _words(name, arrays[name], where) for name in COLUMNS if name in arrays}
        return cls(images=arrays["images"], bits=_bits(arrays.get("bits"), where), **columns)


def images_per_subject(subjects: NDArray[np.generic]) -> NDArray[np.intp]:
    """k [N] for each image of a subject with k images; subjects [N] are names or numbers.

    What an image adds to a sum is divided by it: the weights 1/k of a subject sum to 1. Where no image adds more than
    norm b, no subject moves the sum by more than b, whatever the number of images (the triangle inequality).
    """
    _, owner, n_images = np.unique(subjects, return_inverse=True, return_counts=True)
    return np.asarray(n_images[owner])


def _words(name: str, column: NDArray[np.generic], where: str) -> Strings:
    """A column as strings. A label or subject that is NaN is a gap of an export, not a word."""
    words = column.astype(str)
    if name in {"label", "subject"} and np.any(np.char.lower(words) == "nan"):
        raise DataError(f"{name} is NaN for some images", where=where, remedy=f"give every image a {name}")
    return words


def _bits(value: NDArray[np.generic] | None, where: str) -> int | None:
    if value is None:
        return None
    if value.shape != () or not np.issubdtype(value.dtype, np.integer):
        raise DataError("bits is no whole number", where=where, remedy="store bits as one number, such as 12")
    return int(value.item())


def _check_images(images: NDArray[np.generic]) -> None:
    if images.dtype not in (np.uint8, np.uint16):
        raise DataError(f"pixel type is {images.dtype}", where="images", remedy="store uint8 or uint16")
    if images.ndim != 3 and not (images.ndim == 4 and images.shape[3] == 3):
        raise DataError(f"shape is {images.shape}", where="images", remedy="use [N,H,W] or [N,H,W,3]")


def _check_bits(images: NDArray[np.generic], bits: int | None) -> None:
    if bits is None:
        return
    depth = images.dtype.itemsize * 8
    if not (bits == 8 if depth == 8 else 8 < bits <= 16):
        wanted = "8" if depth == 8 else "9 to 16"
        raise DataError(f"is {bits} for {images.dtype} pixels", where="bits", remedy=f"declare {wanted}")
    if bits < depth and images.size and int(images.max()) >= 2**bits:
        raise DataError(
            f"a pixel lies above {2**bits - 1}, the white of {bits} bits",
            where="images",
            remedy="declare more bits, as in --bits 16",
        )
