"""The space in which `latent-statistics` works: low-rank and texture latents, and what public data says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from generators.base import ConfigError, ResumeError
from generators.data import ImageSet
from generators.folder import load_tensors, save_tensors
from generators.latent.autoencoder import Lesson, fit_autoencoder, stored_basis
from generators.latent.basis import MOST_PUBLIC_IMAGES, Array, Basis, PublicBasis, fit_basis, unit_pixels
from generators.latent.centres import public_centres, radius_around
from generators.latent.cosine_basis import cosine_basis, cosine_draws
from generators.latent.texture import Texture, fit_texture, has_texture
from generators.phantoms import can_draw
from generators.public.images import public_or_phantoms

DEFAULT_LESSON = Lesson()
BASES = ("auto", "pca", "dct", "autoencoder")

Pixels = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class LatentSpace:
    """basis: low-rank latents. texture: None where images have none. spread: the public deviation of each latent [d],
    low-rank ones first. covariance [d, d]: of the operator's images within a label; None without. centres [labels, d]:
    their mean for each label of the cohort; None where they have none of these labels. radius: the norm that a latent
    is clipped to, around its centre."""

    basis: Basis
    texture: Texture | None
    spread: Array
    covariance: Array | None
    radius: float
    centres: Array | None = None

    def centres_of(self, n_labels: int) -> Array:
        """[n_labels, d]: the centre of each label, 0 where public images say nothing of it."""
        return np.zeros((n_labels, self.n_latents)) if self.centres is None else self.centres

    @property
    def n_latents(self) -> int:
        return len(self.spread)

    def encode(self, pixels: Pixels) -> Array:
        """Latents [n, d] of images [n, D] in [0, 1], not clipped."""
        low = self.basis.encode(pixels)
        return low if self.texture is None else np.hstack([low, self.texture.encode(_square(pixels))])

    def decode(self, latents: Array) -> Pixels:
        """The low-rank images [n, D] of latents [n, d]."""
        return self.basis.decode(self.low_rank(latents))

    def low_rank(self, latents: Array) -> Array:
        """The latents of the basis among all."""
        return latents[:, : self.basis.n_components]

    def finish(self, pixels: Pixels, latents: Array) -> Pixels:
        """Images [n, D] with detail, as rough as the latents say."""
        if self.texture is None:
            return pixels
        return self.texture.impose(_square(pixels), latents[:, self.basis.n_components :]).reshape(pixels.shape)

    def leading(self, n: int) -> NDArray[np.intp]:
        """Which n latents come first when only some can be afforded: low-rank and texture ones in proportion, each in
        its own order."""
        low = np.arange(self.basis.n_components) / self.basis.n_components
        fine = np.arange(self.n_latents - len(low)) / max(self.n_latents - len(low), 1)
        return np.sort(np.argsort(np.concatenate([low, fine]), kind="stable")[:n])

    def save(self, path: Path) -> None:
        tensors: dict[str, NDArray[np.generic]] = {
            **self.basis.tensors,
            "radii": np.array([self.basis.radius, self.radius]),
            "spread": self.spread,
        }
        if self.texture is not None:
            tensors["texture"] = self.texture.mean
        said = {"covariance": self.covariance, "centres": self.centres}
        tensors |= {name: value for name, value in said.items() if value is not None}
        save_tensors(path, tensors)

    @classmethod
    def load(cls, path: Path) -> LatentSpace:
        """Read what `save` wrote. Raises ResumeError, also for what an earlier version wrote."""
        found = load_tensors(path)
        if missing := {"mean", "directions", "scale", "radii", "spread"} - set(found):
            raise ResumeError(
                f"holds no {min(missing)}, as of an earlier version", where=str(path), remedy="train again"
            )
        mean, directions, scale = (found[name].astype(np.float32) for name in ("mean", "directions", "scale"))
        spread = found["spread"].astype(np.float64)
        inner, outer = (float(value) for value in found["radii"].astype(np.float64))
        texture = None
        if "texture" in found:
            texture = Texture(mean=found["texture"].astype(np.float64), n_latents=len(spread) - len(scale))
        linear = PublicBasis(mean=mean, directions=directions, scale=scale, radius=inner)
        covariance, centres = (
            found[name].astype(np.float64) if name in found else None for name in ("covariance", "centres")
        )
        basis = stored_basis(found, linear)
        return cls(basis=basis, texture=texture, spread=spread, covariance=covariance, centres=centres, radius=outer)


def chosen_basis(basis: str, images: ImageSet, public: ImageSet | None) -> str:
    """What `basis` means; auto takes cosines where no public image, of the operator's or a phantom, is like these."""
    if basis not in BASES:
        raise ConfigError(f"is {basis!r}", where="basis", remedy=f"choose one of {', '.join(BASES)}")
    if basis != "auto":
        return basis
    return "pca" if public is not None or phantoms_fit(images) else "dct"


