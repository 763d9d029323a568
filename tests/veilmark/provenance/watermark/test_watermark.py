"""Marks are read back from what images go through, and never from images that bear none."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from veilmark.provenance.errors import MarkError
from veilmark.provenance.watermark import (
    PUBLIC_DETECTION_KEY,
    MarkId,
    detect_mark,
    direct_ids,
    mark_images,
    version_for,
)
from veilmark.provenance.watermark.detect import carries


def ids(n: int, size: int = 64) -> list[MarkId]:
    """As a release takes them at this size: 128 bits from 128 px."""
    return [MarkId(release=7, random=1000 + i, version=version_for(size, size)) for i in range(n)]


def psnr(marked: np.ndarray, original: np.ndarray, peak: float) -> np.ndarray:
    axes = tuple(range(1, marked.ndim))
    return 10 * np.log10(peak**2 / ((marked.astype(float) - original) ** 2).mean(axis=axes))


def jpeg(quality: int) -> Callable[[np.ndarray], np.ndarray]:
    def attack(image: np.ndarray) -> np.ndarray:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=quality)
        return np.asarray(Image.open(buffer))

    return attack


def noise(image: np.ndarray) -> np.ndarray:
    drawn = np.random.default_rng(int(image.sum())).normal(0, 2, image.shape)
    return np.clip(np.rint(image + drawn), 0, 255).astype(np.uint8)


def crop(image: np.ndarray) -> np.ndarray:
    """A tenth of each side."""
    before = image.shape[0] // 20
    after = image.shape[0] // 10 - before
    return image[before:-after, before:-after]


def window(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint((image - 25.0) * 1.25), 0, 255).astype(np.uint8)


def rotate(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image).rotate(2, Image.Resampling.BICUBIC))


@pytest.mark.parametrize("size", [64, 128, 256])
@pytest.mark.parametrize("maximum", [255, 4095, 65535])
def test_grey_images_of_every_depth_are_marked_and_read(make_textured, size: int, maximum: int) -> None:
    images = make_textured(4, size, seed=size, maximum=maximum)
    images = images.astype(np.uint8) if maximum == 255 else images
    marked = mark_images(images, ids(4, size))
    assert marked.is_marked.all()
    assert direct_ids(marked.images) == ids(4, size)
    assert marked.images.dtype == images.dtype
    assert (marked.images.min(axis=(1, 2)) == images.min(axis=(1, 2))).all()
    assert (marked.images.max(axis=(1, 2)) == images.max(axis=(1, 2))).all()
    goal = {64: 40.5, 128: 42.5, 256: 43.5}[size]
    assert psnr(marked.images, images, maximum).min() >= goal


@pytest.mark.parametrize("size", [64, 128, 256])
def test_colour_images_survive_becoming_grey(make_textured, size: int) -> None:
    images = np.stack([make_textured(2, size, seed=s).astype(np.uint8) for s in range(3)], axis=-1)
    marked = mark_images(images, ids(2, size))
    assert marked.is_marked.all()
    for image, mark in zip(marked.images, ids(2, size), strict=True):
        assert detect_mark(image).id == mark
        assert detect_mark(np.asarray(Image.fromarray(image).convert("L"))).id == mark


@pytest.mark.parametrize("shape", [(96, 128), (65, 71), (130, 200)])
def test_sides_need_not_be_equal_or_multiples_of_a_block(make_textured, shape: tuple[int, int]) -> None:
    images = make_textured(2, max(shape), seed=9)[:, : shape[0], : shape[1]].astype(np.uint8)
    marked = mark_images(images, ids(2, min(shape)))
    assert marked.images.shape == images.shape
    assert direct_ids(marked.images) == ids(2, min(shape))


@pytest.mark.parametrize(
    ("attack", "least"),
    [
        pytest.param(jpeg(75), 0.99, id="JPEG 75"),
        pytest.param(jpeg(50), 0.9, id="JPEG 50"),
        pytest.param(noise, 0.99, id="noise 2"),
        pytest.param(crop, 0.95, id="crop 10 percent"),
        pytest.param(rotate, 0.9, id="rotate 2 degrees"),
        pytest.param(window, 0.95, id="window"),
        pytest.param(lambda image: image[:, ::-1], 0.99, id="flip"),
        pytest.param(np.rot90, 0.99, id="quarter turn"),
    ],
)
@pytest.mark.parametrize("size", [64, 128])
def test_real_images_keep_their_mark(chest_images, size: int, attack: Callable, least: float) -> None:
    images = chest_images[7::80][:12]
    if size == 64:
        images = np.stack([np.asarray(Image.fromarray(image).resize((64, 64))) for image in images])
    known = ids(12, size)
    marked = mark_images(images, known)
    found = [detect_mark(attack(image), known_ids=known).id for image in marked.images]
    assert np.mean([got == mark for got, mark in zip(found, known, strict=True)]) >= least
    assert set(found) <= {*known, None}


def test_every_real_image_is_marked_read_back_and_hardly_changed(chest_images) -> None:
    marked = mark_images(chest_images, ids(1000, 128))
    assert marked.is_marked.all()
    assert direct_ids(marked.images) == ids(1000, 128)
    assert psnr(marked.images, chest_images, 255).min() >= 42.5


def test_reading_back_says_what_decoding_says(make_textured) -> None:
    """Worn by more and more noise: first certain, then decoded, then lost."""
    marked = mark_images(make_textured(8, 64, seed=41).astype(np.uint8), ids(8)).images
    rng = np.random.default_rng(42)
    worn = np.stack([np.clip(marked[i] + rng.normal(0, 1.5 * i, marked[i].shape), 0, 255) for i in range(8)])
    read = carries(worn.astype(np.uint8), ids(8), key=PUBLIC_DETECTION_KEY)
    assert read.tolist() == [got == mark for got, mark in zip(direct_ids(worn.astype(np.uint8)), ids(8), strict=True)]
    assert read.any()
    assert not read.all()
    assert not carries(marked, ids(9)[1:], key=PUBLIC_DETECTION_KEY).any()


def test_unmarked_images_show_no_mark(make_textured) -> None:
    images = make_textured(300, 64, seed=77).astype(np.uint8)
    assert direct_ids(images) == [None] * 300
    known = ids(500)
    for image in images[:12]:
        found = detect_mark(image, known_ids=known)
        assert not found.detected
        assert found.stage == "none"
        assert 0 < found.false_positive_rate < 1e-6


def test_another_key_sees_nothing(make_textured) -> None:
    images = make_textured(2, 64).astype(np.uint8)
    marked = mark_images(images, ids(2), key=b"a secret key of a hospital")
    assert direct_ids(marked.images, key=b"a secret key of a hospital") == ids(2)
    assert not detect_mark(marked.images[0]).detected


def test_known_ids_reach_further_than_decoding(make_textured) -> None:
    images = make_textured(6, 128, seed=4).astype(np.uint8)
    known = ids(6, 128)
    marked = mark_images(images, known)
    worn = [jpeg(20)(image) for image in marked.images]
    found = [detect_mark(image, known_ids=known) for image in worn]
    assert "manifest" in {detection.stage for detection in found}
    assert all(detection.id in {mark, None} for detection, mark in zip(found, known, strict=True))


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(np.full((64, 64), 7, np.uint8), id="constant"),
        pytest.param(np.zeros((128, 128, 3), np.uint8), id="black colour"),
        pytest.param(np.arange(63 * 64, dtype=np.uint16).reshape(63, 64), id="63 px"),
        pytest.param(np.arange(9, dtype=np.uint8).reshape(3, 3), id="3 px"),
    ],
)
def test_what_cannot_hold_a_mark_is_left_alone_and_said(image: np.ndarray) -> None:
    marked = mark_images(image[None], ids(1))
    assert not marked.is_marked[0]
    assert (marked.images[0] == image).all()
    assert not detect_mark(image).detected


@pytest.mark.parametrize(
    "images",
    [np.zeros((2, 64, 64), np.float32), np.zeros((64, 64), np.uint8), np.zeros((1, 64, 64, 4), np.uint8)],
    ids=["float", "no batch", "four channels"],
)
def test_other_arrays_are_refused(images: np.ndarray) -> None:
    with pytest.raises(MarkError, match="uint8 or uint16"):
        mark_images(images, ids(len(images)))


@pytest.mark.parametrize("shape", [(64, 64), (127, 300)])
def test_a_long_id_needs_128_pixels(shape: tuple[int, int]) -> None:
    with pytest.raises(MarkError, match="128 bits is too long for images of this size"):
        mark_images(np.zeros((1, *shape), np.uint8), ids(1, 128))


def test_ids_of_one_batch_are_of_one_length() -> None:
    with pytest.raises(MarkError, match="several versions"):
        mark_images(np.zeros((2, 128, 128), np.uint8), [*ids(1), *ids(1, 128)])


def test_as_many_ids_as_images() -> None:
    with pytest.raises(MarkError, match="2 images but 1 ids"):
        mark_images(np.zeros((2, 64, 64), np.uint8), ids(1))


def test_no_images_are_no_error() -> None:
    assert mark_images(np.zeros((0, 64, 64), np.uint8), []).images.shape == (0, 64, 64)
