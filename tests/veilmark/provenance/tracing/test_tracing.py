"""A leaked image names who received it, also after what images go through, and never who did not."""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from veilmark.provenance.errors import MarkError
from veilmark.provenance.tracing import FALSE_ACCUSATION_RATE, Leak, find_recipients, trace_images
from veilmark.provenance.tracing.layer import sign_pattern, subspace
from veilmark.provenance.tracing.recipients import scores_of, threshold_for
from veilmark.provenance.watermark import PUBLIC_DETECTION_KEY, MarkId, detect_mark, direct_ids, mark_images
from veilmark.provenance.watermark.pattern import pattern_for, profile_for

SECRET = bytes(range(32))
EVERYBODY = [f"grant-{i:03d}" for i in range(200)]
ALICE, BOB = EVERYBODY[7], EVERYBODY[8]
Attack = Callable[[np.ndarray], np.ndarray]


def ids(n: int) -> list[MarkId]:
    return [MarkId(release=7, random=1000 + i) for i in range(n)]


def names(n: int) -> list[str]:
    return [f"img-{i:03d}" for i in range(n)]


def copy_for(recipient: str, images: np.ndarray) -> np.ndarray:
    traced = trace_images(images, image_ids=names(len(images)), recipient=recipient, secret=SECRET)
    assert traced.is_traced.all()
    return traced.images


def leaks_of(images: np.ndarray, originals: np.ndarray) -> list[Leak]:
    rows = zip(names(len(images)), images, originals, strict=True)
    return [Leak(image_id=name, pixels=pixels, original=original) for name, pixels, original in rows]


def named(leaks: list[Leak], among: list[str] = EVERYBODY) -> list[str]:
    return [suspect.recipient for suspect in find_recipients(leaks, among, secret=SECRET).named]


@pytest.fixture(scope="module")
def released(make_textured: Callable[..., np.ndarray]) -> np.ndarray:
    images = make_textured(4, 128, seed=3).astype(np.uint8)
    return mark_images(images, ids(4)).images


@pytest.mark.parametrize("size", [64, 72])
@pytest.mark.parametrize(("maximum", "kind"), [(255, np.uint8), (4095, np.uint16), (65535, np.uint16), (40, np.uint8)])
def test_grey_images_of_every_depth_carry_the_layer(make_textured, size: int, maximum: int, kind: type) -> None:
    images = make_textured(2, size, seed=size, maximum=maximum).astype(kind)
    marked = mark_images(images, ids(2)).images
    copies = copy_for(ALICE, marked)
    assert (copies.dtype, copies.shape) == (marked.dtype, marked.shape)
    assert (copies.min(axis=(1, 2)) == marked.min(axis=(1, 2))).all()
    assert (copies.max(axis=(1, 2)) == marked.max(axis=(1, 2))).all()
    assert direct_ids(copies) == direct_ids(marked) == ids(2)
    for leak in leaks_of(copies, marked):
        assert named([leak]) == [ALICE]


def test_colour_images_take_the_same_change_on_all_channels(make_textured) -> None:
    grey = make_textured(2, 64, seed=9).astype(np.uint8)
    images = np.stack([grey, grey // 2 + 60, 255 - grey // 3], axis=-1)
    marked = mark_images(images, ids(2)).images
    copies = copy_for(ALICE, marked)
    change = copies.astype(int) - marked
    inside = ((marked > marked.min(axis=(1, 2, 3), keepdims=True) + 8) & (marked < 240)).all(axis=-1)
    assert np.ptp(change[inside], axis=-1).max() == 0
    assert named(leaks_of(copies, marked)) == [ALICE]


def test_the_layer_is_weak_and_spares_the_public_mark(make_textured) -> None:
    images = make_textured(4, 64, seed=5).astype(np.uint8)
    marked = mark_images(images, ids(4)).images
    error = ((copy_for(ALICE, marked).astype(float) - marked) ** 2).mean(axis=(1, 2))
    assert (10 * np.log10(255**2 / error) > 46.5).all()
    for side in (64, 128, 256):
        public = pattern_for(profile_for(side, side), PUBLIC_DETECTION_KEY).projection
        basis = subspace(side, side)
        assert np.abs(public.T @ basis).max() < 1e-5
        assert np.allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-5)


def test_the_same_arguments_give_the_same_pixels_and_others_do_not(released) -> None:
    first = copy_for(ALICE, released)
    assert (first == copy_for(ALICE, released)).all()
    alone = trace_images(released[2:3], image_ids=names(3)[2:], recipient=ALICE, secret=SECRET).images
    assert (alone == first[2:3]).all()
    assert (first != copy_for(BOB, released)).any(axis=(1, 2)).all()
    signs = sign_pattern(128, 128, ALICE, "img-000", SECRET)
    for other in (("x", "img-000", SECRET), (ALICE, "img-001", SECRET), (ALICE, "img-000", b"?" * 32)):
        agreement = (signs * sign_pattern(128, 128, *other)).mean()
        assert abs(agreement) < 0.1


def test_the_signs_are_fixed_for_ever() -> None:
    """A copy that left years ago must still be traceable: these bits may never change."""
    signs = sign_pattern(64, 64, "grant", "image", SECRET)
    assert np.packbits(signs.ravel()[:64] > 0).tobytes().hex() == "02fe2bab2b9f520c"


def coded(kind: str, quality: int) -> Attack:
    def attack(image: np.ndarray) -> np.ndarray:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, kind, quality=quality)
        return np.asarray(Image.open(buffer).convert("L"))

    return attack


