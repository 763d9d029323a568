"""`python -m audits detector` and `detect`: a detector that may leave the site, and what it says of images."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from audits.base import AuditError
from audits.console import one_line_errors
from audits.files import read_arm, require_writable, write_atomically
from generators.data import ImageSet
from generators.privacy import DEFAULT_DELTA, PrivacyBudget


@one_line_errors
def detector_command(  # noqa: PLR0913, PLR0917 - one argument an option
    synthetic: Annotated[Path, typer.Option(help="The released synthetic images (.npz).")],
    out: Annotated[Path, typer.Option(help="A new folder for the detector.")],
    public: Annotated[Path | None, typer.Option(help="Public real images: it learns from them.")] = None,
    train: Annotated[Path | None, typer.Option(help="Private real images instead: with --epsilon.")] = None,
    holdout: Annotated[Path | None, typer.Option(help="Real images to try it on; what is found stays here.")] = None,
    epsilon: Annotated[float | None, typer.Option(help="Budget a subject, for --train.")] = None,
    delta: Annotated[float, typer.Option(help="Delta, at most 1 / (10 x public n).")] = DEFAULT_DELTA,
    public_n: Annotated[int | None, typer.Option(help="Declared bound on subjects, for --train.")] = None,
    accountant: Annotated[str, typer.Option(help="rdp or prv.")] = "prv",
    seed: Annotated[int, typer.Option(help="Seed of halves and of what is drawn.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print card and trial as one JSON object.")] = False,
) -> None:
    """Teach a real-versus-synthetic detector on public images, or on private ones with differential privacy."""
    from audits.detectors import private, teaching  # noqa: PLC0415 - help needs no scikit-learn

    if (public is None) == (train is None):
        raise AuditError("are both given or both missing", where="--public, --train", remedy="give one of them")
    tried = None if holdout is None else read_arm(holdout, "holdout")
    made = ImageSet.load(synthetic)
    out.mkdir(parents=True, exist_ok=True)
    if public is not None:
        detector = teaching.taught_on_public(made, ImageSet.load(public), seed=seed)
    else:
        assert train is not None  # noqa: S101 - one of them is given
        budget = _budget(epsilon, delta, public_n, accountant)
        images = ImageSet.load(train).of_split("train")
        detector = private.taught_privately(made, images, budget=budget, out=out, seed=seed)
    detector.save(out)
    trial = None if tried is None else teaching.tried(detector, made, tried)
    if as_json:
        typer.echo(json.dumps({"card": asdict(detector.card), "on_holdout": trial}))
        return
    typer.echo(f"{out}: taught on {detector.card.taught_on} images; may leave the site")
    for words, found in (("unseen public images", detector.card.unseen), ("holdout (stays on site)", trial)):
        if found is not None:
            typer.echo(f"    AUC {found['auc']:.3f} ({found['ci_low']:.3f} to {found['ci_high']:.3f}) on {words}")


@one_line_errors
def detect_command(
    detector: Annotated[Path, typer.Option(help="A folder that `detector` wrote.")],
    images: Annotated[Path, typer.Option(help="Images to ask about (.npz).")],
    out: Annotated[Path | None, typer.Option(help="Where to write the score of each image (JSON).")] = None,
) -> None:
    """Say how synthetic images look to a detector."""
    from audits.detectors.detector import Detector  # noqa: PLC0415 - as above

    require_writable(out)
    found = Detector.load(detector)
    scores = found.scores(ImageSet.load(images))
    if out:
        write_atomically(out, json.dumps({"threshold": found.card.threshold, "scores": scores.tolist()}))
    cut = found.card.threshold
    above = "" if cut is None else f", {(scores > cut).mean():.1%} above the threshold of 1 % false alarms"
    typer.echo(f"{len(scores)} images, mean score {scores.mean():.3f}{above}")


def _budget(epsilon: float | None, delta: float, public_n: int | None, accountant: str) -> PrivacyBudget:
    if epsilon is None or public_n is None:
        raise AuditError("are missing", where="--epsilon, --public-n", remedy="declare the budget of private images")
    return PrivacyBudget(target_epsilon=epsilon, target_delta=delta, public_n_subjects=public_n, accountant=accountant)
