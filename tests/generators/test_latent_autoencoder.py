"""The basis whose decoder a network refines: public, repeatable, exact in its latents, and no worse than `pca`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from generators.base import CellCount, GeneratorError
from generators.data import ImageSet
from generators.detail.fitting import torch_basis
from generators.folder import load_tensors, save_tensors
from generators.latent.autoencoder import Autoencoder, Lesson, fit_autoencoder, stored_basis
from generators.latent.basis import PublicBasis, fit_basis, unit_pixels
from generators.latent.space import LatentSpace, fit_space
from generators.networks.tensors import image_tensor
from generators.phantoms import draw_phantoms
from generators.privacy import PrivacyBudget
from generators.runner import sample_generator, train_generator

pytestmark = pytest.mark.usefixtures("few_images")
BUDGET = PrivacyBudget(target_epsilon=8, public_n_subjects=60)
QUICK = {"basis": "autoencoder", "basis_steps": 3, "n_components": 6}
# Of phantoms that nothing was learned from, 32 pixels a side, 12 directions: root mean square error of a pixel.
MOST_ERROR = 0.08


def people(n: int, *, size: int, seed: int = 5, colour: bool = False) -> ImageSet:
    images = draw_phantoms(n_subjects=n, size=size, seed=seed, max_images=1).images
    return replace(images, images=np.stack([images.images] * 3, axis=-1).astype(np.uint8)) if colour else images


def linear_of(public: ImageSet, n: int = 12) -> PublicBasis:
    return fit_basis(public, n_components=n, radius_quantile=0.9, whitening=0.5)


def space_of(public: ImageSet | None, images: ImageSet) -> LatentSpace:
    return fit_space(
        public,
        images,
        basis="autoencoder",
        add_phantoms=False,
        n_components=6,
        n_texture=4,
        radius_quantile=0.9,
        whitening=0.5,
        lesson=Lesson(n_steps=3),
    )


@pytest.fixture(scope="module")
def learned() -> tuple[Autoencoder, PublicBasis]:
    public = people(300, size=32)
    linear = linear_of(public)
    return fit_autoencoder(public, linear, Lesson(n_steps=60)), linear


@pytest.mark.parametrize("colour", [False, True], ids=["grey", "colour"])
@pytest.mark.parametrize("size", [28, 64])
def test_images_become_latents_and_images_again(size: int, colour: bool) -> None:
    public = people(40, size=size, colour=colour)
    found = fit_autoencoder(public, linear_of(public), Lesson(n_steps=3))
    pixels = unit_pixels(public)
    latents = found.encode(pixels)
    decoded = found.decode(latents)
    assert latents.shape == (40, found.n_components) == (40, 12)
    assert decoded.shape == pixels.shape
    assert decoded.dtype == np.float32
    assert -0.5 < decoded.min() < decoded.max() < 1.5
    np.testing.assert_allclose(found.encode(decoded), latents, atol=1e-3)


def test_what_a_network_adds_lies_outside_of_what_is_released(learned: tuple[Autoencoder, PublicBasis]) -> None:
    found, linear = learned
    latents = np.random.default_rng(0).standard_normal((20, 12))
    added = found.decode(latents) - linear.decode(latents)
    assert np.abs(added).max() > 0.005
    assert np.abs(added @ linear.directions.T).max() < 1e-3 * np.linalg.norm(added, axis=1).max()


def test_phantoms_not_learned_from_come_back(learned: tuple[Autoencoder, PublicBasis]) -> None:
    found, linear = learned
    unseen = unit_pixels(people(60, size=32, seed=77))
    error, linear_error = (float(np.sqrt(np.mean((b.decode(b.encode(unseen)) - unseen) ** 2))) for b in (found, linear))
    assert error < MOST_ERROR
    assert error < linear_error


def test_held_out_images_silence_a_network_that_learned_by_heart() -> None:
    rng = np.random.default_rng(0)
    noise = ImageSet(images=rng.integers(0, 256, (80, 16, 16), dtype=np.uint8))
    found = fit_autoencoder(noise, linear_of(noise), Lesson(n_steps=40))
    assert 0 <= float(found.network.gain) < 0.3


def test_weights_repeat_by_seed() -> None:
    public = people(40, size=16)
    one, same, other = (
        fit_autoencoder(public, linear_of(public), Lesson(n_steps=3, seed=seed)).tensors for seed in (1, 1, 2)
    )
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert any(not np.array_equal(one[name], other[name]) for name in one)


def test_private_images_are_not_looked_at() -> None:
    cohorts = people(20, size=32, seed=1), people(20, size=32, seed=2)
    for public in (None, people(40, size=32)):
        one, other = (space_of(public, images) for images in cohorts)
        assert one.radius == other.radius
        assert np.array_equal(one.spread, other.spread)
        assert all(np.array_equal(value, other.basis.tensors[name]) for name, value in one.basis.tensors.items())


def test_a_space_is_stored_whole(tmp_path: Path) -> None:
    public = people(40, size=32)
    space = space_of(public, public)
    space.save(tmp_path / "basis.safetensors")
    loaded = LatentSpace.load(tmp_path / "basis.safetensors")
    latents = space.encode(unit_pixels(public))
    assert isinstance(loaded.basis, Autoencoder)
    assert np.array_equal(loaded.decode(latents), space.decode(latents))
    assert not np.array_equal(space.decode(latents), loaded.basis.linear.decode(space.low_rank(latents)))


def test_weights_of_another_network_are_refused(learned: tuple[Autoencoder, PublicBasis], tmp_path: Path) -> None:
    found, linear = learned
    save_tensors(tmp_path / "basis.safetensors", found.tensors | {"decoder.up.start.weight": np.ones((2, 2))})
    with pytest.raises(GeneratorError, match="weights do not fit the network") as error:
        stored_basis(load_tensors(tmp_path / "basis.safetensors"), linear)
    assert "\n" not in str(error.value)


def test_the_detail_network_is_taught_on_refined_images(learned: tuple[Autoencoder, PublicBasis]) -> None:
    found, _ = learned
    public = people(10, size=32)
    images, pixels = image_tensor(public), unit_pixels(public)
    space = torch_basis(found, torch.device("cpu"))
    decoded = space.decode(space.encode(images), images).flatten(1)
    np.testing.assert_allclose(decoded.numpy(), found.decode(found.encode(pixels)), atol=1e-4)


@pytest.mark.parametrize(
    ("images", "config", "complaint"),
    [
        pytest.param(people(30, size=36), {}, "size: a side of 36 pixels", id="a side that cannot be halved"),
        pytest.param(people(30, size=16, colour=True), {}, "public: phantoms are grey", id="colour without public"),
        pytest.param(people(30, size=16), {"n_components": 100}, "for 100 components", id="too many components"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line_and_costs_nothing(
    images: ImageSet, config: dict[str, object], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(GeneratorError, match=complaint) as error:
        train_generator(
            name="latent-statistics", images=images, budget=BUDGET, config=QUICK | config, out=tmp_path / "g"
        )
    assert "\n" not in str(error.value)
    assert not (tmp_path / "g" / "release.safetensors").exists()


@pytest.mark.parametrize(
    ("name", "config"),
    [
        pytest.param("latent-statistics", {}, id="lenders"),
        pytest.param("latent-statistics", {"detail": "network", "detail_steps": 2}, id="network"),
        pytest.param(
            "latent-diffusion",
            {
                "width": 8, "depth": 1, "public_steps": 1, "draw_steps": 1, "n_draws": 100, "n_steps": 2,
                "batch_size": 60, "views": 2, "sampling_steps": 2,
            },
            id="latent-diffusion",
        ),
    ],
)  # fmt: skip
def test_a_trained_folder_draws(name: str, config: dict[str, object], tmp_path: Path) -> None:
    card = train_generator(
        name=name,
        images=people(40, size=32, seed=1),
        public=people(60, size=32, seed=9),
        budget=BUDGET,
        config=QUICK | config,
        out=tmp_path / "g",
    )
    counts = [CellCount(label="normal", n=4)]
    drawn, again = (sample_generator(tmp_path / "g", counts, seed=3) for _ in range(2))
    assert drawn.images.shape == (4, 32, 32)
    assert np.array_equal(drawn.images, again.images)
    assert {"operator's public set", "phantoms"} == {
        entry["name"] for entry in card.public_data if entry["use"] == "basis"
    }
    assert isinstance(LatentSpace.load(tmp_path / "g" / "basis.safetensors").basis, Autoencoder)
