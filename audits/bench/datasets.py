"""The cohorts of the benchmark by name, each split once for every row, with what is public about it."""

from __future__ import annotations

import csv
import math
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from audits.base import AuditError
from audits.bench.digits import SIDE as DIGIT_SIDE
from audits.bench.digits import read_digits, render_digits
from generators.data import ImageSet, Strings
from generators.groups import age_groups, normal_sex
from generators.phantoms import LABELS as FINDINGS
from generators.phantoms import draw_phantoms
from generators.splits import split_by_subject
from generators.tables import read_cohort, resize_images

PHANTOMS = "phantoms"
N_PUBLIC_DIGITS = 3000
PUBLIC_SEED = 30_000
# What a custodian says of a cohort that phantoms, which are chests, do not resemble.
NO_PHANTOMS = ("basis=dct", "detail=none")

Simulator = Callable[[int, int, int], ImageSet]


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """images: with the column `split`. judged: the splits on which classifiers are judged.

    view: a stratum of each image within which figures are averaged too, or None. unit: what is protected.
    public_n: a public bound on training subjects, None where the operator has to declare one. simulate(n, size, seed):
    procedural images with the cohort's labels, or None. public, public_name: the images that cost nothing here when
    the operator names none; None for phantoms. settings: `key=value` by generator where its defaults do not suit.
    """

    images: ImageSet
    unit: str
    judged: tuple[str, ...] = ("holdout", "control")
    view: Strings | None = None
    public_n: int | None = None
    simulate: Simulator | None = None
    public: ImageSet | None = None
    public_name: str = PHANTOMS
    settings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a reader is told. cap: most subjects kept, drawn by the split's seed; 0 for all."""

    size: int | None = None
    split_seed: int = 0
    n_phantoms: int = 600
    cap: int = 0
    columns: Mapping[str, str | None] | None = None


def load_cohort(data: str, wish: Wish) -> Cohort:
    """The cohort of that name: one of READERS, a folder with `images.npz`, or such a folder among the shared ones.

    Raises AuditError or GeneratorError.
    """
    if data in READERS:
        cohort = READERS[data](wish)
        public_n = rounded_up(cohort.images.of_split("train").n_subjects)
        return replace(cohort, public_n=cohort.public_n or public_n)
    return _of_folder(data, wish)


