"""The public images that bases and pretraining use: the operator's set, else phantoms (privacy.md 12)."""

from __future__ import annotations

import numpy as np

from generators.base import ConfigError
from generators.data import ImageSet
from generators.phantoms import draw_phantoms

N_PHANTOMS = 1200
PHANTOM_SEED = 20_000


def public_or_phantoms(public: ImageSet | None, images: ImageSet) -> ImageSet:
    """The operator's set, else phantoms as large as `images`, pose and exposure spread wider than in one hospital.

    Raises ConfigError where phantoms cannot stand in.
    """
    if public is not None:
        return public
    if images.channels != 1:
        raise ConfigError("phantoms are grey", where="public", remedy="name a public set of colour images")
    return draw_phantoms(
        n_subjects=N_PHANTOMS, size=images.images.shape[1], seed=PHANTOM_SEED, max_images=1, variation=1.5
    ).images


def public_entry(public: ImageSet | None, use: str) -> dict[str, str]:
    """The card's entry of the public set."""
    if public is None:
        return {"name": "phantoms", "use": use, "licence": "CC0-1.0", "seed": str(PHANTOM_SEED)}
    return {"name": "operator's public set", "use": use, "licence": _licences(public), "digest": public.digest}


def _licences(public: ImageSet) -> str:
    """Each licence with its number of images, as `python -m generators public` writes them into a set."""
    counts = licence_counts(public)
    return ", ".join(f"{word} ({n} images)" for word, n in counts.items()) or "as the operator declares"


def licence_counts(public: ImageSet) -> dict[str, int]:
    """Images of each licence; empty where the set names none."""
    if public.licence is None:
        return {}
    words, counts = np.unique(public.licence, return_counts=True)
    return {str(word) or "none stated": int(n) for word, n in zip(words, counts, strict=True)}
