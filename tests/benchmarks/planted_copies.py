"""Recall of the copy detectors on planted copies, one by one and fused, at a false alarm rate set on unseen people.

    python -m tests.benchmarks.planted_copies --data phantoms --work /tmp/copies
    python -m tests.benchmarks.planted_copies --data cxr_nih_1000 --work /tmp/copies-cxr

Phantoms at 64 pixels: 3,000 people teach, copies of 1,000 are planted, 8,000 set the threshold at 0.03 % false alarms
an image, 20,000 others are the innocents; about 10 minutes of one core. `cxr_nih_1000` has too few people for that:
1 % there. What was drawn, learned and scored stays in `--work`, so that a stopped run goes on. One JSON object a line.

Elastic copies are bent by 1/64, 1/45 and 1/32 of the width (rms along each axis about the image's own mean, which comes
on top as a shift) by Gaussian fields of sigma 1/8 of the width: at 1/32 neighbouring pixels are stretched or sheared by
.18 (rms). An earlier experiment bent by as much, 1 pixel of 32 along each axis, by one draw of fields for all runs,
scaled over all images with their means. Its fields were named sigma 3 of 32 pixels, but cut off after 3: an effective
sigma of 1.84 pixels, stretched by .41. The row `rough` bends like that (.38), each image its own way.
"""

from __future__ import annotations

import argparse
import json
import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from audits.bench.datasets import Wish, load_cohort
from audits.copies.detector import CopyDetector, learn_detector
from audits.copies.matching import DETECTORS, Gallery
from audits.pixels import Floats, to_grey
from audits.planted import TRANSFORMS, Transform, elastic, other_visits
from audits.stats import clopper_pearson, rows_by_subject
from generators.data import ImageSet
from generators.phantoms import draw_phantoms

SIZE = 64
N_SOURCES = 200
HARDER: Mapping[str, Transform] = {
    "elastic, 1/45 of the width": partial(elastic, strength=1 / 45),
    "elastic, 1/32 of the width": partial(elastic, strength=1 / 32),
    "elastic, 1/32 of the width, rough": partial(elastic, strength=1 / 32, softness=1.84 / 32),
}
N_HIDDEN, N_AMONG, N_HIDINGS = 20, 2000, 200

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class People:
    """Who teaches, whose images are copied, who sets the threshold, who is innocent (chunks, each drawn when asked)."""

    learn: Callable[[], ImageSet]
    train: Callable[[], ImageSet]
    calibrating: Mapping[str, Callable[[], ImageSet]]
    innocent: Mapping[str, Callable[[], ImageSet]]
    alarm_rate: float
    n_steps: int


def phantoms() -> People:
    """Different seeds are different people."""

    def draw(n_subjects: int, seed: int, max_images: int = 1) -> Callable[[], ImageSet]:
        return lambda: draw_phantoms(n_subjects=n_subjects, size=SIZE, seed=seed, max_images=max_images).images

    return People(
        learn=draw(3000, 100, 2),
        train=draw(1000, 202, 2),
        calibrating={"cal1": draw(8000, 401)},
        innocent={"inn0": draw(4000, 500), "inn1": draw(8000, 501), "inn2": draw(8000, 502)},
        alarm_rate=0.0003,
        n_steps=1100,
    )


def chests() -> People:
    """682 patients in four parts; of those who calibrate and of the innocent one image each."""
    images = load_cohort("cxr_nih_1000", Wish(size=SIZE)).images
    rows = rows_by_subject(images.subjects())
    order = np.random.default_rng(0).permutation(len(rows))
    learn, train, calibrating, innocent = np.split(order, np.cumsum([240, 170, 136]))

    def part(people: NDArray[np.intp], most: int | None = None) -> Callable[[], ImageSet]:
        return lambda: images.select(np.concatenate([rows[i][:most] for i in people]))

    return People(
        learn=part(learn),
        train=part(train),
        calibrating={"cal": part(calibrating, 1)},
        innocent={"inn": part(innocent, 1)},
        alarm_rate=0.01,
        n_steps=200,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=("phantoms", "cxr_nih_1000"), default="phantoms")
    parser.add_argument("--work", type=Path, required=True, help="folder of what is kept between runs")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    people = phantoms() if asked.data == "phantoms" else chests()
    for line in measure(people, asked.work):
        print(json.dumps({"data": asked.data, "size": SIZE, **line}), flush=True)  # noqa: T201 (a command's output)


def measure(people: People, work: Path) -> Iterator[dict[str, object]]:
    """The lines of the table."""
    detector = kept(work / "detector.pickle", lambda: _learned(people, work))
    train = kept(work / "train.pickle", people.train)
    first = _first_visits(train)
    shown = train.select(first)
    gallery = detector.matcher.gallery(_grey(shown), shown.subjects())
    scores = partial(_scores, detector, gallery)
    null, innocent = (
        np.concatenate([_chunk(work, name, draw, scores) for name, draw in part.items()])
        for part in (people.calibrating, people.innocent)
    )
    rank = int((len(null) + 1) * people.alarm_rate)
    cut = np.sort(null, axis=0)[-rank]
    yield _false_alarms(null, innocent, cut, people)
    copies = kept(work / "copies.scores", lambda: _planted(scores, _grey(shown)[:N_SOURCES]))
    for name, found in copies.items():
        yield _recall(name, found > cut)
    yield _recall("another visit of the subject", scores(_visits(train)) > cut)
    yield _hidden(copies, innocent, cut)


