"""What training on synthetic radiographs loses against training on real ones, over repeated splits by patient.

    python -m tests.benchmarks.xray_splits --splits 10 --epsilon 1 8 --public PATH.npz --out results.jsonl

The private cohort is `cxr_nih_1000` at 64 pixels, a finding (`repo_folder` is not `No_findings`) against none. For each
split (seeds 0, 1, ...; 60 % of the patients train, the others test) `latent-statistics` is trained through
`generators.runner`, with its steps logged and charged, and two judges learn from its images and from the real ones:
logistic regression on 24 pixels and a small convolutional network on 32. The score is the area under the curve within
one view, averaged over AP and PA, since the view alone tells findings. Printed: the paired differences, synthetic minus
real, with a 95 % t interval over splits.

What was tuned on this cohort was tuned on splits with seeds from 100 on. They hold the same patients as the reported
ones, divided otherwise: the reported figures are of unseen splits, not of unseen patients.

--public names a file of public images: `images` and `label` as everywhere, or MedMNIST's `train_images` and
`train_labels`; without it phantoms alone are the public set. A cell that stands in --out is not computed again.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional

from generators.conditions import even_counts
from generators.data import ImageSet
from generators.groups import AGE_GROUPS
from generators.privacy import PrivacyBudget
from generators.runner import sample_generator, train_generator
from generators.splits import split_by_subject
from generators.tables import read_public, resize_images

DATA = Path("../shared/data/cxr_nih_1000")
SIZE = 64
FRACTIONS = (0.6, 0.2, 0.2)
PUBLIC_N_SUBJECTS = 450
N_IMAGES = 3000
CNN_STEPS = 200
LABELS = ("none", "finding")
VIEWS = ("AP", "PA")

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """The images with their conditions, and the view of each, which is no condition."""

    images: ImageSet
    view: NDArray[np.str_]

    def truth(self, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.asarray(_label(self.images)[rows] == LABELS[1])


def load_cohort(folder: Path) -> Cohort:
    """`cxr_nih_1000` at SIZE pixels."""
    with (folder / "metadata.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with np.load(folder / "images.npz") as archive:
        images = archive["images"]
    starts = np.array([int(group.rstrip("+").split("-")[0]) for group in AGE_GROUPS])
    ages = np.array([int(row["age"]) for row in rows])
    whole = ImageSet(
        images=images,
        label=np.array([LABELS[row["repo_folder"] != "No_findings"] for row in rows]),
        subject=np.array([row["patient_id"] for row in rows]),
        sex=np.array([row["sex"] for row in rows]),
        age_group=np.array(AGE_GROUPS)[np.searchsorted(starts, ages, side="right") - 1],
    )
    return Cohort(images=resize_images(whole, SIZE), view=np.array([row["view"] for row in rows]))


def load_public(path: Path | None) -> ImageSet | None:
    """The public set at SIZE pixels; None for phantoms alone."""
    return None if path is None else resize_images(read_public(path), SIZE)


class SmallNetwork(nn.Module):
    """Scores [n] of images [n, 1, 32, 32]; about 16,000 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 16, 5, stride=2, padding=2), nn.GroupNorm(4, 16), nn.ReLU()),
            *(nn.Conv2d(16, 24, 3, padding=1), nn.GroupNorm(4, 24), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(24, 48, 3, padding=1), nn.GroupNorm(4, 48), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Dropout(0.3), nn.Linear(48 * 16, 1)),
        )

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.layers(images)[:, 0]
        return scores


def judge_linear(images: ImageSet, truth: NDArray[np.bool_], tested: ImageSet) -> Array:
    """Scores of `tested` by logistic regression on 24 x 24 pixels."""
    judge = LogisticRegression(C=0.02, max_iter=500)
    judge.fit(_small(images, 24).flatten(1).numpy(), truth)
    return np.asarray(judge.decision_function(_small(tested, 24).flatten(1).numpy()))