def resized(factor: float, *, back: bool) -> Attack:
    def attack(image: np.ndarray) -> np.ndarray:
        height, width = image.shape
        small = Image.fromarray(image).resize((int(width * factor), int(height * factor)), Image.Resampling.BICUBIC)
        return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC) if back else small)

    return attack


def noisy(image: np.ndarray) -> np.ndarray:
    drawn = np.random.default_rng(1).normal(0, 5, image.shape)
    return np.clip(np.rint(image + drawn), 0, 255).astype(np.uint8)


def cropped(image: np.ndarray) -> np.ndarray:
    return image[6:-7, 5:-8]


def enlarged(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(cropped(image)).resize(image.shape[::-1], Image.Resampling.BICUBIC))


def turned(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image).rotate(2, Image.Resampling.BICUBIC))


ATTACKS: dict[str, Attack] = {
    "JPEG 75": coded("JPEG", 75),
    "JPEG 50": coded("JPEG", 50),
    "JPEG 30": coded("JPEG", 30),
    "noise 5": noisy,
    "half size and back": resized(0.5, back=True),
    "half size": resized(0.5, back=False),
    "double size": resized(2, back=False),
    "crop": cropped,
    "crop and enlarge": enlarged,
    "rotate 2 degrees": turned,
    "rotate and crop": lambda image: cropped(turned(image)),
    "flip": lambda image: np.ascontiguousarray(image[:, ::-1]),
    "quarter turn": lambda image: np.ascontiguousarray(np.rot90(image)),
    "window": lambda image: np.clip((image - 25.0) * 1.25, 0, 255).astype(np.uint8),
    "gamma": lambda image: np.rint(255 * (image / 255) ** 0.7).astype(np.uint8),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_what_images_go_through(released, attack: Attack) -> None:
    copies = copy_for(ALICE, released)[:2]
    leaks = leaks_of(np.stack([attack(image) for image in copies]), released[:2])
    assert named(leaks) == [ALICE]


def blocks_of_both(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    mine = np.random.default_rng(0).random((one.shape[1] // 8, one.shape[2] // 8)) < 0.5
    return np.where(np.kron(mine, np.ones((8, 8), bool)), one, other)


COLLUSIONS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "average": lambda one, other: np.rint((one.astype(float) + other) / 2).astype(np.uint8),
    "mix": blocks_of_both,
    "maximum": np.maximum,
    "minimum": np.minimum,
}


@pytest.mark.parametrize("collude", COLLUSIONS.values(), ids=COLLUSIONS.keys())
def test_two_who_collude_are_both_named_and_nobody_else(released, collude) -> None:
    originals = released[:2]
    leaked = collude(copy_for(ALICE, originals), copy_for(BOB, originals))
    assert sorted(named(leaks_of(leaked, originals))) == [ALICE, BOB]


def other_secret(released: np.ndarray) -> np.ndarray:
    return trace_images(released, image_ids=names(len(released)), recipient=ALICE, secret=b"?" * 32).images


def nothing(released: np.ndarray) -> np.ndarray:
    return released


def not_listed(released: np.ndarray) -> np.ndarray:
    return copy_for("grant-of-another-release", released)


def images_swapped(released: np.ndarray) -> np.ndarray:
    """As where a mark was copied to another image: what is compared is not what was leaked."""
    return copy_for(ALICE, released)[::-1].copy()


def flat(released: np.ndarray) -> np.ndarray:
    return np.full_like(released, 7)


def random(released: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, released.shape, np.uint8)


@pytest.mark.parametrize("leaked", [nothing, other_secret, not_listed, images_swapped, flat, random])
def test_where_nobody_can_be_named_nobody_is(released, leaked) -> None:
    originals = released[:2]
    trace = find_recipients(leaks_of(leaked(originals), originals), EVERYBODY, secret=SECRET)
    assert (trace.named, trace.n_recipients, trace.n_leaks) == ((), 200, 2)
    assert trace.false_accusation_rate == FALSE_ACCUSATION_RATE


def test_no_leak_and_no_recipient_name_nobody(released) -> None:
    assert named([]) == []
    assert named(leaks_of(copy_for(ALICE, released), released), []) == []


def test_several_leaks_say_more_than_one(released) -> None:
    worn = np.stack([coded("JPEG", 15)(image) for image in copy_for(ALICE, released)])
    leaks = leaks_of(worn, released)
    single = [scores_of([leak], [ALICE], secret=SECRET)[0] for leak in leaks]
    together = scores_of(leaks, [ALICE], secret=SECRET)[0]
    assert together == pytest.approx(sum(single) / math.sqrt(len(single)))
    assert together > max(single)


def test_the_same_leak_twice_says_no_more_than_once(released) -> None:
    (leak, *_) = leaks_of(copy_for(ALICE, released), released)
    once, twice = (scores_of(given, [ALICE, BOB], secret=SECRET) for given in ([leak], [leak, leak]))
    assert twice == pytest.approx(once)


def test_innocent_scores_are_as_the_bound_says(released) -> None:
    """By Hoeffding's inequality z of an innocent recipient exceeds t with probability at most exp(-t^2 / 2)."""
    leaks = leaks_of(np.stack([coded("JPEG", 50)(image) for image in copy_for(ALICE, released)[:2]]), released[:2])
    innocent = [f"innocent-{i}" for i in range(2000)]
    z = np.concatenate([scores_of([leak], innocent, secret=SECRET) for leak in leaks])
    assert 0.9 < z.std() < 1.1
    for t in (1.0, 2.0, 3.0):
        assert (z > t).mean() <= math.exp(-(t**2) / 2)


def test_the_threshold_grows_with_the_recipients_tried() -> None:
    assert 200 * math.exp(-(threshold_for(200) ** 2) / 2) == pytest.approx(FALSE_ACCUSATION_RATE)
    assert threshold_for(1) < threshold_for(200) < threshold_for(10_000)


def test_a_mark_is_still_found_after_compression(released) -> None:
    for image, mark in zip(copy_for(ALICE, released), ids(4), strict=True):
        assert detect_mark(coded("JPEG", 50)(image)).id == mark


def test_what_cannot_carry_a_layer_is_unchanged(make_textured) -> None:
    small = make_textured(1, 48, seed=1).astype(np.uint8)
    for images in (small, np.full((1, 64, 64), 9, np.uint8), np.zeros((0, 64, 64), np.uint8)):
        traced = trace_images(images, image_ids=names(len(images)), recipient=ALICE, secret=SECRET)
        assert not traced.is_traced.any()
        assert (traced.images == images).all()


IMAGES = np.zeros((2, 64, 64), np.uint8)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"images": IMAGES.astype(np.float32)}, "images: array of float32"),
        ({"image_ids": ["one"]}, "tracing: 2 images but 1 ids"),
        ({"images": np.eye(64, dtype=np.uint8)[None].repeat(2, 0), "secret": b"short"}, "tracing secret: has 5 bytes"),
    ],
    ids=["floats", "ids", "a short secret"],
)
def test_arguments_that_are_refused(change: dict[str, object], line: str) -> None:
    given = {"images": IMAGES, "image_ids": names(2), "recipient": ALICE, "secret": SECRET} | change
    with pytest.raises(MarkError, match=line):
        trace_images(given.pop("images"), **given)


def test_leaks_that_are_refused(released) -> None:
    leak = Leak(image_id="img-000", pixels=released[0, :8, :8], original=released[0])
    with pytest.raises(MarkError, match="img-000: is smaller than 16 px"):
        find_recipients([leak], EVERYBODY, secret=SECRET)
    with pytest.raises(MarkError, match="listed twice"):
        find_recipients([], [ALICE, ALICE], secret=SECRET)
