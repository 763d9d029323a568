"""A cohort of phantoms: people with one or more visits, their labels and groups, in memory or as files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from generators.base import ConfigError
from generators.data import ImageSet
from generators.files import replacing, write_text
from generators.groups import age_groups
from generators.phantoms.anatomy import LABELS, SITES, Anatomy, Visit, draw_anatomy, draw_visits
from generators.phantoms.render import render

BIT_DEPTHS = (8, 12)
SMALLEST, LARGEST = 16, 512  # pixels a side: fewer show no anatomy
PIXELS_AT_ONCE = 1 << 19

MAPPING = """\
# How the columns of metadata.csv map to a cohort. The images are procedural: no person was imaged.
[columns]
index = "index"
subject = "subject"
label = "label"
sex = "sex"
age = "age"
site = "site"

[label]
positive = ["nodule", "opacity"]

[dataset]
name = "phantom chest cohort"
licence = "CC0-1.0"
legal_basis = "procedural images, no personal data"
purposes = ["demonstration", "testing"]
permits_derivatives = true
"""


@dataclass(frozen=True, kw_only=True)
class PhantomCohort:
    """images: with label, subject, sex, age_group, site. ages: whole years, int [N]."""

    images: ImageSet
    ages: NDArray[np.int64]


def can_draw(*, size: int, channels: int) -> bool:
    """Whether there are phantoms like images of so many pixels a side and channels: grey ones, 16 to 512 pixels."""
    return channels == 1 and SMALLEST <= size <= LARGEST


def draw_phantoms(
    *,
    n_subjects: int,
    size: int = 64,
    bit_depth: int = 8,
    seed: int = 0,
    max_images: int = 3,
    labels: Sequence[str] = LABELS,
    variation: float = 1.0,
) -> PhantomCohort:
    """Draw people, each with 1 to `max_images` visits; deterministic in all arguments.

    size: pixels a side, 16 to 512. bit_depth: 8 (uint8) or 12 (uint16 up to 4095). labels: drawn with equal chance a
    person; a finding may be gone on a later visit, which then is `normal`. variation: scale of pose and exposure.
    Raises ConfigError.
    """
    _check(n_subjects, size, bit_depth, max_images, labels)
    rng = np.random.default_rng(seed)
    chosen = np.array([LABELS.index(label) for label in labels])
    people = draw_anatomy(rng, chosen[rng.integers(0, len(chosen), n_subjects)])
    n_images = rng.integers(1, max_images + 1, n_subjects)
    owner = np.repeat(np.arange(n_subjects), n_images)
    first = np.r_[True, owner[1:] != owner[:-1]]
    visits = draw_visits(rng, len(owner), first=first | ("normal" not in labels), variation=variation)
    shown = people.select(owner)
    white = 2**bit_depth - 1
    pixels: NDArray[np.uint8] | NDArray[np.uint16] = np.empty((len(owner), size, size), dtype=np.uint8)
    pixels = pixels if bit_depth == 8 else pixels.astype(np.uint16)
    step = max(1, PIXELS_AT_ONCE // size**2)
    for start in range(0, len(owner), step):
        part = np.arange(start, min(start + step, len(owner)))
        grey = render(shown.select(part), _select_visits(visits, part), size=size, rng=rng)
        pixels[part] = np.round(grey * white)
    return PhantomCohort(images=_image_set(pixels, shown, visits, owner, bit_depth), ages=shown.age.astype(np.int64))


def write_phantom_cohort(
    folder: Path, *, n_subjects: int, size: int = 64, bit_depth: int = 8, seed: int = 0, max_images: int = 3
) -> PhantomCohort:
    """Draw a cohort and write `images.npz`, `metadata.csv` and `mapping.toml` into `folder`, which it makes."""
    cohort = draw_phantoms(n_subjects=n_subjects, size=size, bit_depth=bit_depth, seed=seed, max_images=max_images)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "images.npz") as stream:
        np.savez_compressed(stream, allow_pickle=False, images=cohort.images.images, **cohort.images.bits_entry())
    write_text(folder / "metadata.csv", _metadata(cohort))
    write_text(folder / "mapping.toml", MAPPING)
    return cohort


def _metadata(cohort: PhantomCohort) -> str:
    columns = dict(cohort.images.columns())
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("index", "subject", "label", "sex", "age", "site"))
    rows = zip(*(columns[name] for name in ("subject", "label", "sex")), cohort.ages, columns["site"], strict=True)
    writer.writerows((index, *row) for index, row in enumerate(rows))
    return stream.getvalue()


def _check(n_subjects: int, size: int, bit_depth: int, max_images: int, labels: Sequence[str]) -> None:
    if n_subjects < 1 or max_images < 1:
        raise ConfigError(
            f"{n_subjects} subjects of {max_images} images", where="phantoms", remedy="ask for at least 1"
        )
    if not SMALLEST <= size <= LARGEST:
        raise ConfigError(f"is {size}", where="size", remedy=f"choose {SMALLEST} to {LARGEST} pixels")
    if bit_depth not in BIT_DEPTHS:
        raise ConfigError(f"is {bit_depth}", where="bit depth", remedy="choose 8 or 12")
    unknown = set(labels) - set(LABELS)
    if unknown or not labels:
        raise ConfigError(f"{sorted(unknown)} unknown", where="labels", remedy=f"choose among {', '.join(LABELS)}")


def _select_visits(visits: Visit, index: NDArray[np.intp]) -> Visit:
    return Visit(**{name: values[index] for name, values in vars(visits).items()})


def _image_set(
    pixels: NDArray[np.uint8] | NDArray[np.uint16], shown: Anatomy, visits: Visit, owner: NDArray[np.intp], bits: int
) -> ImageSet:
    label = np.where(visits.visible > 0, np.array(LABELS)[shown.finding.astype(np.intp)], "normal")
    return ImageSet(
        images=pixels,
        label=label,
        subject=np.char.add("phantom-", np.char.zfill(owner.astype(str), 5)),
        sex=np.where(shown.female > 0, "F", "M"),
        age_group=age_groups(shown.age.tolist()),
        site=np.array(SITES)[shown.site.astype(np.intp)],
        bits=None if bits == 8 else bits,
    )
