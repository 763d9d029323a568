"""A folder of DICOM files to de-identified images; a file that cannot be used is named with its reason."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from veilmark.dicom.base import Codes, DicomError, DicomImage, FolderReading, ReadLimits, RefusedFile
from veilmark.dicom.child import Answer, Child, ChildFailedError
from veilmark.dicom.pixels import BIT_DEPTHS

Progress = Callable[[int, int, str], None]
_IDENTIFIERS = ("subject", "study", "series", "instance")


def no_progress(done: int, total: int, message: str) -> None:
    """The progress callback of callers who do not look."""


def read_folder(
    folder: Path,
    *,
    codes: Codes,
    bit_depth: int = 8,
    size: int | None = None,
    limits: ReadLimits | None = None,
    progress: Progress = no_progress,
) -> FolderReading:
    """Read every file below `folder`, in the order of their names. Links are never followed.

    codes: makes the codes that stand for identifiers. bit_depth: 8 or 12, of grey images. size: fits every image into
    a square of that many pixels; None keeps each as it is (see `of_one_shape`). Raises DicomError.
    """
    if bit_depth not in BIT_DEPTHS:
        raise DicomError(f"is {bit_depth}", where="bit depth", remedy="choose 8 or 12")
    if size is not None and not 8 <= size <= 4096:
        raise DicomError(f"is {size}", where="size", remedy="give 8 to 4096 pixels, or none")
    found, images, refused = _files(folder), list[DicomImage](), list[RefusedFile]()
    paths = [folder / name for name in found if not (folder / name).is_symlink()]
    refused += [RefusedFile(file=name, reason="is a link") for name in found if (folder / name).is_symlink()]
    for path, answer in _answers(paths, bit_depth, size, limits or ReadLimits()):
        name = str(path.relative_to(folder))
        if answer.refused:
            refused.append(RefusedFile(file=name, reason=answer.refused))
        images += _images(name, answer, codes)
        progress(len(refused) + len({image.file for image in images}), len(found), name)
    return FolderReading(images=tuple(images), refused=tuple(refused))


def of_one_shape(reading: FolderReading) -> FolderReading:
    """The images of the most frequent shape; files of another one are refused. For sets that ask for one size."""
    if not reading.images:
        return reading
    shape = Counter(image.pixels.shape for image in reading.images).most_common(1)[0][0]
    other = {image.file for image in reading.images if image.pixels.shape != shape}
    reason = f"has another image size than most ({' x '.join(map(str, shape))})"
    return FolderReading(
        images=tuple(image for image in reading.images if image.file not in other),
        refused=(*reading.refused, *(RefusedFile(file=name, reason=reason) for name in sorted(other))),
    )


def _answers(paths: list[Path], bit_depth: int, size: int | None, limits: ReadLimits) -> Iterator[tuple[Path, Answer]]:
    """One child for many files, and a new one after each that it did not survive."""
    with ExitStack() as stack:
        child: Child | None = None
        for path in paths:
            child = child or stack.enter_context(Child(bit_depth=bit_depth, size=size, limits=limits))
            try:
                answer = child.read(str(path.absolute()))
            except ChildFailedError as error:
                stack.close()
                child, answer = None, Answer(refused=str(error), header={}, frames=[])
            yield path, answer


def _images(name: str, answer: Answer, codes: Codes) -> list[DicomImage]:
    if not answer.frames:
        return []
    coded = {kind: codes(kind, str(answer.header[kind])) for kind in _IDENTIFIERS}
    return [
        DicomImage(pixels=pixels, file=name, frame=index, **(answer.header | coded))
        for index, pixels in enumerate(answer.frames)
    ]


def _files(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise DicomError("is no folder", where=str(folder), remedy="give a folder of DICOM files")
    found: list[str] = []
    for place, folders, files in os.walk(folder, onerror=_unreadable):
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        found += [str((Path(place) / name).relative_to(folder)) for name in (*files, *links)]
    if not found:
        raise DicomError("is empty", where=str(folder), remedy="give a folder of DICOM files")
    return sorted(found)


def _unreadable(error: OSError) -> None:
    raise DicomError("cannot be listed", where=str(error.filename), remedy="check its owner and mode") from error
