"""Public detail: sharp, repeatable, inside the release's limits, and no paste of public people."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from generators.base import CellCount, ConfigError, no_progress
from generators.data import ImageSet
from generators.detail.fitting import SOFT_BELOW, base_side, gather_public, train_doubling
from generators.detail.network import DetailNetwork, TorchBasis, blend_latents
from generators.detail.sampling import NetworkDetail, outside
from generators.detail.spectrum import apply_gains, detail_gains, radial_power, sharpness
from generators.detail.views import random_views
from generators.latent.basis import PublicBasis, fit_basis, unit_pixels
from generators.phantoms import draw_phantoms
from generators.privacy import PrivacyBudget
from generators.public.copies import check_copies
from generators.runner import sample_generator, train_generator
from generators.tables import resize_images

pytestmark = pytest.mark.usefixtures("few_images")
BUDGET = PrivacyBudget(target_epsilon=8, public_n_subjects=60)
SETTINGS = {"n_components": 8, "detail": "network", "detail_steps": 2}
COUNTS = [CellCount(label="normal", n=5), CellCount(label="nodule", n=3)]


@pytest.fixture(scope="module")
def cohort() -> ImageSet:
    return draw_phantoms(n_subjects=40, size=32, seed=4, max_images=1).images


@pytest.fixture(scope="module")
def public() -> ImageSet:
    return draw_phantoms(n_subjects=60, size=32, seed=9, max_images=1).images


@pytest.fixture(scope="module")
def basis(public: ImageSet) -> PublicBasis:
    return fit_basis(public, n_components=8, radius_quantile=0.9, whitening=1.0)


@pytest.fixture(scope="module")
def folder(cohort: ImageSet, public: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose network is kept: of two steps' work on few images, some may look like a public one by chance."""
    out = tmp_path_factory.mktemp("detail") / "generator"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("generators.public.copies.MOST_SHARE", 1.0)
        train_generator(name="latent-statistics", images=cohort, budget=BUDGET, config=SETTINGS, out=out, public=public)
    return out


def _grey(images: ImageSet) -> np.ndarray:
    side = images.images.shape[1]
    return unit_pixels(images).reshape(-1, side, side)


def test_a_network_adds_detail_that_repeats_with_the_seed(folder: Path) -> None:
    first, again, other = (sample_generator(folder, COUNTS, seed=seed) for seed in (1, 1, 2))
    assert first.digest == again.digest != other.digest
    network = NetworkDetail.load(folder / "detail.safetensors", channels=1)
    assert network.gains.shape == (16,)
    assert network.doubling is None


def test_the_card_names_what_detail_was_made_of(folder: Path, cohort: ImageSet, public: ImageSet) -> None:
    from generators.folder import load_card

    card = load_card(folder)
    assert [entry["name"] for entry in card.public_data if entry["use"] == "detail"] == [
        "operator's public set",
        "phantoms",
    ]
    assert any("correlates with a public" in note for note in card.notes)


def test_detail_leaves_the_released_statistics_alone(folder: Path, basis: PublicBasis) -> None:
    network = NetworkDetail.load(folder / "detail.safetensors", channels=1)
    low = np.full((3, 32 * 32), 0.5, dtype=np.float32)
    detail = network.draw(low, basis=basis, rng=np.random.default_rng(0), progress=no_progress)
    assert np.abs(detail).max() > 0.01
    np.testing.assert_allclose(basis.encode(low + detail), basis.encode(low), atol=1e-4)
    np.testing.assert_allclose(outside(detail, basis), detail, atol=1e-5)


def test_phantoms_stand_in_without_a_public_set(cohort: ImageSet) -> None:
    shown = gather_public(None, cohort)
    assert shown.best == "phantom"
    assert shown.spectrum.shape == (16,)