def judge_network(images: ImageSet, truth: NDArray[np.bool_], tested: ImageSet) -> Array:
    """Scores of `tested` by the small network: as many steps whatever the number of images, shifted by some pixels."""
    torch.manual_seed(0)
    network = SmallNetwork()
    rate = 2e-3
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-2)
    shown, wanted = (_small(images, 32) - 0.5) * 4, torch.from_numpy(truth.astype(np.float32))
    for step in range(CNN_STEPS):
        for group in optimizer.param_groups:
            group["lr"] = rate * max(0.05, 1 - step / CNN_STEPS)
        drawn = torch.randint(0, len(shown), (64,))
        down, right = (int(value) for value in torch.randint(-2, 3, (2,)))
        score = network(torch.roll(shown[drawn], (down, right), (2, 3)))
        optimizer.zero_grad()
        functional.binary_cross_entropy_with_logits(score, wanted[drawn]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    network.eval()
    with torch.no_grad():
        return np.asarray(network((_small(tested, 32) - 0.5) * 4).numpy(), dtype=np.float64)


JUDGES: dict[str, Callable[[ImageSet, NDArray[np.bool_], ImageSet], Array]] = {
    "linear": judge_linear,
    "network": judge_network,
}


def within_views(truth: NDArray[np.bool_], scores: Array, view: NDArray[np.str_]) -> float:
    """The area under the curve within each view, averaged."""
    return float(np.mean([roc_auc_score(truth[view == word], scores[view == word]) for word in VIEWS]))


def run_cell(cohort: Cohort, public: ImageSet | None, *, split: int, epsilon: float | None) -> dict[str, object]:
    """One row: both judges trained on real images (epsilon None) or on synthetic ones."""
    started = time.process_time()
    parts = split_by_subject(cohort.images.subjects(), seed=split, fractions=FRACTIONS, labels=_label(cohort.images))
    train, test = parts == "train", parts != "train"
    shown = cohort.images.select(train)
    truth = cohort.truth(train)
    if epsilon is not None:
        shown = synthesise(shown, public, epsilon=epsilon, seed=split)
        truth = np.asarray(_label(shown) == LABELS[1])
    tested, view = cohort.images.select(test), cohort.view[test]
    scores = {
        name: within_views(cohort.truth(test), judge(shown, truth, tested), view) for name, judge in JUDGES.items()
    }
    seconds = round(time.process_time() - started, 1)
    return {"split": split, "epsilon": epsilon, **scores, "cpu_seconds": seconds}


def synthesise(shown: ImageSet, public: ImageSet | None, *, epsilon: float, seed: int) -> ImageSet:
    """N_IMAGES synthetic images, half of each label."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "generator"
        train_generator(
            name="latent-statistics",
            images=shown,
            budget=PrivacyBudget(target_epsilon=epsilon, public_n_subjects=PUBLIC_N_SUBJECTS),
            out=out,
            public=public,
            seed=seed,
        )
        return sample_generator(out, even_counts(LABELS, N_IMAGES), seed=seed)


def summary(rows: Sequence[dict[str, object]], epsilon: float) -> Iterator[str]:
    """A line for each judge and for their mean: the paired differences with their interval."""
    real = {row["split"]: row for row in rows if row["epsilon"] is None}
    ours = [row for row in rows if row["epsilon"] == epsilon and row["split"] in real]
    for name, judges in (*((judge, [judge]) for judge in JUDGES), ("mean of both", list(JUDGES))):
        pairs = np.array([[_mean(row, judges), _mean(real[row["split"]], judges)] for row in ours])
        difference = pairs[:, 0] - pairs[:, 1]
        error = difference.std(ddof=1) / len(pairs) ** 0.5 * student.ppf(0.975, len(pairs) - 1)
        mean = difference.mean()
        yield (
            f"epsilon {epsilon:g}  {name:13}  synthetic {pairs[:, 0].mean():.3f}  real {pairs[:, 1].mean():.3f}  "
            f"difference {mean:+.3f} ({mean - error:+.3f} to {mean + error:+.3f}), {len(pairs)} splits"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="seed of the first split")
    parser.add_argument("--epsilon", type=float, nargs="+", default=[1.0, 8.0])
    parser.add_argument("--public", type=Path)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows = _stored(given.out)
    cohort, public = load_cohort(given.data), load_public(given.public)
    name = "phantoms" if given.public is None else given.public.stem
    chosen = range(given.first, given.first + given.splits)
    for split in chosen:
        for epsilon in (None, *given.epsilon):
            asked = {"split": split, "epsilon": epsilon, "public": None if epsilon is None else name}
            if any(all(row[key] == value for key, value in asked.items()) for row in rows):
                continue
            row = asked | run_cell(cohort, public, split=split, epsilon=epsilon)
            rows.append(row)
            sys.stderr.write(json.dumps(row) + "\n")
            if given.out is not None:
                with given.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
    kept = [row for row in rows if row["split"] in chosen and row["public"] in {None, name}]
    for epsilon in given.epsilon:
        for line in summary(kept, epsilon):
            sys.stdout.write(line + "\n")


def _stored(path: Path | None) -> list[dict[str, object]]:
    if path is None or not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def _label(images: ImageSet) -> NDArray[np.str_]:
    assert images.label is not None
    return images.label


def _mean(row: dict[str, object], judges: Sequence[str]) -> float:
    return float(np.mean([float(str(row[judge])) for judge in judges]))


def _small(images: ImageSet, side: int) -> Tensor:
    """Images [n, 1, side, side] in [0, 1], antialiased."""
    pixels = torch.from_numpy(images.images.astype(np.float32) / np.float32(images.max_value))[:, None]
    return functional.interpolate(pixels, size=(side, side), mode="bilinear", antialias=True, align_corners=False)


if __name__ == "__main__":
    main()
