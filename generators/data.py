"""Image sets: the one shape in which images travel between the root packages."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from generators.base import DataError

COLUMNS = ("label", "subject", "sex", "age_group", "site", "split")
SPLITS = ("train", "holdout", "control")

Strings = NDArray[np.str_]


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """Images with what is known of each.

    images: uint8 or uint16, [N, H, W] or [N, H, W, 3].
    label, subject, sex, age_group, site, split: strings [N], or None where unknown for the whole set.
    An empty string marks a value that one image lacks.
    """

    images: NDArray[np.uint8] | NDArray[np.uint16]
    label: Strings | None = None
    subject: Strings | None = None
    sex: Strings | None = None
    age_group: Strings | None = None
    site: Strings | None = None
    split: Strings | None = None

    def __post_init__(self) -> None:
        _check_images(self.images)
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
    def max_value(self) -> int:
        """White: 255, or 4095 where 16-bit storage holds at most 12 used bits, else 65535."""
        if self.bit_depth == 8:
            return 255
        return 4095 if not len(self) or int(self.images.max()) <= 4095 else 65535

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
        return replace(self, images=self.images[keep], **{name: column[keep] for name, column in self.columns()})

    def of_split(self, split: str) -> ImageSet:
        """The images of one split; the whole set where it has no split column and `split` is train."""
        if self.split is None:
            if split != "train":
                raise DataError(f"no images of split {split}", where="split", remedy="split the cohort by subject")
            return self
        return self.select(self.split == split)

    @property
    def digest(self) -> str:
        """`sha256:<hex>` over shapes, types, pixels and columns, independent of how the file was compressed."""
        state = hashlib.sha256()
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                array = np.ascontiguousarray(value if field.name == "images" else np.char.encode(value, "utf-8"))
                state.update(f"{field.name}:{array.dtype.str}:{array.shape};".encode())
                state.update(array.tobytes())
        return f"sha256:{state.hexdigest()}"

    def write(self, stream: IO[bytes]) -> None:
        """Write the contract's `.npz`: `images` and the columns that are present."""
        arrays = {"images": self.images, **dict(self.columns())}
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]

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
        columns = {name: arrays[name].astype(str) for name in COLUMNS if name in arrays}
        return cls(images=arrays["images"], **columns)


def _check_images(images: NDArray[np.generic]) -> None:
    if images.dtype not in (np.uint8, np.uint16):
        raise DataError(f"pixel type is {images.dtype}", where="images", remedy="store uint8 or uint16")
    if images.ndim != 3 and not (images.ndim == 4 and images.shape[3] == 3):
        raise DataError(f"shape is {images.shape}", where="images", remedy="use [N,H,W] or [N,H,W,3]")