def shared_folder() -> Path:
    """Where shared data sets lie: VEILMARK_SHARED_DATA, else beside the project."""
    return Path(os.environ.get("VEILMARK_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))


def _digits(wish: Wish) -> Cohort:
    if wish.size not in {None, DIGIT_SIDE}:
        raise AuditError(f"is {wish.size}", where="size", remedy=f"the digits have {DIGIT_SIDE} pixels a side")
    images = read_digits(split_seed=wish.split_seed)
    return Cohort(
        images=_capped_train(images, wish),
        unit="record",
        simulate=_simulate_digits,
        public=render_digits(n=N_PUBLIC_DIGITS, seed=PUBLIC_SEED),
        public_name="rendered digits",
        # Cosines suit 64 pixels better than the directions of rendered digits did; phantoms are chests. Labels
        # are even, so their counts need little.
        settings={"latent-statistics": ("basis=dct", "counts_share=.01")},
    )


def _phantoms(wish: Wish) -> Cohort:
    images = draw_phantoms(n_subjects=wish.n_phantoms, size=wish.size or 64, seed=wish.split_seed).images
    split = _split(images, wish)
    n_train = replace(images, split=split).of_split("train").n_subjects
    return Cohort(
        images=replace(images, split=split),
        unit="subject",
        public_n=n_train,
        simulate=_phantoms_as({finding: finding for finding in FINDINGS}),
    )


def _pneumonia(wish: Wish) -> Cohort:
    """Its own train and test; its validation part is the control. Judged on the test part alone."""
    with np.load(_file("pneumoniamnist", "pneumoniamnist_rebuilt.npz")) as held:
        parts = {split: (held[f"{own}_images"], held[f"{own}_labels"].reshape(-1)) for split, own in (
            ("train", "train"), ("holdout", "test"), ("control", "val"))}  # fmt: skip
    label = np.array(["normal", "pneumonia"])[np.concatenate([labels for _, labels in parts.values()])]
    images = ImageSet(
        images=np.concatenate([pixels for pixels, _ in parts.values()]),
        label=label,
        split=np.repeat(list(parts), [len(labels) for _, labels in parts.values()]),
    )
    return Cohort(
        images=resize_images(_capped_train(images, wish), wish.size or 28),
        unit="record",
        judged=("holdout",),
        simulate=_phantoms_as({"normal": "normal", "pneumonia": "opacity"}),
        # Detail of phantoms is coarser than 28 pixels show.
        settings={"latent-statistics": ("detail=none",)},
    )


def _chest(wish: Wish) -> Cohort:
    folder = _file("cxr_nih_1000", "images.npz").parent
    images = read_cohort(
        folder / "images.npz",
        folder / "metadata.csv",
        label="repo_folder",
        subject="patient_id",
        sex="sex",
        age="age",
    )
    images = resize_images(images, wish.size or 64)
    view = np.array([row["view"] for row in _rows(folder)])
    kept = _capped(images, wish)
    images, view = images.select(kept), view[kept]
    return Cohort(
        images=replace(images, split=_split(images, wish)),
        unit="subject",
        view=view,
        simulate=_phantoms_as({"No_findings": "normal", "Pneumonia": "opacity"}),
    )


def _brain(wish: Wish) -> Cohort:
    """Exact duplicates removed first, over the whole set; its own split is not used: it leaks."""
    folder = _file("brain_mri_tumor", "images.npz").parent
    images = read_cohort(folder / "images.npz", folder / "metadata.csv", label="label")
    images = images.select(_first_of_equals(images.images))
    images = resize_images(images.select(_capped(images, wish)), wish.size or 64)
    return Cohort(
        images=replace(images, split=_split(images, wish)),
        unit="record",
        settings={"latent-statistics": NO_PHANTOMS},
    )


def _skin(wish: Wish) -> Cohort:
    """Lesions are the unit, reported as records: a person can have several lesions, and nobody knows which."""
    folder = _file("skin_ham10000", "images_128x96.zip").parent
    rows = _rows(folder)
    lesion = np.array([row["lesion_id"] for row in rows])
    kept = _capped(ImageSet(images=np.zeros((len(rows), 1, 1), np.uint8), subject=lesion), wish)
    rows = [rows[number] for number in np.flatnonzero(kept)]
    size = wish.size or 48
    with zipfile.ZipFile(folder / "images_128x96.zip") as archive:
        pixels = np.stack([_picture(archive, row["source_file"], size) for row in rows])
    images = ImageSet(
        images=pixels,
        label=np.array([row["label"] for row in rows]),
        subject=lesion[kept],
        sex=np.array([normal_sex(row["sex"]) for row in rows]),
        age_group=age_groups([float(row["age"]) if row["age"] else None for row in rows]),
    )
    images = images.select(_first_of_equals(images.images))
    return Cohort(images=replace(images, split=_split(images, wish)), unit="record")


READERS: dict[str, Callable[[Wish], Cohort]] = {
    "digits": _digits,
    PHANTOMS: _phantoms,
    "pneumoniamnist": _pneumonia,
    "cxr_nih_1000": _chest,
    "brain_mri_tumor": _brain,
    "skin_ham10000": _skin,
}


def _of_folder(data: str, wish: Wish) -> Cohort:
    folder = _find(data)
    metadata = folder / "metadata.csv"
    named = wish.columns or {}
    images = read_cohort(
        folder / "images.npz",
        metadata if metadata.is_file() else None,
        label=named.get("label"),
        subject=named.get("subject"),
        sex=named.get("sex"),
        age=named.get("age"),
    )
    images = resize_images(images.select(_capped(images, wish)), wish.size or 64)
    return Cohort(images=replace(images, split=_split(images, wish)), unit=images.privacy_unit)


def _find(data: str) -> Path:
    for folder in (Path(data), shared_folder() / data):
        if (folder / "images.npz").is_file():
            return folder
    raise AuditError(
        "no folder with images.npz",
        where=data,
        remedy=f"give a folder, the name of one in VEILMARK_SHARED_DATA, or one of {', '.join(READERS)}",
    )


def _file(folder: str, name: str) -> Path:
    path = shared_folder() / folder / name
    if not path.is_file():
        raise AuditError("no such file", where=str(path), remedy="set VEILMARK_SHARED_DATA to the folder of data sets")
    return path


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metadata.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _picture(archive: zipfile.ZipFile, name: str, size: int) -> NDArray[np.uint8]:
    """The central square of one stored image at size x size pixels, RGB."""
    with archive.open(name) as stream, Image.open(stream) as picture:
        colour = picture.convert("RGB")
    side = min(colour.size)
    left, top = (colour.width - side) // 2, (colour.height - side) // 2
    square = colour.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    return np.asarray(square, dtype=np.uint8)


def _split(images: ImageSet, wish: Wish) -> Strings:
    return split_by_subject(images.subjects(), seed=wish.split_seed, labels=images.label)


def _capped(images: ImageSet, wish: Wish) -> NDArray[np.bool_]:
    """[N]: the images of `wish.cap` subjects drawn by the seed; of all without a cap."""
    people = np.unique(images.subjects())
    if not 0 < wish.cap < len(people):
        return np.ones(len(images), dtype=bool)
    chosen = np.random.default_rng(wish.split_seed).permutation(people)[: wish.cap]
    return np.isin(images.subjects(), chosen)


def _capped_train(images: ImageSet, wish: Wish) -> ImageSet:
    """For sets with a test part of their own: the cap leaves it whole and holds for the training part."""
    assert images.split is not None  # noqa: S101 - the readers made it
    rows = np.flatnonzero(images.split == "train")
    if not 0 < wish.cap < len(rows):
        return images
    dropped = np.random.default_rng(wish.split_seed).permutation(rows)[wish.cap :]
    return images.select(~np.isin(np.arange(len(images)), dropped))


def _first_of_equals(pixels: NDArray[np.generic]) -> NDArray[np.bool_]:
    seen: set[bytes] = set()
    first = np.zeros(len(pixels), dtype=bool)
    for number, image in enumerate(pixels):
        content = image.tobytes()
        first[number] = content not in seen
        seen.add(content)
    return first


def _phantoms_as(words: Mapping[str, str]) -> Simulator:
    """Phantoms under the cohort's labels: words maps each label to the phantoms' finding."""
    return partial(_simulate_phantoms, {finding: label for label, finding in words.items()})


def _simulate_phantoms(names: Mapping[str, str], n: int, size: int, seed: int) -> ImageSet:
    # On some visits a finding is gone and the label is another: callers ask for more than they need of each.
    drawn = draw_phantoms(n_subjects=2 * n, size=size, seed=PUBLIC_SEED + seed, max_images=1, labels=[*names]).images
    assert drawn.label is not None  # noqa: S101 - phantoms have labels
    return replace(drawn, label=np.array([names.get(str(word), "") for word in drawn.label]))


def _simulate_digits(n: int, _size: int, seed: int) -> ImageSet:
    return render_digits(n=n, seed=seed)


def rounded_up(n: int) -> int:
    """Two digits of a public set's size: what a custodian would declare."""
    unit = int(10 ** max(0, math.floor(math.log10(n)) - 1))
    return unit * math.ceil(n / unit)
