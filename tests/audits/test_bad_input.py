"""Named bad inputs: each is refused in one line, or answered with the reason and never with a number."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from audits.base import AuditError, AuditInput
from audits.checks import prepare, same_image
from audits.registry import run_audits
from generators.base import DataError
from generators.data import ImageSet
from tests.audits.arms import with_few_people

Pixels = NDArray[np.uint8]
Spoil = Callable[[AuditInput], object]


def _compressed(images: Pixels, quality: int) -> Pixels:
    out = []
    for image in images:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "JPEG", quality=quality)
        out.append(np.asarray(Image.open(stream)))
    return np.stack(out)


def _holdout(change: Callable[[Pixels], NDArray[np.generic]]) -> Spoil:
    return lambda data: replace(data, holdout=replace(data.holdout, images=change(data.holdout.images)))  # type: ignore[arg-type]


def _with_nan(images: Pixels) -> NDArray[np.float32]:
    spoilt = images.astype(np.float32)
    spoilt[0, 0, 0] = np.nan
    return spoilt


REFUSED: dict[str, tuple[Spoil, str]] = {
    "NaN": (_holdout(_with_nan), "pixel type is float32"),
    "float pixels": (_holdout(lambda images: images / 255), "pixel type is float64"),
    "labels that are NaN": (
        lambda data: _read_back(data.train, label=np.full(len(data.train), np.nan)),
        "label is NaN",
    ),
    "another size": (_holdout(lambda images: images[:, :16, :16]), "size is (16, 16), train has (32, 32)"),
    "another bit depth": (_holdout(lambda images: images.astype(np.uint16) * 257), "bit depth is 16, train has 8"),
    "a brightest pixel above the declared bits": (
        lambda data: ImageSet(images=data.train.images.astype(np.uint16) * 257, bits=12),
        "a pixel lies above 4095",
    ),
    "constant images": (_holdout(lambda images: np.full_like(images, 9)), "every image is constant"),
    "members in the holdout, by subject": (
        lambda data: replace(data, holdout=replace(data.holdout, subject=data.train.subjects()[: len(data.holdout)])),
        "subjects are also in train",
    ),
    "nothing but members in the holdout, without subjects": (
        lambda data: replace(data, holdout=ImageSet(images=data.train.images[:120])),
        "holdout without its copies of training images: no images",
    ),
    "nothing but members in the holdout, compressed anew": (
        lambda data: replace(data, holdout=ImageSet(images=_compressed(data.train.images[:120], 90))),
        "holdout without its copies of training images: no images",
    ),
}

ANSWERED: dict[str, tuple[Spoil, str, str]] = {
    "another JPEG history": (_holdout(lambda images: _compressed(images, 60)), "not_assessable", "differ in source"),
    "another exposure": (
        _holdout(lambda images: (255 * (images / 255) ** 0.8).astype(np.uint8)),
        "not_assessable",
        "differ in source",
    ),
    "fewer bits stretched to eight": (_holdout(lambda images: images // 8 * 8), "not_assessable", "differ in source"),
    "fewer than the minimum of people": (lambda data: with_few_people(data, 40), "no_power", "at least 50 are needed"),
}


def _read_back(arm: ImageSet, **columns: NDArray[np.generic]) -> ImageSet:
    stream = io.BytesIO()
    np.savez(stream, images=arm.images, **columns)  # type: ignore[arg-type]
    stream.seek(0)
    return ImageSet.read(stream, where="train.npz")


@pytest.mark.parametrize(("spoil", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_audited_is_refused_in_one_line(leak_free: AuditInput, spoil: Spoil, said: str) -> None:
    with pytest.raises((AuditError, DataError)) as refusal:
        run_audits(spoil(leak_free), only=["membership_inference"])  # type: ignore[arg-type]
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("audit", ["membership_inference", "nearest_copies"])
@pytest.mark.parametrize(("spoil", "status", "said"), ANSWERED.values(), ids=ANSWERED)
def test_what_biases_an_audit_is_answered_with_the_reason(
    copier: AuditInput, audit: str, spoil: Spoil, status: str, said: str
) -> None:
    report = run_audits(spoil(copier), only=[audit])  # type: ignore[arg-type]
    answers = [m for m in report.measurements if m.name.startswith(audit)]
    assert {m.status.value for m in answers} == {status}
    assert all(said in m.reason and m.value is None for m in answers)


@pytest.mark.parametrize("quality", [60, 95])
def test_members_that_were_compressed_anew_are_left_out_of_the_holdout(leak_free: AuditInput, quality: int) -> None:
    mixed = np.concatenate([leak_free.holdout.images, _compressed(leak_free.train.images[:30], quality)])
    cleaned, (found, *_) = prepare(replace(leak_free, holdout=ImageSet(images=mixed)))
    assert len(cleaned.holdout) == len(leak_free.holdout)
    assert found.status == "detected"
    assert found.details["n_identical"] == {"holdout": 0, "control": 0}
    assert found.details["n_identical_but_for_compression"] == {"holdout": 30, "control": 0}


def test_other_people_are_other_images(people: ImageSet) -> None:
    halves = (people.select(np.arange(start, 900, 2)) for start in (0, 1))
    assert not same_image(*halves).any()