def phantoms_fit(images: ImageSet) -> bool:
    """Whether phantoms can be drawn like these: grey, and neither too small nor too large for anatomy."""
    return can_draw(size=images.images.shape[1], channels=images.channels)


def fit_space(
    public: ImageSet | None,
    images: ImageSet,
    *,
    basis: str,
    add_phantoms: bool,
    n_components: int,
    n_texture: int,
    radius_quantile: float,
    whitening: float,
    labels: Sequence[str] = (),
    lesson: Lesson = DEFAULT_LESSON,
) -> LatentSpace:
    """A space for images of this size and depth; their content is not looked at. Raises ConfigError, DataError.

    labels: those of the cohort, for which public images may have centres. lesson: how an autoencoder learns.
    """
    size, channels = images.images.shape[1], images.channels
    if basis == "dct":
        cosines, spread = cosine_basis(size=size, channels=channels, n_components=n_components, whitening=whitening)
        space = LatentSpace(basis=cosines, texture=None, spread=spread, covariance=None, radius=cosines.radius)
        return _centred(space, public, labels, radius_quantile=radius_quantile)
    shown = some(gather_shown(public, images, add_phantoms=add_phantoms))
    linear = fit_basis(
        shown,
        # A cohort that differs from phantoms in more than phantoms do among themselves must find room in the basis.
        beside=cosine_draws(shown) if public is None else None,
        n_components=n_components,
        radius_quantile=radius_quantile,
        whitening=whitening,
    )
    low = fit_autoencoder(shown, linear, lesson) if basis == "autoencoder" else linear
    pixels = unit_pixels(shown)
    texture = None
    if n_texture and has_texture(size=size, channels=channels):
        texture = fit_texture(_square(pixels), n_latents=n_texture)
    space = LatentSpace(basis=low, texture=texture, spread=np.ones(0), covariance=None, radius=low.radius)
    latents = space.encode(pixels)
    radius = float(np.quantile(np.linalg.norm(latents, axis=1), radius_quantile))
    space = replace(space, spread=latents.std(axis=0), covariance=public_covariance(space, public), radius=radius)
    return _centred(space, public, labels, radius_quantile=radius_quantile)


def _centred(
    space: LatentSpace, public: ImageSet | None, labels: Sequence[str], *, radius_quantile: float
) -> LatentSpace:
    """With centres, and the radius around them, where the operator's images bear the cohort's labels."""
    if public is None or public.label is None:
        return space
    shown = some(public)
    latents = space.encode(unit_pixels(shown))
    centres = public_centres(latents, shown.label, labels)
    if centres is None:
        return space
    radius = radius_around(latents, shown.label, labels, centres, quantile=radius_quantile)
    return replace(space, centres=centres, radius=radius)


def public_covariance(space: LatentSpace, public: ImageSet | None) -> Array | None:
    """The covariance of the operator's images within labels; None for phantoms alone, which few factors draw: a cohort
    drawn towards their correlations told findings apart worse than one drawn towards their variances."""
    if public is None:
        return None
    shown = some(public)
    return within_labels(space.encode(unit_pixels(shown)), shown.label)


def within_labels(latents: Array, label: NDArray[np.str_] | None) -> Array:
    """The covariance [d, d] of latents [n, d] around the mean of their label."""
    _, number = np.unique(np.zeros(len(latents)) if label is None else label, return_inverse=True)
    means = np.stack([latents[number == k].mean(axis=0) for k in range(number.max() + 1)])
    residuals = latents - means[number]
    return np.asarray(residuals.T @ residuals / len(residuals))


def gather_shown(public: ImageSet | None, images: ImageSet, *, add_phantoms: bool) -> ImageSet:
    """The operator's images and phantoms beside them, whichever there are.

    Labels of the two would be told apart by their origin, so only one source alone keeps them.
    """
    if public is None or not (add_phantoms and phantoms_fit(images)):
        return public_or_phantoms(public, images)
    both = (unit_pixels(some(public)), unit_pixels(public_or_phantoms(None, images)))
    stored = np.round(np.concatenate(both) * 255).astype(np.uint8)
    return ImageSet(images=stored.reshape(-1, *images.images.shape[1:]))


def some(images: ImageSet) -> ImageSet:
    """At most MOST_PUBLIC_IMAGES of them, evenly."""
    return images.select(np.linspace(0, len(images) - 1, min(len(images), MOST_PUBLIC_IMAGES)).astype(np.intp))


def _square(pixels: Pixels) -> Pixels:
    side = round(pixels.shape[1] ** 0.5)
    return pixels.reshape(-1, side, side)
