"""Stored values to pixels, by the formulas of PS3.3 C.11."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from veilmark.dicom.codes import RandomCodes
from veilmark.dicom.folder import read_folder
from veilmark.dicom.pixels import Values, fitted, window

WriteFile = Callable[..., Path]
RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def pixels_of(folder: Path, bit_depth: int = 12) -> np.ndarray:
    reading = read_folder(folder, codes=RandomCodes(), bit_depth=bit_depth)
    assert reading.refused == ()
    return reading.images[0].pixels


def dataset(**elements: object) -> Dataset:
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def lut(first: int, table: list[int], bits: int) -> Dataset:
    made = dataset(LUTDescriptor=[len(table), first, bits])
    made.add_new("LUTData", "US", table)
    return made


def test_full_window_keeps_every_level(folder: Path, write_file: WriteFile) -> None:
    write_file("a.dcm", RAMP, WindowCenter=2048, WindowWidth=4096)
    assert np.array_equal(pixels_of(folder), RAMP)
    assert pixels_of(folder, 8).dtype == np.uint8
    assert (pixels_of(folder, 8).min(), pixels_of(folder, 8).max()) == (0, 255)


def test_rescale_comes_before_the_window(folder: Path, write_file: WriteFile) -> None:
    hounsfield = np.array([[-1024, -160, 40, 240]], np.int16)
    write_file("a.dcm", hounsfield + 1024, RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=40.5, WindowWidth=401)
    assert pixels_of(folder, 8).tolist() == [[0, 0, 128, 255]]


def test_white_is_dense_in_monochrome1(folder: Path, write_file: WriteFile) -> None:
    write_file("a.dcm", RAMP, WindowCenter=2048, WindowWidth=4096, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(pixels_of(folder), 4095 - RAMP)


def test_without_window_the_own_range_counts(folder: Path, write_file: WriteFile) -> None:
    write_file("a.dcm", np.array([[100, 150], [175, 200]], np.uint16))
    assert pixels_of(folder, 8).tolist() == [[0, 128], [191, 255]]


def test_flat_image_is_black(folder: Path, write_file: WriteFile) -> None:
    write_file("a.dcm", np.full((4, 4), 7, np.uint16))
    assert not pixels_of(folder).any()


def test_voi_lut_goes_before_the_window(folder: Path, write_file: WriteFile) -> None:
    table = lut(first=10, table=[0, 51, 255], bits=8)
    stored = np.array([[0, 10, 11, 12, 99]], np.uint16)
    write_file("a.dcm", stored, VOILUTSequence=[table], WindowCenter=1, WindowWidth=2)
    assert pixels_of(folder, 8).tolist() == [[0, 0, 51, 255, 255]]


def test_each_frame_has_its_own_rescale_and_window(folder: Path, write_file: WriteFile) -> None:
    frames = np.stack([np.array([[0, 50, 100, 200]], np.uint16)] * 2)
    groups = [
        dataset(
            PixelValueTransformationSequence=[dataset(RescaleSlope=slope, RescaleIntercept=0, RescaleType="US")],
            FrameVOILUTSequence=[dataset(WindowCenter=50.5, WindowWidth=101)],
        )
        for slope in (1, 0.5)
    ]
    write_file("a.dcm", frames, NumberOfFrames=2, PerFrameFunctionalGroupsSequence=groups)
    images = read_folder(folder, codes=RandomCodes()).images
    assert [image.pixels.tolist() for image in images] == [[[0, 128, 255, 255]], [[0, 64, 128, 255]]]


def test_colour_stays_colour(folder: Path, write_file: WriteFile) -> None:
    colours = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    write_file("a.dcm", colours)
    assert np.array_equal(pixels_of(folder), colours)


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        ("LINEAR", [0, 0, 0.5, 1, 1]),
        ("LINEAR_EXACT", [0, 0, 0.475, 0.95, 1]),
        ("SIGMOID", [0, 0.109, 0.475, 0.858, 1]),
    ],
)
def test_window_functions(function: str, wanted: list[float]) -> None:
    values = np.array([-1000.0, -6, 4, 13.5, 1000])
    found = window(values, dataset(WindowCenter=4.5, WindowWidth=20, VOILUTFunction=function))
    assert found == pytest.approx(wanted, abs=0.002)


@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20).map(np.array),
    center=st.floats(-1e6, 1e6),
    width=st.floats(-10, 1e6),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID", ""]),
)
def test_any_window_keeps_order_and_range(values: Values, center: float, width: float, function: str) -> None:
    values = np.sort(values)
    found = window(values, dataset(WindowCenter=center, WindowWidth=width, VOILUTFunction=function))
    assert found.min() >= 0
    assert found.max() <= 1
    assert (np.diff(found) >= 0).all()


@given(height=st.integers(1, 40), width=st.integers(1, 40), size=st.integers(8, 32))
def test_fitted_is_square_and_keeps_a_flat_value(height: int, width: int, size: int) -> None:
    found = fitted(np.full((height, width), 0.5), size)
    assert found.shape == (size, size)
    assert set(np.round(np.unique(found), 6)) <= {0.0, 0.5}
    assert found.max() == pytest.approx(0.5)
