"""What images look like on average: a bounded contribution a person, charged before noise, and draws brought to it."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.accounting import epsilon_of
from generators.base import BudgetError, CellCount
from generators.data import ImageSet
from generators.detail.finishing import FILE
from generators.detail.look import Look, bands, fit_look
from generators.detail.matching import fit_step, trusted
from generators.detail.spectrum import apply_gains, radial_power
from generators.folder import load_card, load_tensors
from generators.latent.basis import PublicBasis, fit_basis, unit_pixels
from generators.latent.settings import LatentStatisticsConfig
from generators.phantoms import draw_phantoms
from generators.plans.drowning import mean_error
from generators.privacy import GaussianEvent, PrivacyBudget, StepRecord
from generators.releases.spectrum import release_look, subject_sum
from generators.runner import sample_generator, train_generator
from generators.secure_random import secure_normal
from generators.steps_log import read_log
from tests.generators.recorders import Recorder

SIZE = 32
BUDGET = PrivacyBudget(target_epsilon=8, public_n_subjects=60)
EVENT = GaussianEvent(noise_multiplier=3.0, sample_rate=1.0, steps=1)


@pytest.fixture(scope="module")
def phantoms() -> ImageSet:
    return draw_phantoms(n_subjects=120, size=SIZE, seed=3, max_images=1).images


@pytest.fixture(scope="module")
def basis(phantoms: ImageSet) -> PublicBasis:
    return fit_basis(phantoms, n_components=8, radius_quantile=0.9, whitening=0.5)


@pytest.fixture(scope="module")
def look(phantoms: ImageSet, basis: PublicBasis) -> Look:
    return fit_look(square(phantoms), basis)


def square(images: ImageSet) -> np.ndarray:
    return unit_pixels(images).reshape(-1, SIZE, SIZE)


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), n_images=st.integers(1, 20), scale=st.sampled_from([0.1, 100.0]))
def test_one_person_moves_the_sum_by_at_most_the_radius(seed: int, n_images: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    others = rng.normal(size=(5, 7))
    mine = rng.normal(size=(n_images, 7)) * scale
    without = subject_sum(others, np.array(list("abcde")), 2.0)
    present = subject_sum(np.vstack([others, mine]), np.array([*"abcde", *["p"] * n_images]), 2.0)
    assert np.linalg.norm(present - without) <= 2.0 * (1 + 1e-9)


def test_what_is_asked_of_an_image_hangs_on_that_image_alone(look: Look, phantoms: ImageSet) -> None:
    images = square(phantoms)[:4]
    rows = look.describe(images)
    assert rows.shape == (4, len(look.blocks))
    assert np.linalg.norm(rows, axis=1).max() <= look.radius * (1 + 1e-9)
    np.testing.assert_allclose(look.describe(images[2:3])[0], rows[2], rtol=1e-4, atol=1e-4)
    assert np.isfinite(look.describe(np.zeros((1, SIZE, SIZE), dtype=np.float32))).all()


def test_it_is_recorded_before_its_noise_which_has_the_right_size(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, drawn = Recorder(), []

    def noise(shape: tuple[int, ...], std: float) -> np.ndarray:
        drawn.append((len(recorder.steps), std))
        return secure_normal(shape, std)

    monkeypatch.setattr("generators.releases.spectrum.secure_normal", noise)
    rows = np.zeros((50, 4000))
    subjects = np.arange(50).astype(str)
    found = release_look(rows, subjects, radius=2.0, n_noisy=40.0, event=EVENT, recorder=recorder, step=5)
    assert recorder.steps == [StepRecord(step=5, noise_multiplier=3.0, sample_rate=1.0, phase="spectrum")]
    assert drawn == [(1, 6.0)]
    assert found.noise == 6.0 / 40
    assert found.mean.std() == pytest.approx(found.noise, rel=0.05)


def test_noise_is_not_followed_and_what_stands_out_is() -> None:
    rng = np.random.default_rng(0)
    blocks = np.repeat([0, 1], 400)
    noisy = np.concatenate([rng.normal(0, 0.5, 400), 3 + rng.normal(0, 0.5, 400)])
    wanted = trusted(noisy, np.zeros(800), blocks, 0.5)
    assert np.abs(wanted[:400]).max() < 0.5
    assert wanted[400:].mean() == pytest.approx(3, abs=0.2)
    assert np.array_equal(trusted(noisy, np.zeros(800), blocks, 0.0), noisy)


def test_draws_are_brought_to_a_look(look: Look, basis: PublicBasis, phantoms: ImageSet) -> None:
    images = square(phantoms)
    dull = 0.1 + 0.9 * apply_gains(images, np.linspace(1, 0.4, SIZE // 2))
    latents = basis.encode(images.reshape(len(images), -1))
    step = fit_step(dull, latents, look, look.describe(images).mean(axis=0), 0.0)
    after = np.clip(step.apply(dull, basis), 0, 1)

    def decibels(part: np.ndarray) -> float:
        return float(np.abs(10 * np.log10(radial_power(part).mean(0) / radial_power(images).mean(0))).max())

    moved = np.asarray(dull + step.shift, dtype=np.float32)
    there, here = (basis.encode(part.reshape(len(dull), -1)) for part in (step.apply(dull, basis), moved))
    np.testing.assert_allclose(there, here, atol=1e-3)  # but for the shift, the latent space is left alone
    assert decibels(dull) > 4
    assert decibels(after) < 1
    assert np.abs(after.mean(0) - images.mean(0)).mean() < np.abs(dull.mean(0) - images.mean(0)).mean() / 3


def test_bands_add_up_to_the_image(phantoms: ImageSet) -> None:
    images = square(phantoms)[:3]
    parts, rest = bands(images)
    np.testing.assert_allclose(sum(parts) + rest, images, atol=1e-5)


@pytest.mark.usefixtures("few_images")
@pytest.mark.parametrize("share", [0.0, 0.06])
def test_a_run_charges_it_and_keeps_the_budget(share: float, phantoms: ImageSet, tmp_path: Path) -> None:
    config = {"n_components": 8, "spectrum_share": share}
    train_generator(name="latent-statistics", images=phantoms, budget=BUDGET, config=config, out=tmp_path)
    logged = read_log(tmp_path)
    assert logged is not None
    assert list(logged.by_phase) == ["means", "covariance", "discriminant", *["spectrum"] * (share > 0)]
    assert logged.planned.events == load_card(tmp_path).spend.events
    assert epsilon_of(logged.events, 1e-5, "prv") == pytest.approx(8, rel=1e-3)
    assert ("look" in load_tensors(tmp_path / "release.safetensors")) == (tmp_path / FILE).exists() == (share > 0)
    assert len(sample_generator(tmp_path, [CellCount(label="normal", n=3)])) == 3


@pytest.mark.usefixtures("few_images")
def test_a_run_that_dies_in_it_has_paid_for_it(
    phantoms: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> np.ndarray:
        raise InterruptedError

    monkeypatch.setattr("generators.releases.spectrum.secure_normal", dies)
    train = partial(
        train_generator,
        name="latent-statistics",
        images=phantoms,
        budget=BUDGET,
        config={"n_components": 8, "spectrum_share": 0.06},
        out=tmp_path,
    )
    with pytest.raises(InterruptedError):
        train()
    logged = read_log(tmp_path)
    assert logged is not None
    assert list(logged.by_phase)[-1] == "spectrum"
    assert epsilon_of(logged.events, 1e-5, "prv") == pytest.approx(8, rel=1e-3)
    with pytest.raises(BudgetError, match="already spent"):
        train(resume=True)


def test_its_share_is_missing_from_means() -> None:
    with_it, without = (
        mean_error(BUDGET, n_labels=2, settings=LatentStatisticsConfig(spectrum_share=share)) for share in (0.19, 0.0)
    )
    assert with_it == pytest.approx(without / 0.9, rel=1e-6)