def test_enlarged_images_do_not_teach_softness(cohort: ImageSet, public: ImageSet) -> None:
    soft = resize_images(resize_images(public, 12), 32)
    assert (sharpness(_grey(soft)) < SOFT_BELOW).mean() > 0.95
    assert (sharpness(_grey(public)) > SOFT_BELOW).all()
    mixed = replace(
        public,
        images=np.concatenate([soft.images[:50], public.images[:10]]),
        **{name: np.concatenate([column[:50], column[:10]]) for name, column in public.columns()},
    )
    shown = gather_public(mixed, cohort)
    assert shown.best == "sharp"
    _, kinds = shown.balanced()
    assert kinds.sum(0)[2] == 2 * kinds.sum(0)[1] == 2 * kinds.sum(0)[0]


@pytest.mark.parametrize("how", ["none", "lenders"])
def test_other_detail(how: str, cohort: ImageSet, public: ImageSet, tmp_path: Path) -> None:
    config = {**SETTINGS, "detail": how}
    card = train_generator(
        name="latent-statistics", images=cohort, budget=BUDGET, config=config, out=tmp_path, public=public
    )
    assert (tmp_path / "detail.safetensors").exists() == (how == "lenders")
    assert len([entry for entry in card.public_data if entry["use"] == "detail"]) == (2 if how == "lenders" else 0)
    drawn = sample_generator(tmp_path, COUNTS)
    assert (float(sharpness(_grey(drawn)).mean()) > -15) == (how == "lenders")


def test_an_unknown_detail_is_refused_before_anything_is_spent(cohort: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="detail: is 'much'; choose one of none, lenders, network"):
        train_generator(
            name="latent-statistics", images=cohort, budget=BUDGET, config={"detail": "much"}, out=tmp_path / "g"
        )
    assert not (tmp_path / "g" / "steps.log").exists()


def test_colour_needs_no_phantoms(public: ImageSet, cohort: ImageSet, tmp_path: Path) -> None:
    def colour(images: ImageSet) -> ImageSet:
        return replace(images, images=np.repeat(images.images[..., None], 3, axis=3))

    train_generator(
        name="latent-statistics",
        images=colour(cohort),
        budget=BUDGET,
        config=SETTINGS,
        out=tmp_path,
        public=colour(public),
    )
    assert sample_generator(tmp_path, COUNTS).images.shape == (8, 32, 32, 3)


@pytest.mark.parametrize(("size", "base"), [(28, 28), (64, 64), (96, 96), (128, 64), (192, 96), (256, 64)])
def test_large_images_start_small_and_double(size: int, base: int) -> None:
    assert base_side(size) == base


def test_doubling_at_a_large_side() -> None:
    like = draw_phantoms(n_subjects=4, size=128, seed=1, max_images=1).images
    large = draw_phantoms(n_subjects=12, size=128, seed=2, max_images=1).images
    shown = replace(gather_public(large, replace_channels(like)), images=image_rows(large), kinds=np.full(12, 2))
    doubling = train_doubling(shown, n_steps=1, seed=0, device=torch.device("cpu"), progress=no_progress)
    basis = fit_basis(large, n_components=4, radius_quantile=0.9, whitening=1.0)
    base = DetailNetwork(channels=1, width=24)
    network = NetworkDetail(base=base, doubling=doubling, kind="sharp", gains=np.ones(64))
    low = basis.decode(np.zeros((2, 4)))
    assert network.add(low, basis=basis, rng=np.random.default_rng(0), progress=no_progress).shape == (2, 128 * 128)


@pytest.mark.parametrize("side", [28, 32, 50])
def test_the_network_takes_any_side(side: int) -> None:
    network = DetailNetwork(channels=3, width=8)
    n = 2
    residuals = torch.randn(n, 3, side, side)
    out = network(residuals, residuals, torch.rand(n), torch.rand(n), torch.eye(3)[:n])
    assert out.shape == residuals.shape


def test_views_keep_borders_and_sides() -> None:
    torch.manual_seed(0)
    ramp = torch.linspace(0.2, 0.8, 32).expand(200, 1, 32, 32).contiguous()
    views = random_views(ramp)
    assert views.shape == ramp.shape
    # Nothing is mirrored (every view still brightens to the right) and nothing wraps around (no jump at a border).
    assert (views[..., 20:].mean((1, 2, 3)) > views[..., :12].mean((1, 2, 3))).all()
    assert float((views[..., 1:] - views[..., :-1]).abs().max()) < 0.15


