"""Marks found where none are: real images that bear no mark, and synthetic nulls of the check and of z."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.benchmarks.watermark.material import SHARED
from veilmark.provenance.watermark import PUBLIC_DETECTION_KEY, Detection, MarkId, detect_mark, direct_ids
from veilmark.provenance.watermark.code import coded_length, decode, signs
from veilmark.provenance.watermark.mark_id import FORMS, checked_id, message_bits
from veilmark.provenance.watermark.pattern import PROFILES, pattern_for
from veilmark.provenance.watermark.soft import correlate

N_SYNTHETIC = 3_000_000
N_DECODED = 50_000
N_KNOWN = 1000
SIZE = 64
SKIN = 3000


def report(n_full: int, found: Path) -> None:
    """All images at the direct stage, then `n_full` of them in full with known ids.

    A full search appends its line to the file `found`, so that the command goes on where it was stopped; only a run
    on the same code may go on.
    """
    _check_of_random_messages()
    _decoded_noise()
    _correlated_noise()
    images = np.stack(list(_unmarked()))
    marked = sum(mark is not None for part in np.array_split(images, 64) for mark in direct_ids(part))
    print(f"direct stage: {marked} of {len(images):,} unmarked real images", flush=True)  # noqa: T201 - a command
    rows = np.random.default_rng(4).permutation(len(images))[:n_full]
    found.parent.mkdir(exist_ok=True)
    n_done = len(_searched(found))
    with found.open("a") as lines:
        for row in rows[n_done:]:
            got = _full_search(images[row])
            lines.write(f"{row},{int(got.detected)},{got.false_positive_rate!r}\n")
            lines.flush()
    searched = _searched(found)
    detected = sum(is_detected for is_detected, _ in searched)
    largest = max((rate for _, rate in searched), default=0.0)
    print(f"full search: {detected} of {len(searched):,}, stated rate at most {largest:.1e}", flush=True)  # noqa: T201


def _searched(found: Path) -> list[tuple[bool, float]]:
    lines = found.read_text().split() if found.exists() else []
    return [(is_detected == "1", float(rate)) for _, is_detected, rate in (line.split(",") for line in lines)]


def _full_search(image: NDArray[np.uint8]) -> Detection:
    return detect_mark(image, known_ids=[MarkId(release=1, random=i) for i in range(N_KNOWN)])


def _check_of_random_messages() -> None:
    """Whatever a decoder hands over: how often the keyed check holds, and its first 16 bits as a test of this test."""
    rng = np.random.default_rng(1)
    for version, form in FORMS.items():
        passed = short = 0
        for _ in range(N_SYNTHETIC // 100_000):
            bits = rng.integers(0, 2, (100_000, form.n_message_bits), dtype=np.uint8)
            bits[:, :4] = np.unpackbits(np.array([version], np.uint8))[4:]
            ids = [MarkId.from_bytes(row.tobytes()) for row in np.packbits(bits[:, : form.n_bits], axis=1)]
            agree = (bits == message_bits(ids, PUBLIC_DETECTION_KEY))[:, form.n_bits :]
            passed += int(agree.all(axis=1).sum())
            short += int(agree[:, :16].all(axis=1).sum())
        what = f"random messages of {form.n_bits}-bit ids"
        print(f"{what}: {passed} of {N_SYNTHETIC:,} pass the check, {short} its first 16 bits", flush=True)  # noqa: T201


def _decoded_noise() -> None:
    rng = np.random.default_rng(2)
    for form in FORMS.values():
        passed = 0
        for _ in range(N_DECODED // 500):
            soft = rng.standard_normal((500, coded_length(form.n_message_bits)), dtype=np.float32)
            passed += sum(checked_id(message, PUBLIC_DETECTION_KEY) is not None for message in decode(soft))
        print(f"decoded noise, {form.n_bits}-bit ids: {passed} of {N_DECODED:,} pass the check", flush=True)  # noqa: T201


def _correlated_noise() -> None:
    """The largest z of random soft values with known ids. Each pair is one null; the threshold lies near 7.6."""
    rng = np.random.default_rng(3)
    for pattern in (pattern_for(profile, PUBLIC_DETECTION_KEY) for profile in PROFILES):
        for version in pattern.profile.versions:
            known = [MarkId(release=1, random=i, version=version) for i in range(N_KNOWN)]
            words = signs(message_bits(known, PUBLIC_DETECTION_KEY))
            largest = 0.0
            for _ in range(N_SYNTHETIC // N_KNOWN // 100):
                soft = np.sin(rng.uniform(0, 2 * np.pi, (100, *pattern.pilots.shape))).astype(np.float32)
                largest = max(largest, float(correlate(soft, words, pattern).max()))
            what = f"{N_SYNTHETIC:,} pairs, tile {pattern.profile.name}, {known[0].form.n_bits}-bit ids"
            print(f"z of {what}: largest {largest:.2f}", flush=True)  # noqa: T201


def _unmarked() -> Iterator[NDArray[np.uint8]]:
    """Grey images of 64 px: chest X-rays of three collections, brain slices, skin."""
    for name, keys in {
        "cxr_nih_1000/images.npz": ("images",),
        "cxr_covid/images.npz": ("images",),
        "brain_mri_tumor/images.npz": ("images",),
        "pneumoniamnist/pneumoniamnist_rebuilt.npz": ("train_images", "val_images", "test_images"),
    }.items():
        with np.load(SHARED / name) as arrays:
            for key in keys:
                yield from (_at_size(Image.fromarray(image)) for image in arrays[key])
    with zipfile.ZipFile(SHARED / "skin_ham10000" / "images_128x96.zip") as archive:
        for name in sorted(archive.namelist())[:SKIN]:
            yield _at_size(Image.open(io.BytesIO(archive.read(name))).convert("L"))


def _at_size(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BICUBIC))