def kept(path: Path, make: Callable[[], T]) -> T:
    """What the file holds; made and written where there is none. The folder is the caller's own."""
    if not path.is_file():
        path.write_bytes(pickle.dumps(make()))
    value: T = pickle.loads(path.read_bytes())  # noqa: S301 - written by this command
    return value


def _chunk(work: Path, name: str, draw: Callable[[], ImageSet], scores: Callable[[Floats], Floats]) -> Floats:
    """The scores of one chunk of people."""
    return kept(work / f"{name}.scores", lambda: scores(_grey(kept(work / f"{name}.pickle", draw))))


def _learned(people: People, work: Path) -> CopyDetector:
    images = people.learn()
    return learn_detector(_grey(images), images.subjects(), seed=0, n_steps=people.n_steps)


def _grey(images: ImageSet) -> Floats:
    return to_grey(images, white=images.max_value)


def _first_visits(images: ImageSet) -> NDArray[np.intp]:
    return np.array([rows[0] for rows in rows_by_subject(images.subjects())])


def _visits(images: ImageSet) -> Floats:
    return _grey(images)[other_visits(images.subjects())[1]]


def _scores(detector: CopyDetector, gallery: Gallery, grey: Floats) -> Floats:
    """[Q, 7]: best evidence of each detector, and the best fused score."""
    matches, score = detector.match(grey, gallery)
    return np.concatenate([matches.evidence.max(axis=1), score.max(axis=1, keepdims=True)], axis=1)


def _planted(scores: Callable[[Floats], Floats], sources: Floats) -> dict[str, Floats]:
    rng = np.random.default_rng(1)
    transforms = {**TRANSFORMS, **HARDER}
    found = scores(np.concatenate([transform(sources, rng) for transform in transforms.values()]))
    return dict(zip(transforms, np.split(found, len(transforms)), strict=True))


def _named(rates: NDArray[np.float64]) -> dict[str, float]:
    return {name: round(float(rate), 5) for name, rate in zip((*DETECTORS, "fused"), rates, strict=True)}


def _false_alarms(null: Floats, innocent: Floats, cut: Floats, people: People) -> dict[str, object]:
    alarms = (innocent > cut).sum(axis=0)
    low, high = clopper_pearson(int(alarms[-1]), len(innocent), confidence=0.90)  # 95 % on each side
    return {
        "what": "false alarms",
        "stated_rate": people.alarm_rate,
        "n_calibrating": len(null),
        "n_innocent": len(innocent),
        "n_alarms": int(alarms[-1]),
        "upper_95": round(high, 6),
        "lower_95": round(low, 6),
        "rate": _named(alarms / len(innocent)),
    }


def _recall(name: str, found: NDArray[np.bool_]) -> dict[str, object]:
    low, high = clopper_pearson(int(found[:, -1].sum()), len(found))
    return {
        "what": "recall",
        "transform": name,
        "n": len(found),
        "ci_low": round(low, 4),
        "ci_high": round(high, 4),
        **_named(found.mean(axis=0)),
    }


def _hidden(copies: Mapping[str, Floats], innocent: Floats, cut: Floats) -> dict[str, object]:
    """20 copies by transforms drawn at random among 1,980 innocents, drawn anew many times."""
    rng = np.random.default_rng(2)
    pool = np.stack([copies[name][:, -1] > cut[-1] for name in TRANSFORMS])
    alarms = innocent[:, -1] > cut[-1]
    n_innocent = min(N_AMONG - N_HIDDEN, len(alarms))
    drawn = [
        (
            int(pool[rng.integers(len(pool), size=N_HIDDEN), rng.permutation(pool.shape[1])[:N_HIDDEN]].sum()),
            int(alarms[rng.permutation(len(alarms))[:n_innocent]].sum()),
        )
        for _ in range(N_HIDINGS)
    ]
    flagged, false = np.array(drawn).T
    return {
        "what": "hidden",
        "n_copies": N_HIDDEN,
        "n_images": n_innocent + N_HIDDEN,
        "n_draws": N_HIDINGS,
        "flagged_first_draw": int(flagged[0]),
        "flagged_median": float(np.median(flagged)),
        "flagged_least": int(flagged.min()),
        "share_with_18_or_more": float((flagged >= 18).mean()),
        "false_alarms_first_draw": int(false[0]),
        "false_alarms_upper_95_first_draw": round(clopper_pearson(int(false[0]), n_innocent, confidence=0.90)[1], 6),
    }


if __name__ == "__main__":
    main()
