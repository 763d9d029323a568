"""Each figure of fidelity, fed images that look real and images spoilt in ways that it must see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import linalg, ndimage

from audits.base import AuditInput
from audits.fidelity.frechet_distance import squared_frechet
from audits.fidelity.texture_distance import grey_levels, level_distance, local_patterns, pattern_distance
from audits.fidelity.vendi_score import effective_number
from audits.msssim import ms_ssim, n_scales
from audits.spectrum import largest_distance, radial_power, spectrum_deviation
from generators.data import ImageSet
from tests.audits.arms import statuses, with_few_people

Doubles = NDArray[np.float64]


def _collapsed(images: Doubles) -> Doubles:
    """Six images again and again, with a little noise."""
    rng = np.random.default_rng(1)
    return images[rng.integers(0, 6, len(images))] + rng.normal(0, 1, images.shape)


SPOILT: dict[str, Callable[[Doubles], Doubles]] = {
    "blurred": lambda images: ndimage.gaussian_filter(images, (0, 0.7, 0.7)),
    "noisy": lambda images: images + np.random.default_rng(0).normal(0, 10, images.shape),
    "collapsed": _collapsed,
    "darker": lambda images: images * 0.8,
}
SEEN_BY = {
    "frechet_distance.squared": ("blurred", "noisy", "collapsed", "darker"),
    "kernel_distance.mmd": ("blurred", "noisy", "collapsed", "darker"),
    "manifold.coverage": ("blurred", "noisy", "collapsed"),
    "vendi_score.kinds": ("blurred", "collapsed"),
    "spectrum_distance.decibels": ("blurred", "noisy", "darker"),
    "texture_distance.local_patterns": ("blurred", "noisy"),
    "texture_distance.grey_levels": ("darker",),
    "diversity.ms_ssim": ("collapsed",),
}
AUDITS = sorted({name.partition(".")[0] for name in SEEN_BY})


@pytest.fixture(scope="module")
def spoilt(leak_free: AuditInput) -> dict[str, AuditInput]:
    images = leak_free.synthetic.images.astype(float)
    return {
        name: replace(leak_free, synthetic=ImageSet(images=np.clip(np.rint(change(images)), 0, 255).astype(np.uint8)))
        for name, change in SPOILT.items()
    }


@pytest.mark.parametrize("audit", AUDITS)
def test_images_that_look_real_stand_at_the_floor(leak_free: AuditInput, audit: str) -> None:
    assert set(statuses(leak_free, audit).values()) == {"not_detected"}


@pytest.mark.parametrize(
    ("figure", "change"), [(figure, change) for figure, seen in SEEN_BY.items() for change in seen]
)
def test_spoilt_images_fall_short_of_the_floor(spoilt: dict[str, AuditInput], figure: str, change: str) -> None:
    assert statuses(spoilt[change], figure.partition(".")[0])[figure] == "detected"


@pytest.mark.parametrize("audit", AUDITS)
def test_too_few_people_give_no_power(leak_free: AuditInput, audit: str) -> None:
    assert set(statuses(with_few_people(leak_free, 40), audit).values()) == {"no_power"}


def test_images_too_small_for_ms_ssim_are_not_assessable(leak_free: AuditInput) -> None:
    names = ("train", "holdout", "control", "synthetic")
    small = {n: replace(getattr(leak_free, n), images=getattr(leak_free, n).images[:, 10:18, 10:18]) for n in names}
    assert statuses(replace(leak_free, **small), "diversity") == {"diversity.ms_ssim": "not_assessable"}


@pytest.mark.parametrize(("n", "width"), [(50, 5), (8, 20)])
def test_frechet_distance_is_that_of_the_definition(n: int, width: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, (n, width)), rng.normal(0.5, 2, (n, width))
    left, right = np.cov(x.T), np.cov(y.T)
    root = linalg.sqrtm(left @ right + 1e-12 * np.eye(width)).real
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(left + right - 2 * root)
    assert squared_frechet(x.astype(np.float32), y.astype(np.float32)) == pytest.approx(expected, rel=1e-3)


def test_frechet_distance_of_gaussians_apart_is_their_shift_squared() -> None:
    x = np.random.default_rng(0).normal(0, 1, (500, 4)).astype(np.float32)
    assert squared_frechet(x, x + np.float32(2)) == pytest.approx(16, rel=1e-4)
    assert squared_frechet(x, x) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("width", [6, 40])
def test_the_vendi_score_counts_kinds(width: int) -> None:
    kinds = np.eye(6, width, dtype=np.float32)
    real = np.zeros((3, width), np.float32)
    assert effective_number(real, np.repeat(kinds, 4, axis=0)) == pytest.approx(6)
    assert effective_number(real, np.repeat(kinds[:1], 12, axis=0)) == pytest.approx(1)


@pytest.mark.parametrize("shape", [(32, 32), (31, 40)])
def test_radial_power_of_a_wave_lies_in_its_ring(shape: tuple[int, int]) -> None:
    rows = np.arange(shape[0]) / min(shape)
    wave = np.broadcast_to(np.sin(2 * np.pi * 6 * rows)[:, None], shape)[None].astype(np.float32)
    power = radial_power(wave)[0]
    assert power.argmax() == 6
    assert power[[5, 6, 7]].sum() > 0.99 * power.sum()


def test_twice_the_amplitude_is_six_decibels_whatever_the_mean() -> None:
    grey = np.random.default_rng(0).random((20, 32, 32)).astype(np.float32)
    assert spectrum_deviation(grey, 2 * grey + np.float32(0.3)) == pytest.approx(20 * np.log10(2), abs=1e-4)
    assert largest_distance(radial_power(grey), radial_power(grey), side=32) == 0


def test_texture_counts_runs_of_brighter_neighbours_whatever_their_direction() -> None:
    step = np.zeros((1, 16, 16), np.float32)
    step[:, :, 8:] = 0.5
    turned, flat = np.swapaxes(step, 1, 2), np.zeros_like(step)
    np.testing.assert_array_equal(local_patterns(step), local_patterns(turned))
    assert local_patterns(flat)[0, ::10].tolist() == [1, 1, 1]
    assert pattern_distance(local_patterns(step), local_patterns(step + np.float32(0.2))) == pytest.approx(0, abs=1e-9)
    assert pattern_distance(local_patterns(step), local_patterns(flat)) > 0


def test_grey_levels_move_by_what_was_added() -> None:
    grey = np.random.default_rng(0).uniform(0.2, 0.5, (4, 64, 64)).astype(np.float32)
    assert level_distance(grey_levels(grey), grey_levels(grey + np.float32(0.125))) == pytest.approx(0.125, abs=1e-6)


def test_ms_ssim_is_one_for_equal_images_and_falls_with_noise() -> None:
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.random((3, 64, 64)), (0, 2, 2)).astype(np.float32)
    noise = rng.normal(0, 1, smooth.shape).astype(np.float32)
    figures = [ms_ssim(smooth, smooth + scale * noise).mean() for scale in np.float32([0, 0.02, 0.1])]
    assert figures[0] == pytest.approx(1)
    assert figures[0] > figures[1] > figures[2]
    assert [n_scales(side, side) for side in (176, 64, 32, 11, 10)] == [5, 3, 2, 1, 0]
    with pytest.raises(ValueError, match="less than 11 pixels"):
        ms_ssim(smooth[:, :8, :8], smooth[:, :8, :8])


def test_ms_ssim_equals_the_published_implementation() -> None:
    """pytorch-msssim 1.0.0 gives .80798; its window lets float32 sums differ in the fourth digit."""
    rows, columns = np.mgrid[:180, :180].astype(np.float32) / 180
    left = (0.5 + 0.4 * np.sin(9 * rows) * np.cos(7 * columns))[None]
    right = np.clip(left + 0.1 * np.sin(40 * rows * columns), 0, 1)
    assert ms_ssim(left, right) == pytest.approx(0.80798, abs=2e-4)
