"""Do private synthetic images help where a class is rare? Real + synthetic against real alone, paired over splits.

    python tests/benchmarks/generators/augmentation.py --data brain_mri_tumor --epsilon 8 --out augmentation.jsonl

In each split the rare class is cut to a number of subjects in the training part, a generator is trained on what is left
and draws as many images of every label, and the same judges learn rare-or-not with and without them. Each arm's
threshold is set on the control part at the same specificity; sensitivity and specificity are those of the holdout.
Results are JSON lines; a split that the file holds under the same setting is not measured again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from audits.base import AuditError
from audits.bench.command import merged_settings, public_images
from audits.bench.datasets import Cohort, Wish, load_cohort, rounded_up
from audits.bench.judging import JUDGES, pixels_of
from audits.bench.table import Difference, paired_difference
from audits.console import one_line_errors
from generators.base import CellCount
from generators.data import ImageSet
from generators.privacy import PrivacyBudget
from generators.runner import sample_generator, train_generator

Scores = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Study:
    """What decides a result. n_rare: subjects of the rare label kept. n_each: synthetic images of each label."""

    data: str
    rare: str
    generator: str
    epsilon: float
    n_rare: int
    n_each: int
    specificity: float
    size: int | None
    cap: int
    public: str
    settings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Sensitivity and specificity on the holdout, without and with synthetic images."""

    real_sensitivity: float
    real_specificity: float
    both_sensitivity: float
    both_specificity: float


def cut_rare(train: ImageSet, rare: str, n_subjects: int, *, seed: int) -> ImageSet:
    """The training part without all but `n_subjects` of the people who have an image of the rare label."""
    is_rare = np.asarray(train.label == rare)
    people = np.unique(train.subjects()[is_rare])
    kept = np.random.default_rng(seed).permutation(people)[:n_subjects]
    return train.select(~np.isin(train.subjects(), np.setdiff1d(people, kept)))


def measure(study: Study, cohort: Cohort, public: ImageSet | None, *, seed: int) -> Outcome:
    """One split: train the generator, then the judges with and without what it draws."""
    images = cohort.images
    train = cut_rare(images.of_split("train"), study.rare, study.n_rare, seed=seed)
    validation, test = images.of_split("control"), images.of_split("holdout")
    synthetic = _draw(study, cohort, train, public, seed=seed)
    real = _rates(study, (train,), validation, test, seed=seed)
    both = _rates(study, (train, synthetic), validation, test, seed=seed)
    return Outcome(
        real_sensitivity=real[0], real_specificity=real[1], both_sensitivity=both[0], both_specificity=both[1]
    )


def _draw(study: Study, cohort: Cohort, train: ImageSet, public: ImageSet | None, *, seed: int) -> ImageSet:
    # The sets are public, so their cut size is too.
    budget = PrivacyBudget(
        target_epsilon=study.epsilon, public_n_subjects=rounded_up(train.n_subjects), privacy_unit=cohort.unit
    )
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "generator"
        card = train_generator(
            name=study.generator,
            images=replace(train, split=None),
            budget=budget,
            config=dict(pair.split("=", 1) for pair in study.settings),
            out=folder,
            seed=seed,
            public=public,
        )
        return sample_generator(folder, [CellCount(label=word, n=study.n_each) for word in card.labels], seed=seed)


def _rates(
    study: Study, arms: Iterable[ImageSet], validation: ImageSet, test: ImageSet, *, seed: int
) -> tuple[float, float]:
    """Sensitivity and specificity on `test` at the threshold that gives the wanted specificity on `validation`."""
    parts = list(arms)
    white = test.max_value
    pixels = np.concatenate([pixels_of(part, white=white) for part in parts])
    truth = np.concatenate([np.asarray(part.label == study.rare) for part in parts]).astype(np.intp)
    fitted = [fit(pixels, truth, 2, seed) for fit in JUDGES.values()]

    def score(images: ImageSet) -> tuple[Scores, Scores]:
        asked = pixels_of(images, white=white)
        found = np.mean([ask(asked)[:, 1] for ask in fitted], axis=0)
        is_rare = np.asarray(images.label == study.rare)
        return found[is_rare], found[~is_rare]

    threshold = float(np.quantile(score(validation)[1], study.specificity))
    rare, others = score(test)
    return float((rare > threshold).mean()), float((others <= threshold).mean())


