"""Arms of phantom people, and generators whose verdict is known: one copies, one never saw the training people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from audits.base import AuditInput
from generators.data import ImageSet
from generators.phantoms import draw_phantoms
from tests.audits.arms import noisy_copies

N_TRAIN, N_UNSEEN = 240, 120


@pytest.fixture(scope="session")
def people() -> ImageSet:
    """900 phantom people, one image each."""
    return draw_phantoms(n_subjects=900, size=32, seed=3, max_images=1).images


@pytest.fixture(scope="session")
def leak_free(people: ImageSet) -> AuditInput:
    """Synthetic images of other people altogether: nothing of the training arm can be in them."""
    parts = np.split(np.arange(900), [N_TRAIN, N_TRAIN + N_UNSEEN, N_TRAIN + 2 * N_UNSEEN])
    train, holdout, control, others = (people.select(part) for part in parts)
    return AuditInput(train=train, holdout=holdout, control=control, synthetic=replace(others, subject=None))


@pytest.fixture(scope="session")
def copier(leak_free: AuditInput) -> AuditInput:
    """Synthetic images that are training images with a little noise."""
    return replace(leak_free, synthetic=noisy_copies(leak_free.train, n=400, seed=1))


@pytest.fixture(scope="session")
def blurred(leak_free: AuditInput) -> AuditInput:
    """A leak-free generator of smooth images: near to everything, to training images no more than to others."""
    images = leak_free.synthetic.images.reshape(len(leak_free.synthetic), -1).astype(float)
    mean = images.mean(axis=0)
    _, spectrum, axes = np.linalg.svd(images - mean, full_matrices=False)
    drawn = np.random.default_rng(5).normal(0, spectrum[:12] / np.sqrt(len(images)), (400, 12)) @ axes[:12] + mean
    pixels = np.clip(drawn, 0, 255).astype(np.uint8).reshape(400, *leak_free.train.images.shape[1:])
    return replace(leak_free, synthetic=ImageSet(images=pixels, label=leak_free.synthetic.label[:400]))  # type: ignore[index]
