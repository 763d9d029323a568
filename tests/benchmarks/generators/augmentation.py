"""Do private synthetic images help where a class is rare? Real + synthetic against real alone, paired over splits.

    python -m tests.benchmarks.generators.augmentation --data brain_mri_tumor --epsilon 8 --out augmentation.jsonl

In each split the rare class is cut to a number of subjects in the training part, a generator is trained on what is left
and draws images, and the same judges learn rare-or-not with and without them (`augmentation_arms`). Each arm's
threshold is set on the control part at the same specificity; sensitivity and specificity are those of the holdout.
Results are JSON lines; a split that the file holds under the same setting is not measured again. What is reported is
of splits from 0 on; a setting is chosen on splits from 100 on (--first-seed), the same people divided otherwise.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from audits.base import AuditError
from audits.bench.asking import merged_settings, public_images
from audits.bench.datasets import Wish, load_cohort
from audits.bench.table import Difference, paired_difference
from audits.console import one_line_errors
from generators.data import ImageSet
from tests.benchmarks.generators.augmentation_arms import MEAN, REAL, Outcome, Rates, Study, measure


class Drawn(StrEnum):
    """Labels that get synthetic images."""

    RARE = "rare"
    ALL = "all"


def report(study: Study, outcomes: Sequence[Outcome]) -> str:
    """Each arm against the real images alone, by judge: paired differences in points, 95 % t intervals."""
    first = outcomes[0]
    lines = [
        f"{asdict(study)}",
        "",
        "| arm | judge | sensitivity: real | with | difference | specificity: real | with | difference |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for arm in [arm for arm in first if arm != REAL]:
        for judge in sorted(first[arm], key=lambda name: name != MEAN):
            cells = [_cells(outcomes, arm, judge, figure) for figure in ("sensitivity", "specificity")]
            lines.append(f"| {arm} | {judge} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"{len(outcomes)} splits."])


def _cells(outcomes: Sequence[Outcome], arm: str, judge: str, figure: str) -> str:
    real, ours = ([getattr(outcome[name][judge], figure) for outcome in outcomes] for name in (REAL, arm))
    shown = _interval(paired_difference(ours, real))
    return f"{100 * np.mean(real):.1f} | {100 * np.mean(ours):.1f} | {shown}"


def _interval(found: Difference) -> str:
    if found.low is None or found.high is None:
        return f"{100 * found.mean:+.1f}"
    return f"{100 * found.mean:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"


def rarest(images: ImageSet) -> str:
    """The label with the fewest images."""
    words, counts = np.unique(np.asarray(images.label), return_counts=True)
    return str(words[np.argmin(counts)])


def known(out: Path, study: Study) -> dict[int, Outcome]:
    """Outcomes by split that the file holds under this very setting."""
    lines = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    wanted = json.loads(json.dumps(asdict(study)))
    return {line["seed"]: _outcome(line["outcome"]) for line in lines if line["study"] == wanted}


def _outcome(stored: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Outcome:
    return {arm: {judge: Rates(**found) for judge, found in by_judge.items()} for arm, by_judge in stored.items()}


def keep(out: Path, study: Study, seed: int, outcome: Outcome) -> None:
    """Append one split."""
    stored = {arm: {judge: asdict(found) for judge, found in by_judge.items()} for arm, by_judge in outcome.items()}
    with out.open("a") as stream:
        stream.write(json.dumps({"study": asdict(study), "seed": seed, "outcome": stored}) + "\n")


@one_line_errors
def main(  # noqa: PLR0913 - one argument an option
    *,
    data: Annotated[str, typer.Option(help="A set of the benchmark.")],
    out: Annotated[Path, typer.Option(help="JSON lines, one a split.")],
    generator: Annotated[str, typer.Option(help="The generator.")] = "latent-statistics",
    epsilon: Annotated[float, typer.Option(help="Epsilon a subject.")] = 8.0,
    seeds: Annotated[int, typer.Option(min=2, help="Splits by subject, each with a run of its own.")] = 5,
    first_seed: Annotated[int, typer.Option(min=0, help="Of the first split: 100 or more to choose settings.")] = 0,
    rare: Annotated[str | None, typer.Option(help="The label that is cut; the rarest without it.")] = None,
    n_rare: Annotated[int, typer.Option(min=10, help="Its subjects in the training part.")] = 50,
    n_each: Annotated[int, typer.Option(min=1, help="Images added of each label that is drawn.")] = 300,
    drawn: Annotated[Drawn, typer.Option(help="Labels that get synthetic images.")] = Drawn.ALL,
    copies: Annotated[bool, typer.Option(help="A third arm: shifted copies of the rare label's images.")] = False,
    specificity: Annotated[float, typer.Option(min=0.5, max=0.99, help="On the control part.")] = 0.9,
    size: Annotated[int | None, typer.Option(help="Pixels a side.")] = None,
    cap: Annotated[int, typer.Option(min=0, help="At most so many subjects; 0 for all.")] = 0,
    public: Annotated[str | None, typer.Option(help="Public images (.npz), or phantoms.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value of the generator.")] = None,
) -> None:
    """Run the study, go on where it stopped, print the table."""
    outcomes: list[Outcome] = []
    for seed in range(first_seed, first_seed + seeds):
        cohort = load_cohort(data, Wish(size=size, split_seed=seed, cap=cap))
        shown, name = public_images(cohort, public)
        study = Study(
            data=data, rare=rare or rarest(cohort.images), generator=generator, epsilon=epsilon, n_rare=n_rare,
            n_each=n_each, drawn=drawn.value, specificity=specificity, size=size, cap=cap,
            public=name.split(" sha256")[0], settings=merged_settings(cohort, generator, settings or ()),
            copies=copies,
        )  # fmt: skip
        if study.rare not in set(np.asarray(cohort.images.label).tolist()):
            raise AuditError(f"no label {study.rare!r}", where="--rare", remedy="name one of the cohort's labels")
        outcome = known(out, study).get(seed)
        if outcome is None:
            outcome = measure(study, cohort, shown, seed=seed)
            keep(out, study, seed, outcome)
        outcomes.append(outcome)
        sys.stderr.write(f"split {seed}: { ({arm: by_judge[MEAN] for arm, by_judge in outcome.items()}) }\n")
        last = study
    sys.stdout.write(report(last, outcomes) + "\n")


if __name__ == "__main__":
    typer.run(main)