def report(study: Study, outcomes: list[Outcome]) -> str:
    """Means of both arms and the paired differences with their 95 % t intervals, in points."""
    lines = [
        f"{asdict(study)}",
        "",
        "| figure | real | real + synthetic | difference (95 % t interval) |",
        "|---|---|---|---|",
    ]
    for figure in ("sensitivity", "specificity"):
        real, both = ([getattr(outcome, f"{arm}_{figure}") for outcome in outcomes] for arm in ("real", "both"))
        shown = _interval(paired_difference(both, real))
        lines.append(f"| {figure} | {100 * np.mean(real):.1f} | {100 * np.mean(both):.1f} | {shown} |")
    return "\n".join([*lines, "", f"{len(outcomes)} splits by subject."])


def _interval(found: Difference) -> str:
    if found.low is None or found.high is None:
        return f"{100 * found.mean:+.1f}"
    return f"{100 * found.mean:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"


def _rarest(images: ImageSet) -> str:
    words, counts = np.unique(np.asarray(images.label), return_counts=True)
    return str(words[np.argmin(counts)])


def _known(out: Path, study: Study) -> dict[int, Outcome]:
    lines = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    wanted = json.loads(json.dumps(asdict(study)))
    return {line["seed"]: Outcome(**line["outcome"]) for line in lines if line["study"] == wanted}


@one_line_errors
def main(  # noqa: PLR0913 - one argument an option
    *,
    data: Annotated[str, typer.Option(help="A set of the benchmark.")],
    out: Annotated[Path, typer.Option(help="JSON lines, one a split.")],
    generator: Annotated[str, typer.Option(help="The generator.")] = "latent-statistics",
    epsilon: Annotated[float, typer.Option(help="Epsilon a subject.")] = 8.0,
    seeds: Annotated[int, typer.Option(min=2, help="Splits by subject, each with a run of its own.")] = 5,
    rare: Annotated[str | None, typer.Option(help="The label that is cut; the rarest without it.")] = None,
    n_rare: Annotated[int, typer.Option(min=10, help="Its subjects in the training part.")] = 50,
    n_each: Annotated[int, typer.Option(min=1, help="Synthetic images of each label.")] = 300,
    specificity: Annotated[float, typer.Option(min=0.5, max=0.99, help="On the control part.")] = 0.9,
    size: Annotated[int | None, typer.Option(help="Pixels a side.")] = None,
    cap: Annotated[int, typer.Option(min=0, help="At most so many subjects; 0 for all.")] = 0,
    public: Annotated[str | None, typer.Option(help="Public images (.npz), or phantoms.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value of the generator.")] = None,
) -> None:
    """Run the study, go on where it stopped, print the table."""
    outcomes = []
    study = None
    for seed in range(seeds):
        cohort = load_cohort(data, Wish(size=size, split_seed=seed, cap=cap))
        shown, name = public_images(cohort, public)
        study = Study(
            data=data, rare=rare or _rarest(cohort.images), generator=generator, epsilon=epsilon, n_rare=n_rare,
            n_each=n_each, specificity=specificity, size=size, cap=cap, public=name.split(" sha256")[0],
            settings=merged_settings(cohort, generator, settings or ()),
        )  # fmt: skip
        if study.rare not in set(np.asarray(cohort.images.label).tolist()):
            raise AuditError(f"no label {study.rare!r}", where="--rare", remedy="name one of the cohort's labels")
        outcome = _known(out, study).get(seed)
        if outcome is None:
            outcome = measure(study, cohort, shown, seed=seed)
            with out.open("a") as stream:
                stream.write(json.dumps({"study": asdict(study), "seed": seed, "outcome": asdict(outcome)}) + "\n")
        outcomes.append(outcome)
        sys.stderr.write(f"split {seed}: {outcome}\n")
    if study is not None:
        sys.stdout.write(report(study, outcomes) + "\n")


if __name__ == "__main__":
    typer.run(main)
