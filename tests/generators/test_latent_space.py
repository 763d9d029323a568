"""The public latent space: what is encoded comes back, nothing private enters it, cosines need no image."""

from pathlib import Path

import numpy as np
import pytest

from generators.base import ConfigError, ResumeError
from generators.data import ImageSet
from generators.folder import save_tensors
from generators.latent.basis import fit_basis, unit_pixels
from generators.latent.cosine_basis import cosine_basis, cosine_draws
from generators.latent.space import LatentSpace, chosen_basis, fit_space, public_covariance, within_labels
from generators.latent.texture import fit_texture, has_texture, log_roughness
from generators.phantoms import draw_phantoms


@pytest.fixture(scope="module")
def phantoms() -> ImageSet:
    return draw_phantoms(n_subjects=70, size=32, seed=5, max_images=1).images


def blank(size: int, colours: tuple[int, ...] = ()) -> ImageSet:
    return ImageSet(images=np.zeros((2, size, size, *colours), dtype=np.uint8))


def space_of(public: ImageSet, images: ImageSet, basis: str = "pca") -> LatentSpace:
    return fit_space(
        public,
        images,
        basis=basis,
        add_phantoms=False,
        n_components=12,
        n_texture=10,
        radius_quantile=0.9,
        whitening=0.5,
    )


def test_all_cosines_together_give_an_image_back() -> None:
    rng = np.random.default_rng(0)
    for channels in (1, 3):
        basis, spread = cosine_basis(size=8, channels=channels, n_components=500, whitening=0.5)
        images = rng.random((4, 64 * channels), dtype=np.float32)
        assert basis.n_components == len(spread) == 64 * channels
        assert np.allclose(basis.decode(basis.encode(images)), images, atol=1e-4)


def test_the_space_does_not_hang_on_private_pixels(phantoms: ImageSet) -> None:
    one, other = (space_of(phantoms, images) for images in (blank(32), phantoms.select(np.arange(5))))
    assert np.array_equal(one.basis.directions, other.basis.directions)
    assert one.radius == other.radius
    for basis in ("dct", "pca"):
        assert space_of(phantoms, blank(32), basis).n_latents == (12 if basis == "dct" else 22)


def test_a_space_is_stored_whole(phantoms: ImageSet, tmp_path: Path) -> None:
    space = space_of(phantoms, blank(32))
    space.save(tmp_path / "basis.safetensors")
    loaded = LatentSpace.load(tmp_path / "basis.safetensors")
    pixels = unit_pixels(phantoms)
    assert np.array_equal(loaded.encode(pixels), space.encode(pixels))
    assert (loaded.radius, loaded.spread.tolist()) == (space.radius, space.spread.tolist())
    assert loaded.covariance is not None
    assert space.covariance is not None
    assert np.array_equal(loaded.covariance, space.covariance)


def test_public_covariance_is_within_labels() -> None:
    latents = np.array([[0.0, 0.0], [2.0, 2.0], [10.0, 0.0], [12.0, 2.0]])
    assert np.allclose(within_labels(latents, np.array(["a", "a", "b", "b"])), np.ones((2, 2)))
    assert within_labels(latents, None)[0, 0] == pytest.approx(26.0)


def test_phantoms_alone_give_no_covariance(phantoms: ImageSet) -> None:
    space = space_of(phantoms, blank(32))
    assert public_covariance(space, None) is None
    assert public_covariance(space, phantoms) is not None


def test_a_declared_law_gives_no_covariance(phantoms: ImageSet, tmp_path: Path) -> None:
    space_of(phantoms, blank(32), "dct").save(tmp_path / "basis.safetensors")
    assert LatentSpace.load(tmp_path / "basis.safetensors").covariance is None


def test_leading_latents_are_of_both_kinds(phantoms: ImageSet) -> None:
    space = space_of(phantoms, blank(32))
    assert space.leading(6).tolist() == [0, 1, 2, 12, 13, 14]
    assert len(space.leading(22)) == 22


