"""How sharp synthetic radiographs are, and what their detail costs: one row for each way of adding detail.

    python -m tests.benchmarks.sharpness --data ../shared/data --epsilon 8 --detail none lenders network

The private cohort is `cxr_nih_1000`, split by patient; the public set the frontal rows of `cxr_covid` whose licence
is CC BY, CC BY-SA or CC0 (blank, NC and ND are left out: nine images of eight people remain) and `pneumoniamnist`,
which teaches anatomy at 28 pixels and no fine detail.
Printed: the largest deviation of the radial power spectrum from held-out real images in decibels, the AUC of a
real-versus-synthetic classifier (0.5 is best), the AUC of train-on-synthetic test-on-real, copies of public images,
seconds. A spectrum by person counts every held-out person alike, as the release does. Written: a contact sheet. Each
row is one JSON object on standard output.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from audits.base import AuditInput
from audits.judges import macro_auc, try_out
from generators.base import CellCount
from generators.data import ImageSet
from generators.detail.spectrum import radial_power
from generators.privacy import PrivacyBudget
from generators.public.copies import check_copies
from generators.public.sets import is_permitted
from generators.runner import sample_generator, train_generator
from generators.splits import split_by_subject
from generators.tables import resize_images

PERMITTED = ("CC BY", "CC BY-SA", "CC0")
PNEUMONIAMNIST_LICENCE = "CC BY 4.0"  # as its publishers state; the file names none
VIEWS = ("PA", "AP", "AP Supine")
FINDING, NONE = "Pneumonia", "No_findings"
PNEUMONIAMNIST_WORDS = (NONE, FINDING)
Pixels = NDArray[np.float32]


def private_cohort(data: Path, *, size: int, split_seed: int) -> ImageSet:
    """`cxr_nih_1000` with its columns, split by patient."""
    rows = _rows(data / "cxr_nih_1000" / "metadata.csv")
    with np.load(data / "cxr_nih_1000" / "images.npz") as archive:
        images = archive["images"]
    label, subject, sex = (np.array([row[name] for row in rows]) for name in ("repo_folder", "patient_id", "sex"))
    cohort = ImageSet(images=images, label=label, subject=subject, sex=sex)
    split = split_by_subject(cohort.subjects(), seed=split_seed, labels=cohort.label)
    return replace(resize_images(cohort, size), split=split)


def public_set(data: Path, *, size: int, n_small: int = 2000) -> ImageSet:
    """Frontal radiographs whose licence permits derivatives, and enlarged images of 28 pixels."""
    rows = _rows(data / "cxr_covid" / "metadata.csv")
    chosen = [n for n, row in enumerate(rows) if is_permitted(row["license"], PERMITTED) and row["view"] in VIEWS]
    with np.load(data / "cxr_covid" / "images.npz") as archive:
        sharp = ImageSet(images=archive["images"][chosen])
    with np.load(data / "pneumoniamnist" / "pneumoniamnist_rebuilt.npz") as archive:
        step = max(1, len(archive["train_images"]) // n_small)
        small, truth = archive["train_images"][::step], archive["train_labels"].reshape(-1)[::step]
    parts = [resize_images(part, size) for part in (sharp, ImageSet(images=small))]
    label = [FINDING] * len(sharp) + [PNEUMONIAMNIST_WORDS[int(value)] for value in truth]
    subject = [rows[n]["patient_id"] for n in chosen] + [f"small {n}" for n in range(len(small))]
    licence = [rows[n]["license"].strip() for n in chosen] + [PNEUMONIAMNIST_LICENCE] * len(small)
    return ImageSet(
        images=np.concatenate([part.images for part in parts]),
        label=np.array(label),
        subject=np.array(subject),
        licence=np.array(licence),
    )


def spectrum_deviation(
    synthetic: Pixels, real: Pixels, *, up_to: float, people: NDArray[np.str_] | None = None
) -> float:
    """The largest deviation in decibels of the mean radial power up to a share of Nyquist.

    people: whose each real image is, where every person is to count alike, as in a private release; else images do.
    """
    n_rings = int(up_to * real.shape[1] / 2)
    _, owner, n_images = np.unique(
        np.arange(len(real)) if people is None else people, return_inverse=True, return_counts=True
    )
    wanted = np.average(radial_power(real), axis=0, weights=1 / n_images[owner])
    ratio = radial_power(synthetic).mean(0)[:n_rings] / wanted[:n_rings]
    return float(np.abs(10 * np.log10(ratio)).max())


def real_or_synthetic(real: ImageSet, synthetic: ImageSet, *, n_folds: int = 5) -> float:
    """AUC of telling real from synthetic by a logistic regression on features of several scales.

    Cross-validated by subject; each synthetic image is a subject of its own.
    """
    features = np.concatenate([_features(_unit(part)) for part in (real, synthetic)])
    truth = np.repeat([0, 1], [len(real), len(synthetic)])
    groups = np.concatenate([real.subjects(), [f"synthetic {n}" for n in range(len(synthetic))]])
    scores = np.zeros(len(truth))
    for fit, test in GroupKFold(n_folds, shuffle=True, random_state=0).split(features, truth, groups):
        judge = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=300))
        scores[test] = judge.fit(features[fit], truth[fit]).predict_proba(features[test])[:, 1]
    return float(roc_auc_score(truth, scores))


def _features(images: Pixels) -> NDArray[np.float64]:
    """[n, f]: the image at 16 pixels, local energy of four bands on a grid of 8, and the radial spectrum."""
    side = images.shape[1]
    small = images.reshape(len(images), 16, side // 16, 16, side // 16).mean((2, 4)).reshape(len(images), -1)
    bands, above = [], images
    for width in (0.7, 1.4, 2.8, 5.6):
        below = gaussian_filter(images, (0, width * side / 64, width * side / 64), mode="reflect")
        energy = ((above - below) ** 2).reshape(len(images), 8, side // 8, 8, side // 8).mean((2, 4))
        bands.append(np.log(energy.reshape(len(images), -1) + 1e-6))
        above = below
    return np.concatenate([small, *bands, np.log(radial_power(images) + 1e-6)], axis=1)


def contact_sheet(rows: Sequence[ImageSet], path: Path, *, n: int = 14, enlarge: int = 2) -> None:
    """One line of n images for each set."""
    sheet = np.vstack([np.hstack(list(part.images[np.linspace(0, len(part) - 1, n).astype(int)])) for part in rows])
    shape = (sheet.shape[1] * enlarge, sheet.shape[0] * enlarge)
    Image.fromarray(sheet).resize(shape, Image.Resampling.NEAREST).save(path)


def measure(
    how: str, cohort: ImageSet, public: ImageSet, args: argparse.Namespace, out: Path
) -> tuple[dict[str, object], ImageSet]:
    """Train, sample, judge: the figures of one row and its images."""
    budget = PrivacyBudget(target_epsilon=args.epsilon, public_n_subjects=500)
    started, used = time.perf_counter(), time.process_time()
    config = {"detail": how, "detail_steps": args.steps} | dict(pair.split("=") for pair in args.set)
    card = train_generator(
        name="latent-statistics", images=cohort, budget=budget, config=config, out=out, public=public
    )
    trained = time.process_time()
    counts = [CellCount(label=label, n=args.n // 2) for label in (NONE, FINDING)]
    synthetic = sample_generator(out, counts, seed=args.seed)
    sampled = time.process_time()
    train, holdout = cohort.of_split("train"), cohort.of_split("holdout")
    heldout = cohort.select(cohort.split != "train")  # type: ignore[arg-type]  # the cohort has the column
    trial = try_out(AuditInput(train=train, holdout=holdout, synthetic=synthetic, seed=0))
    sharp = public.select(np.char.startswith(public.subjects(), "small") == False)  # noqa: E712 (an array)
    copies = check_copies(_unit(synthetic), _unit(sharp))
    row = {
        "detail": how,
        "used": card.config["detail"],
        "epsilon": args.epsilon,
        "size": args.size,
        "decibels_to_half": round(spectrum_deviation(_unit(synthetic), _unit(heldout), up_to=0.5), 2),
        "decibels_to_nine_tenths": round(spectrum_deviation(_unit(synthetic), _unit(heldout), up_to=0.9), 2),
        "decibels_by_person": round(
            spectrum_deviation(_unit(synthetic), _unit(heldout), up_to=0.9, people=heldout.subjects()), 2
        ),
        "real_or_synthetic_auc": round(real_or_synthetic(heldout, synthetic.select(_spread(synthetic, heldout))), 3),
        "train_on_synthetic_auc": round(macro_auc(trial.truth, trial.synthetic), 3),
        "train_on_real_auc": round(macro_auc(trial.truth, trial.real), 3),
        "copies": round(copies.share, 4),
        "largest_correlation": round(float(copies.nearest.max()), 3),
        "train_cpu_seconds": round(trained - used, 1),
        "sample_cpu_seconds": round(sampled - trained, 1),
        "seconds": round(time.perf_counter() - started, 1),
        "n": len(synthetic),
    }
    return row, synthetic


def _spread(synthetic: ImageSet, real: ImageSet) -> NDArray[np.intp]:
    """As many as there are real ones."""
    return np.linspace(0, len(synthetic) - 1, min(len(real), len(synthetic))).astype(np.intp)


def _unit(images: ImageSet) -> Pixels:
    return images.images.astype(np.float32) / np.float32(images.max_value)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[3] / "shared" / "data")
    parser.add_argument("--detail", nargs="+", default=["none", "lenders", "network"])
    parser.add_argument("--epsilon", type=float, default=8.0)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--n", type=int, default=800)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split-seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], help="further settings of latent-statistics, key=value")
    parser.add_argument("--out", type=Path, default=None, help="a folder for contact sheet and generators")
    args = parser.parse_args()
    cohort = private_cohort(args.data, size=args.size, split_seed=args.split_seed)
    public = public_set(args.data, size=args.size)
    folder = args.out or Path(tempfile.mkdtemp())
    rows = [cohort.of_split("holdout")]
    for how in args.detail:
        figures, synthetic = measure(how, cohort, public, args, folder / how)
        print(json.dumps(figures), flush=True)  # noqa: T201 (a command's output)
        rows.append(synthetic)
    contact_sheet(rows, folder / "sheet.png")


if __name__ == "__main__":
    main()