def test_doubt_blends_but_keeps_the_spread() -> None:
    torch.manual_seed(0)
    latents = torch.randn(400, 6) * torch.tensor([3.0, 1, 1, 1, 1, 0.5])
    torch.testing.assert_close(blend_latents(latents, torch.zeros(400)), latents)
    blended = blend_latents(latents, torch.full((400,), 0.7))
    assert torch.allclose(blended.std(0), latents.std(0), rtol=0.2)
    correlation = torch.corrcoef(torch.stack([blended[:, 0], latents[:, 0]]))[0, 1]
    assert 0.6 < float(correlation) < 0.8


def test_the_tensor_basis_is_the_basis(public: ImageSet, basis: PublicBasis) -> None:
    space = TorchBasis(
        **{name: torch.from_numpy(np.asarray(getattr(basis, name))) for name in ("mean", "directions", "scale")}
    )
    images = image_rows(public)
    np.testing.assert_allclose(space.encode(images).numpy(), basis.encode(unit_pixels(public)), atol=1e-3)
    decoded = space.decode(space.encode(images), images).flatten(1)
    np.testing.assert_allclose(decoded.numpy(), basis.decode(basis.encode(unit_pixels(public))), atol=1e-4)


def test_gains_bring_a_spectrum_to_its_target() -> None:
    rng = np.random.default_rng(0)
    detail = rng.standard_normal((200, 32, 32)).astype(np.float32) * 0.05
    kept = np.cumsum(rng.standard_normal((200, 32, 32)), axis=2).astype(np.float32) * 0.002
    target = radial_power(kept + 1.4 * rng.permutation(detail)).mean(0)
    joined = kept + apply_gains(detail, detail_gains(kept, detail, target))
    deviation = 10 * np.log10(radial_power(joined).mean(0) / target)
    assert np.abs(deviation[3:]).max() < 0.5
    assert deviation[:3].max() < 0.5  # never raised in the coarsest rings, where blotches would fill them
    np.testing.assert_allclose(apply_gains(detail, np.ones(16)), detail, atol=1e-5)


def test_pasted_public_images_are_found_and_strangers_are_not() -> None:
    people = draw_phantoms(n_subjects=70, size=64, seed=3, max_images=1).images
    public, strangers = _grey(people)[:40], _grey(people)[40:]
    assert check_copies(strangers, public).passed
    rng = np.random.default_rng(0)
    pasted = strangers.copy()
    pasted[::3] = np.clip(0.8 * public[:10] + 0.1 + 0.02 * rng.standard_normal((10, 64, 64)), 0, 1)
    check = check_copies(pasted.astype(np.float32), public)
    assert not check.passed
    assert check.share >= 0.3
    assert (check.nearest[::3] > check.threshold).all()


def test_a_network_that_pastes_is_not_used(
    cohort: ImageSet, public: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stolen = torch.from_numpy(unit_pixels(public)[0].reshape(1, 1, 32, 32))

    def paste(_network: DetailNetwork, low: torch.Tensor, **_rest: object) -> torch.Tensor:
        return stolen - low

    monkeypatch.setattr("generators.detail.sampling.draw_residuals", paste)
    card = train_generator(
        name="latent-statistics", images=cohort, budget=BUDGET, config=SETTINGS, out=tmp_path / "g", public=public
    )
    assert card.config["detail"] == "lenders"
    assert len(sample_generator(tmp_path / "g", COUNTS)) == 8


def image_rows(images: ImageSet) -> torch.Tensor:
    return torch.from_numpy(_grey(images))[:, None]


def replace_channels(images: ImageSet) -> ImageSet:
    """A set that claims colour, so that no phantoms are drawn at its size."""
    return replace(images, images=np.repeat(images.images[..., None], 3, axis=3))