def test_roughness_is_imposed(phantoms: ImageSet) -> None:
    images = unit_pixels(phantoms).reshape(-1, 32, 32)
    images = images + np.random.default_rng(0).normal(0, 0.03, images.shape).astype(np.float32)  # no zone is flat
    texture = fit_texture(images, n_latents=24)
    wanted = texture.encode(images)[::-1]
    changed = texture.impose(images, wanted)
    error = np.abs(texture.encode(changed) - wanted).mean()
    assert error < 0.35 * np.abs(texture.encode(images) - wanted).mean()
    assert log_roughness(changed).shape == (70, 2, 8, 8)


@pytest.mark.parametrize(("size", "channels", "wanted"), [(32, 1, True), (28, 1, False), (64, 3, False)])
def test_texture_is_for_grey_images_of_some_size(size: int, channels: int, wanted: bool) -> None:
    assert has_texture(size=size, channels=channels) is wanted


@pytest.mark.parametrize(
    ("images", "public", "wanted"),
    [
        pytest.param(blank(64), False, "pca", id="phantoms"),
        pytest.param(blank(8), False, "dct", id="too small for phantoms"),
        pytest.param(blank(64, (3,)), False, "dct", id="colour"),
        pytest.param(blank(64, (3,)), True, "pca", id="colour with a public set"),
    ],
)
def test_cosines_stand_in_where_no_public_image_fits(images: ImageSet, public: bool, wanted: str) -> None:
    assert chosen_basis("auto", images, images if public else None) == wanted
    with pytest.raises(ConfigError, match="choose one of auto, pca, dct, autoencoder"):
        chosen_basis("wavelets", images, None)


def test_without_the_operators_images_the_basis_has_room_for_other_anatomy() -> None:
    """A cohort that phantoms do not resemble: what a basis of phantoms alone would lose of it is halved at least."""
    ramp = np.linspace(0, 1, 32)
    waves = [np.cos(np.pi * (k * ramp[:, None] + (4 - k) * ramp[None, :])) for k in range(5)]
    others = ImageSet(images=np.round(127 + 100 * np.stack(waves)).astype(np.uint8))
    shown = draw_phantoms(n_subjects=300, size=32, seed=5, max_images=1).images

    def lost(beside: np.ndarray | None) -> float:
        basis = fit_basis(shown, beside=beside, n_components=48, radius_quantile=0.9, whitening=0.5)
        pixels = unit_pixels(others)
        return float(((basis.decode(basis.encode(pixels)) - pixels) ** 2).mean())

    assert lost(cosine_draws(shown)) < 0.5 * lost(None)
    assert np.array_equal(cosine_draws(shown), cosine_draws(shown))


def test_principal_directions_of_many_images_are_those_of_few() -> None:
    rng = np.random.default_rng(1)
    shapes = rng.normal(size=(6, 256)) * np.array([9, 7, 5, 4, 3, 2])[:, None]
    levels = np.clip(128 + rng.normal(size=(600, 6)) @ shapes, 0, 255).astype(np.uint8).reshape(-1, 16, 16)
    few, many = (
        fit_basis(ImageSet(images=levels[:n]), n_components=4, radius_quantile=0.9, whitening=1.0) for n in (400, 600)
    )
    overlap = np.linalg.svd(few.directions @ many.directions.T, compute_uv=False)
    assert overlap.min() > 0.9
    assert np.allclose(many.directions @ many.directions.T, np.eye(4), atol=1e-4)


@pytest.mark.parametrize("lost", ["mean", "directions", "scale", "radii", "spread"])
def test_a_space_of_an_earlier_version_is_refused_in_a_line(lost: str, tmp_path: Path) -> None:
    path = tmp_path / "basis.safetensors"
    tensors = {name: np.ones(2) for name in ("mean", "directions", "scale", "radii", "spread") if name != lost}
    save_tensors(path, tensors)
    with pytest.raises(ResumeError, match=rf"basis\.safetensors: holds no {lost}, .*; train again") as error:
        LatentSpace.load(path)
    assert "\n" not in str(error.value)
