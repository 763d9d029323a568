"""The figures of `audits/README.md` on other visits, rare cells, weights, detectability and exported detectors.

    python -m tests.benchmarks.audit_figures re-identification rare-cells weights detectability detectors
    python -m tests.benchmarks.audit_figures detectability detectors --data cxr_nih_1000

Phantoms, of whom there are as many as wanted, and with `--data` a benchmark set, split by patient. A leaking generator
and an innocent one each; a line a measurement.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from audits.base import AuditInput, Measurement
from audits.bench.datasets import Wish, load_cohort
from audits.detectors.private import taught_privately
from audits.detectors.teaching import taught_on_public, tried
from audits.planted import other_visits
from audits.registry import run_audits
from audits.shadows.measuring import Shadows, membership_from_weights
from audits.stats import rows_by_subject
from generators.base import CellCount
from generators.data import ImageSet
from generators.phantoms import draw_phantoms
from generators.privacy import PrivacyBudget
from generators.registry import GENERATORS, Entry
from generators.runner import sample_generator, train_generator
from tests.audits.rare_families import Drawer, folder_of

PHANTOMS = "phantoms"
SOFT = 0.7  # pixels: the blur of a weak generator
RARE = "nodule"
N_RARE = 12

Lines = Iterator[tuple[str, object]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=list(FIGURES))
    parser.add_argument("--data", default=PHANTOMS, help="a benchmark set, for detectability and detectors")
    given = parser.parse_args()
    for name in given.names:
        before = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            for what, found in FIGURES[name](Path(folder), given.data):
                print(f"{name}, {what}: {_said(found)}", flush=True)  # noqa: T201 - a command
        print(f"{name}: {time.process_time() - before:.0f} CPU s", flush=True)  # noqa: T201


def re_identification(_folder: Path, _data: str) -> Lines:
    """600 train, 1,000 unseen, 200 control people at 64 px; 40 visits held back from training among 200 images."""
    images = draw_phantoms(n_subjects=2000, size=64, seed=21).images
    train, holdout, control, others = _by_person(images, 600, 1000, 200)
    innocent = others.select(np.arange(200))
    _, second = other_visits(train.subjects())
    held_back = np.isin(np.arange(len(train)), second)
    pixels = innocent.images.copy()
    pixels[:40] = train.images[second[:40]]
    data = AuditInput(
        train=train.select(~held_back), holdout=holdout, control=control, synthetic=replace(innocent, subject=None)
    )
    for what, shown in (("innocent", innocent.images), ("40 visits of members", pixels)):
        found = run_audits(replace(data, synthetic=ImageSet(images=shown)), only=["re_identification"])
        yield what, found.measurements[-1]


def rare_cells(folder: Path, _data: str) -> Lines:
    """12 members with the rarest label; 300 draws of it, by a generator that memorised them and by an innocent one."""
    GENERATORS[Drawer.name] = Entry(target=f"{Drawer.__module__}:{Drawer.__name__}", summary="for this figure")
    data = _arms(PHANTOMS)
    theirs = np.flatnonzero(np.asarray(data.train.label) == RARE)
    train = data.train.select(np.setdiff1d(np.arange(len(data.train)), theirs[N_RARE:]))
    for what, held in (("innocent", data.synthetic), ("memorised", train)):
        generator = folder_of(held, folder / what)
        report = run_audits(replace(data, train=train, generator=generator), only=["rare_cell_extraction"])
        for m in report.measurements:
            if m.name.startswith("rare_cell_extraction"):
                yield what, m


def weights(folder: Path, _data: str) -> Lines:
    """A VAE without privacy on 120 people at 32 px for 1,200 steps, and 3 shadows."""
    people = draw_phantoms(n_subjects=360, size=32, seed=3, max_images=1).images
    train, holdout, control = (people.select(part) for part in np.split(np.arange(360), 3))
    config = {
        "public_steps": 0, "n_steps": 1200, "batch_size": 32, "width": 16, "n_latents": 32, "learning_rate": 2e-3,
        "average": 0.98, "microbatch": 32, "checkpoint_every": 1200,
    }  # fmt: skip
    budget = PrivacyBudget.without_privacy(public_n_subjects=120)
    train_generator(name="vae", images=train, budget=budget, config=config, out=folder / "g", device="cpu")
    labels, counts = np.unique(np.asarray(train.label), return_counts=True)
    cells = [CellCount(label=str(label), n=int(2 * n)) for label, n in zip(labels, counts, strict=True)]
    data = AuditInput(
        train=train,
        holdout=holdout,
        control=control,
        synthetic=sample_generator(folder / "g", cells),
        generator=folder / "g",
    )
    for m in membership_from_weights(data, Shadows(n=3, most_seconds=None)):
        yield m.name, m
    for name in ("nearest_copies", "membership_inference"):
        for m in run_audits(data, only=[name]).measurements:
            if m.name.startswith(name):
                yield m.name, m


def detectability(_folder: Path, data: str) -> Lines:
    """By the auditor and by a receiver: other people's images, and the same blurred."""
    arms = _arms(data)
    for what, synthetic in (("other people", arms.synthetic), ("blurred", _blurred(arms.synthetic))):
        for m in run_audits(replace(arms, synthetic=synthetic), only=["detectability"]).measurements:
            if m.name.startswith("detectability"):
                yield f"{what}, {m.name}", m


