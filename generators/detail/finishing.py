"""The last step of grey images: to look, on average, as a charged release says, where texture is drawn at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from generators.data import ImageSet
from generators.detail.fitting import PublicImages
from generators.detail.look import Look, fit_look
from generators.detail.matching import Step, fit_step
from generators.folder import load_tensors, save_tensors
from generators.latent.basis import Array, Basis
from generators.latent.texture import Pixels
from generators.networks.tensors import image_tensor
from generators.public.images import public_or_phantoms
from generators.releases.spectrum import MeanLook

FILE = "finish.safetensors"
N_DRAWN = 400
MOST_PUBLIC = 500

Draws = Callable[[int], tuple[Pixels, Array]]
"""draws(n) -> about n images [n, D] with detail, and the latents [n, d] of the basis that they were drawn for."""


def public_look(shown: PublicImages | None, like: ImageSet, basis: Basis) -> Look:
    """A look centred on sharp public images where there are enough, else on phantoms."""
    if shown is not None and shown.best == "sharp":
        return fit_look(shown.of_kind("sharp")[:MOST_PUBLIC], basis)
    phantoms = image_tensor(public_or_phantoms(None, like))[:MOST_PUBLIC, 0]
    return fit_look(np.asarray(phantoms.numpy(), dtype=np.float32), basis)


def look_tensors(released: MeanLook, look: Look) -> dict[str, Array]:
    """What is kept of a release."""
    return {
        "look": released.mean,
        "look_noise": np.array([released.noise]),
        "look_centre": look.centre,
        "look_rings": look.rings,
    }


def keep_step(folder: Path, released: Mapping[str, NDArray[np.generic]], basis: Basis, draws: Draws) -> None:
    """Find the step that brings draws to the released look (`look_tensors`) and keep it in the folder. Free."""
    names = ("look", "look_noise", "look_centre", "look_rings")
    mean, noise, centre, rings = (released[name].astype(np.float64) for name in names)
    look = Look(basis=basis, rings=rings, centre=centre)
    pixels, latents = draws(N_DRAWN)
    images = pixels.reshape(-1, look.size, look.size)
    save_tensors(folder / FILE, fit_step(images, latents, look, mean, float(noise[0])).tensors)


def finish(folder: Path, pixels: Pixels, basis: Basis) -> Pixels:
    """Images [n, D] after the step of this folder, where there is one."""
    if not (folder / FILE).exists():
        return pixels
    side = round(pixels.shape[1] ** 0.5)
    tensors = {name: value.astype(np.float64) for name, value in load_tensors(folder / FILE).items()}
    return Step.of(tensors).apply(pixels.reshape(-1, side, side), basis).reshape(pixels.shape)
