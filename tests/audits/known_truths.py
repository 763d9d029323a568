"""Generators whose truth is known, each as the arms of an audit: what is guilty of one thing, and its innocent twin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from audits.base import AuditInput
from audits.claims import steps
from audits.marks import MarkCount, MarkCounts
from audits.planted import other_visits
from audits.stats import rows_by_subject
from generators import training
from generators.data import ImageSet
from generators.phantoms import draw_phantoms
from generators.registry import GENERATORS, Entry
from tests.audits.leaking_weights import named_as_if_of, phantom_arms, trained
from tests.audits.rare_families import Drawer
from tests.audits.rare_families import folder_of as drawing_folder

Numbers = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a case is made of. place: an empty folder."""

    leak_free: AuditInput
    copier: AuditInput
    people: ImageSet
    place: Path
    patch: pytest.MonkeyPatch


Made = Callable[[Given], AuditInput]


def of_others(given: Given) -> AuditInput:
    return given.leak_free


def copying(given: Given) -> AuditInput:
    return given.copier


def changed(change: Callable[[Numbers], Numbers]) -> Made:
    """Other people's images, spoilt."""

    def make(given: Given) -> AuditInput:
        synthetic = given.leak_free.synthetic
        pixels = np.clip(np.rint(change(synthetic.images.astype(float))), 0, 255).astype(np.uint8)
        return replace(given.leak_free, synthetic=replace(synthetic, images=pixels))

    return make


blurred = changed(lambda images: ndimage.gaussian_filter(images, (0, 0.7, 0.7)))
repeated = changed(lambda images: images[np.arange(len(images)) % 6])


def with_words(data: AuditInput, arm: str, **words: NDArray[np.str_]) -> AuditInput:
    return replace(data, **{arm: replace(getattr(data, arm), **words)})


def meaning_nothing(data: AuditInput) -> AuditInput:
    """Labels of synthetic images dealt anew."""
    return with_words(data, "synthetic", label=np.random.default_rng(0).permutation(np.asarray(data.synthetic.label)))


def visiting(given: Given, *, n_given_away: int = 0) -> AuditInput:
    """People of one to three visits. Synthetic images are of others, or some visits that were kept from training."""
    images = draw_phantoms(n_subjects=345, size=32, seed=11).images
    rows = rows_by_subject(images.subjects())
    train, holdout, control, others = (
        images.select(np.concatenate([rows[i] for i in part])) for part in np.split(np.arange(345), [120, 225, 285])
    )
    _, second = other_visits(train.subjects())
    pixels = others.images.copy()
    pixels[:n_given_away] = train.images[second[:n_given_away]]
    kept = train.select(np.setdiff1d(np.arange(len(train)), second))
    return AuditInput(train=kept, holdout=holdout, control=control, synthetic=ImageSet(images=pixels))


def tables(given: Given, *, leaks: bool = False, smallest_cell: int = 30) -> AuditInput:
    """Words drawn evenly, one site small. Rows that leak are those of training people."""

    def written(n: int, seed: int, name: str) -> ImageSet:
        rng = np.random.default_rng(seed)
        words = {
            column: np.array([f"{column}{i}" for i in range(k)])[rng.integers(0, k, n)]
            for column, k in (("label", 12), ("age_group", 8), ("sex", 6))
        }
        site = np.where(np.arange(n) < smallest_cell, "small", "large")
        pixels = rng.integers(0, 255, (n, 8, 8), dtype=np.uint8)
        return ImageSet(images=pixels, subject=np.array([f"{name}{i}" for i in range(n)]), site=site, **words)

    train, holdout, control, others = (
        written(n, seed, name) for seed, (name, n) in enumerate((("t", 300), ("h", 100), ("c", 100), ("s", 300)))
    )
    released = replace(train if leaks else others, images=others.images, subject=None)
    return AuditInput(train=train, holdout=holdout, control=control, synthetic=released)


def cells(given: Given, *, smallest: int) -> AuditInput:
    """One column, one of whose words so many training people have."""
    data = given.leak_free
    words = np.where(np.arange(len(data.train)) < smallest, "rare", "usual")
    bare = {
        name: replace(getattr(data, name), label=None, age_group=None, site=None) for name in ("train", "synthetic")
    }
    return with_words(replace(data, **bare), "train", sex=words)


def with_weights(given: Given, *, guilty: bool) -> AuditInput:
    """Statistics without noise, of the members or of people whom nobody asks for."""
    data = phantom_arms()
    seen = data.train if guilty else data.synthetic
    trained("latent-statistics", seen, given.place / "g", {"n_components": 40})
    return replace(data, generator=named_as_if_of(data.train, given.place / "g"))