def detectors(folder: Path, data: str) -> Lines:
    """Detectors that may leave the site, on people whom they never saw: taught on phantoms, and privately."""
    arms = _arms(data)
    size = arms.train.images.shape[1]
    public = draw_phantoms(n_subjects=600, size=size, seed=99, max_images=1).images
    budget = PrivacyBudget(target_epsilon=1.0, public_n_subjects=1000, target_delta=1e-5)
    for what, synthetic in (("other people", arms.synthetic), ("blurred", _blurred(arms.synthetic))):
        yield f"{what}, taught on phantoms", tried(taught_on_public(synthetic, public, seed=0), synthetic, arms.holdout)
        out = folder / what
        out.mkdir()
        private = taught_privately(synthetic, arms.train, budget=budget, out=out, seed=0)
        yield f"{what}, epsilon 1", tried(private, synthetic, arms.holdout)


def _arms(data: str) -> AuditInput:
    """Phantoms: 400 train, 200 holdout, 200 control and 400 other people at 64 px; else the cohort's own split."""
    if data == PHANTOMS:
        images = draw_phantoms(n_subjects=1200, size=64, seed=31, max_images=1).images
        train, holdout, control, others = _by_person(images, 400, 200, 200)
    else:
        cohort = load_cohort(data, Wish()).images
        whole, holdout, control = (cohort.of_split(name) for name in ("train", "holdout", "control"))
        train, others = _by_person(whole, round(0.7 * whole.n_subjects))
    return AuditInput(train=train, holdout=holdout, control=control, synthetic=replace(others, subject=None))


def _by_person(images: ImageSet, *sizes: int) -> list[ImageSet]:
    """So many people each, in a seeded order, and everybody else."""
    rows = rows_by_subject(images.subjects())
    parts = np.split(np.random.default_rng(0).permutation(len(rows)), np.cumsum(sizes))
    return [images.select(np.concatenate([rows[i] for i in part])) for part in parts]


def _blurred(images: ImageSet) -> ImageSet:
    soft = ndimage.gaussian_filter(images.images.astype(float), (0, SOFT, SOFT))
    return replace(images, images=np.rint(soft).astype(images.images.dtype))


def _said(found: object) -> str:
    if not isinstance(found, Measurement):
        return str(found)
    value = "" if found.value is None else f" {found.value:.3f} ({found.ci_low:.3f} to {found.ci_high:.3f})"
    rates = {name: figure for name, figure in found.details.items() if name.startswith(("tpr", "at_"))}
    return f"{found.status.value}{value}, p {found.p_value}; {found.reason}" + (f"; {rates}" if rates else "")


FIGURES: Mapping[str, Callable[[Path, str], Lines]] = {
    "re-identification": re_identification,
    "rare-cells": rare_cells,
    "weights": weights,
    "detectability": detectability,
    "detectors": detectors,
}

if __name__ == "__main__":
    main()
