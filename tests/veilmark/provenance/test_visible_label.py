"""The visible label: large enough, where it was asked for, and the mark under it is still found."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from veilmark.provenance.dicom_files import DicomWriter
from veilmark.provenance.embedded.visible_label import VisibleLabel, overlay_of, with_label
from veilmark.provenance.errors import FileError
from veilmark.provenance.prepared import PreparedImages, prepare_images
from veilmark.provenance.watermark import detect_mark

AT = "2026-11-21T09:30:00Z"
in_pixels = pytest.mark.parametrize("label", [VisibleLabel.BURNED_IN, VisibleLabel.BORDER])


def kinds(make_textured, size: int) -> dict[str, np.ndarray]:
    grey = make_textured(2, size).astype(np.uint8)
    return {
        "8 bit": grey,
        "12 bit": make_textured(2, size, maximum=4095),
        "16 bit": make_textured(2, size, maximum=65535),
        "colour": np.stack([grey, grey // 2 + 60, 255 - grey], axis=-1),
    }


def prepare(folder: Path, images: np.ndarray, rows, label: VisibleLabel, bits: int = 0) -> PreparedImages:
    return prepare_images(
        folder / "out",
        images=images,
        metadata=rows,
        mark_release=7,
        created_at=AT,
        writers=[DicomWriter(generator="phantoms", version="1", bits=bits)],
        visible_label=label,
    )


@pytest.mark.parametrize("size", [128, 200, 512])
def test_letters_are_five_percent_of_the_shortest_side(size: int) -> None:
    plane = overlay_of(np.zeros((size, size + 40), np.uint8))
    rows, columns = np.nonzero(plane)
    height = int(np.ptp(rows)) + 1
    assert 0.05 * size <= height <= 0.11 * size
    assert int(np.ptp(columns)) + 1 == 53 * height // 7
    assert plane.shape == (size, size + 40)


@in_pixels
@pytest.mark.parametrize("kind", ["8 bit", "12 bit", "16 bit", "colour"])
@pytest.mark.parametrize("size", [128, 256])
def test_the_mark_is_found_under_the_label(
    label: VisibleLabel, kind: str, size: int, make_textured, make_rows, tmp_path: Path
) -> None:
    images = kinds(make_textured, size)[kind]
    prepared = prepare(tmp_path, images, make_rows(2), label, bits=16 if kind == "16 bit" else 0)
    assert prepared.n_marked == 2
    for image in prepared.draft.images:
        dataset = pydicom.dcmread(prepared.folder / image.files[1].path)
        found = detect_mark(dataset.pixel_array)
        assert (found.id.hex if found.id else "", found.stage) == (image.mark_id, "direct")
        assert dataset.BurnedInAnnotation == "YES"
        assert dataset.Columns == size
        assert (dataset.Rows > size) == (label is VisibleLabel.BORDER)


def test_a_border_leaves_every_pixel_of_the_image(make_textured) -> None:
    image = make_textured(1, 64)[0].astype(np.uint8)
    bordered = with_label(image, VisibleLabel.BORDER)
    assert np.array_equal(bordered[:64], image)
    assert len(np.unique(bordered[64:])) == 2


def test_an_overlay_is_for_dicom_alone(make_textured, make_rows, tmp_path: Path) -> None:
    prepared = prepare(tmp_path, make_textured(2, 64).astype(np.uint8), make_rows(2), VisibleLabel.OVERLAY)
    png, dicom = (prepared.folder / entry.path for entry in prepared.draft.images[0].files)
    dataset = pydicom.dcmread(dicom)
    pixels = np.asarray(Image.open(io.BytesIO(png.read_bytes())))
    assert np.array_equal(dataset.pixel_array, pixels)
    assert np.array_equal(dataset.overlay_array(0x6000).astype(bool), overlay_of(pixels))
    assert dataset.BurnedInAnnotation == "NO"


def test_nothing_is_drawn_unless_asked_for(make_textured) -> None:
    image = make_textured(1, 128)[0]
    assert with_label(image, VisibleLabel.NONE) is image


@pytest.mark.parametrize(
    ("label", "shape"),
    [(VisibleLabel.BURNED_IN, (127, 300)), (VisibleLabel.BORDER, (300, 48)), (VisibleLabel.OVERLAY, (48, 48))],
    ids=str,
)
def test_images_too_small_for_the_word_are_refused(label: VisibleLabel, shape, make_rows, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="pixels"):
        prepare(tmp_path, np.zeros((1, *shape), np.uint8), make_rows(1), label)
    assert list(tmp_path.iterdir()) == []