def drawing(given: Given, *, guilty: bool) -> AuditInput:
    """A generator that draws its rarest people from training, or everybody from others."""
    given.patch.setitem(GENERATORS, Drawer.name, Entry(target=f"{Drawer.__module__}:{Drawer.__name__}", summary=""))
    data = given.leak_free
    theirs = np.flatnonzero(np.asarray(data.train.label) == "nodule")
    train = data.train.select(np.setdiff1d(np.arange(len(data.train)), theirs[12:]))
    folder = drawing_folder(train if guilty else data.synthetic, given.place / "drawer")
    return replace(data, train=train, generator=folder)


def claiming(given: Given, *, guilty: bool) -> AuditInput:
    """A private run of few steps; guilty: its trainer adds a tenth of the noise that the card claims."""
    config = {"public_steps": 0, "n_steps": 3, "batch_size": 20, "width": 8, "n_latents": 4, "checkpoint_every": 3}
    data = phantom_arms()
    trained("vae", data.train, given.place / "g", config, epsilon=8.0)
    given.patch.setattr(steps, "LEAST_OBSERVED", 1500)
    given.patch.setattr(steps, "N_CANARIES", 48)
    real = training.add_noise
    if guilty:
        given.patch.setattr(
            training,
            "add_noise",
            lambda total, plan: real(total, replace(plan, noise_multiplier=plan.noise_multiplier / 10)),
        )
    return replace(data, generator=given.place / "g")


def mixing(given: Given) -> AuditInput:
    """Two labels that a judge tells well, and enough people to see two hundredths of AUC."""
    drawn = draw_phantoms(n_subjects=1250, size=32, seed=5, max_images=1, labels=("normal", "opacity")).images
    train, holdout, others = (drawn.select(part) for part in np.split(np.arange(1250), [400, 850]))
    return AuditInput(train=train, holdout=holdout, synthetic=replace(others, subject=None))


def dealt_sexes(given: Given) -> AuditInput:
    """Two labels, and a holdout of more than 100 people of either sex, to whom sex was dealt anew."""
    known = given.people.select(np.isin(np.asarray(given.people.label), ["normal", "opacity"]))
    train, holdout, others = (replace(known.select(part), site=None) for part in np.split(np.arange(570), [70, 500]))
    data = AuditInput(train=train, holdout=holdout, synthetic=replace(others, subject=None))
    return with_words(data, "holdout", sex=np.random.default_rng(1).permutation(np.asarray(holdout.sex)))


def failing_women(given: Given) -> AuditInput:
    """The labels of women in the holdout are swapped, so that whatever was learned is wrong there."""
    data = dealt_sexes(given)
    label, sex = np.asarray(data.holdout.label), np.asarray(data.holdout.sex)
    swapped = np.where(label == "normal", "opacity", "normal")
    return with_words(data, "holdout", label=np.where(sex == "F", swapped, label))


def even(given: Given) -> AuditInput:
    """Every arm has more than 100 people of either sex."""
    parts = np.split(np.arange(len(given.people)), [250, 500, 750])
    train, holdout, others, control = (replace(given.people.select(part), site=None) for part in parts)
    return AuditInput(train=train, holdout=holdout, control=control, synthetic=replace(others, subject=None))


def faint_women(given: Given) -> AuditInput:
    """Synthetic images of women are all near to their mean."""
    data = even(given)
    women = np.asarray(data.synthetic.sex) == "F"
    pixels = data.synthetic.images.astype(float)
    pixels[women] = pixels[women].mean(axis=0) + 0.2 * (pixels[women] - pixels[women].mean(axis=0))
    return replace(data, synthetic=replace(data.synthetic, images=pixels.astype(np.uint8)))


def healthy_women(given: Given) -> AuditInput:
    """No synthetic woman has a finding."""
    data = even(given)
    kept = (np.asarray(data.synthetic.label) == "normal") | (np.asarray(data.synthetic.sex) != "F")
    return replace(data, synthetic=data.synthetic.select(kept))


def marked(given: Given, *, found: int) -> AuditInput:
    """A set in so many of whose 100 images tried the mark was found, and in none of 200 real ones."""
    count = MarkCount(transform="as released", n=100, found=found)
    return replace(given.leak_free, marks=MarkCounts(transforms=(count,), n_unmarked=200))


def by_histograms(made: Made) -> Made:
    return lambda given: replace(made(given), embedding="histograms")
