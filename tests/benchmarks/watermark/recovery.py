"""Recovery after each attack, blind and with the release's known ids; PSNR; CPU time of one core."""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.watermark.material import load
from veilmark.provenance.watermark import MarkId, detect_mark, mark_images, version_for
from veilmark.provenance.watermark.attacks import ATTACKS, shown
from veilmark.provenance.watermark.mark_id import FORMS

N_KNOWN = 1000  # ids in the manifest
PER_TASK = 2


@dataclass(frozen=True, kw_only=True)
class Task:
    source: str
    size: int
    half: str
    n: int
    part: slice
    attacks: tuple[str, ...]
    version: int | None


@dataclass(kw_only=True)
class Outcome:
    """`psnr` of each image; of each attack one (blind, with manifest, wrong, seconds) an image; seconds to mark."""

    task: Task
    psnr: list[float] = field(default_factory=list)
    marking: list[float] = field(default_factory=list)
    found: dict[str, list[tuple[bool, bool, bool, float]]] = field(default_factory=dict)


def report(
    sizes: Sequence[int],
    sources: Sequence[str],
    attacks: Sequence[str],
    n: int,
    half: str,
    processes: int,
    version: int | None = None,
) -> None:
    """`version` of the ids; None: what a release takes at the size."""
    with ProcessPoolExecutor(processes) as pool:
        for size in sizes:
            plain = [source for source in sources if source != "dicom"]
            tasks = _tasks(plain, size, half, n, attacks, version)
            _print(f"{size} px", list(pool.map(measured, tasks)), attacks)
        if "dicom" in sources:
            names = ("none", "JPEG 50")
            tasks = _tasks(["dicom"], 0, half, n, names, version)
            _print("12/16-bit DICOM, windowed", list(pool.map(measured, tasks)), names)


def _tasks(
    sources: Sequence[str], size: int, half: str, n: int, attacks: Sequence[str], version: int | None
) -> list[Task]:
    return [
        Task(source=source, size=size, half=half, n=n, part=part, attacks=tuple(attacks), version=version)
        for source in sources
        for part in (slice(at, at + PER_TASK) for at in range(0, n, PER_TASK))
    ]


def measured(task: Task) -> Outcome:
    images = load(task.source, task.size, half=task.half, n=task.n)
    outcome = Outcome(task=task)
    for at, image in list(enumerate(images))[task.part]:
        version = task.version or version_for(*image.shape[:2])
        ids = _drawn_ids(max(N_KNOWN, len(images)), version)
        mark = ids[at]
        mark_images(image[None], [mark])  # expand the key once, outside the clock
        start = time.process_time()
        marked = mark_images(image[None], [mark]).images[0]
        outcome.marking.append(time.process_time() - start)
        outcome.psnr.append(psnr(marked, image))
        for name in task.attacks:
            rng = np.random.default_rng([mark.random, zlib.crc32(name.encode())])
            attacked = np.ascontiguousarray(ATTACKS[name](shown(marked), rng))
            outcome.found.setdefault(name, []).append(_found(attacked, mark, ids))
    return outcome


def _drawn_ids(n: int, version: int) -> list[MarkId]:
    """As a release draws them, but the same in every run. Ids in sequence share most of their code words, so that
    correlation may take one for another."""
    rng, n_bytes = np.random.default_rng(6), FORMS[version].random_bits // 8
    return [MarkId(release=1, random=int.from_bytes(rng.bytes(n_bytes)), version=version) for _ in range(n)]


def _found(attacked: NDArray[np.uint8], mark: MarkId, known: Sequence[MarkId]) -> tuple[bool, bool, bool, float]:
    """Correlation with known ids begins where the blind search has ended, so one search tells both."""
    start = time.process_time()
    got = detect_mark(attacked, known_ids=known)
    seconds = time.process_time() - start
    return got.id == mark and got.stage != "manifest", got.id == mark, got.id not in {mark, None}, seconds


def psnr(marked: NDArray[np.generic], original: NDArray[np.generic]) -> float:
    """In dB, against 255 or the depth that the brightest pixel needs."""
    peak = max(255.0, 2 ** np.ceil(np.log2(float(original.max()) + 1)) - 1)
    error = ((marked.astype(np.float64) - original) ** 2).mean()
    return float(10 * np.log10(peak**2 / max(error, 1e-9)))


def _print(title: str, outcomes: Sequence[Outcome], attacks: Sequence[str]) -> None:
    sources = list(dict.fromkeys(outcome.task.source for outcome in outcomes))
    values = np.array([value for outcome in outcomes for value in outcome.psnr])
    marking = np.array([value for outcome in outcomes for value in outcome.marking])
    print(  # noqa: T201 - a command
        f"\n## {title}: {len(values)} images; PSNR mean {values.mean():.1f}, lowest {values.min():.2f} dB; "
        f"marking one image: median {1000 * np.median(marking):.1f} ms of CPU"
    )
    print(f"| attack | all | {' | '.join(sources)} | median ms | longest ms | wrong |")  # noqa: T201
    print("|---" * (len(sources) + 5) + "|")  # noqa: T201
    for name in attacks:
        by_source = {
            source: [row for o in outcomes if o.task.source == source for row in o.found.get(name, [])]
            for source in sources
        }
        everything = [row for rows in by_source.values() for row in rows]
        seconds = 1000 * np.array([row[3] for row in everything])
        cells = " | ".join(_share(rows) for rows in (everything, *by_source.values()))
        wrong = sum(row[2] for row in everything)
        print(f"| {name} | {cells} | {np.median(seconds):.0f} | {seconds.max():.0f} | {wrong} |", flush=True)  # noqa: T201


def _share(rows: Sequence[tuple[bool, bool, bool, float]]) -> str:
    blind, known = (100 * np.mean([row[i] for row in rows]) for i in (0, 1))
    return f"{blind:.0f} / {known:.0f}"
