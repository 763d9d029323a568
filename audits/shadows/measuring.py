"""From both attacks on weights to measurements: what is asked of the arms, and what a figure allows to be said."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy import special

from audits.base import AuditError, AuditInput, Law, Measurement, ReleaseMode, Status
from audits.checks import CONTROL_CONFIDENCE, same_source, too_few, unseen_arms
from audits.rates import rates
from audits.shadows.attack import N_STEPS, Arms, Found, loss_attack, ratio_attack
from audits.shadows.training import Spread, plan_shadows, train_shadows
from audits.stats import auc_p_value
from generators.base import GeneratorCard, GeneratorError
from generators.data import ImageSet
from generators.folder import load_card
from generators.scoring.base import ImageScorer
from generators.scoring.loading import load_scorer

N_SHADOWS = 8
# For all shadows, where nobody asked for them: a VAE of 32 pixels a side takes less, a denoiser of pixels hours.
MOST_SECONDS = 240.0

_METHODS = {
    "loss": (
        "score of each image under the weights (evidence bound, denoising error or discriminator at fixed draws, or "
        "log density), less half of its score under references taught on control people; best image a subject"
    ),
    "lira": (
        "offline likelihood ratio: the same score against a Gaussian of its scores under shadow generators with the "
        "card's settings and noise, trained on halves of the control arm; pooled variance; best image a subject"
    ),
}
_SOURCES = {
    "loss": (
        "Hayes et al. 2019; Carlini et al. 2023, arXiv:2301.13188; Matsumoto et al. 2023, arXiv:2302.03262; "
        "calibration Watson et al. 2022, arXiv:2111.08440"
    ),
    "lira": "Carlini et al. 2022, arXiv:2112.03570",
}


@dataclass(frozen=True, kw_only=True)
class Shadows:
    """How shadow generators are made.

    n: how many, from 3. keep: where their folders stay, to be resumed or read again; None: for this audit alone.
    spread: who trains them; `map` is one after the other. most_seconds: for all; None: as long as it takes.
    public, base: the public images, and the folder of the network (`lora`), that the card's generator began with,
    where it names the operator's.
    """

    n: int = N_SHADOWS
    keep: Path | None = None
    spread: Spread = map
    most_seconds: float | None = MOST_SECONDS
    public: ImageSet | None = None
    base: Path | None = None


@dataclass(frozen=True, kw_only=True)
class _Attacked:
    """A generator under attack. target: its scorer; planted: the same, taught a leak on purpose.

    named: whether the card names these training images.
    """

    card: GeneratorCard
    target: ImageScorer
    planted: ImageScorer
    arms: Arms
    control: ImageSet
    named: bool
    seed: int

    @classmethod
    def of(cls, folder: Path, data: AuditInput, others: ImageSet, control: ImageSet) -> _Attacked:
        """Raises GeneratorError where its weights score no image, or not these."""
        card, target, seed = load_card(folder), load_scorer(folder), data.seed
        arms = Arms.of(data.train, others, seed=seed)
        return cls(
            card=card,
            target=target,
            planted=target.taught(arms.planted(seed), n_steps=N_STEPS, seed=seed),
            arms=arms,
            control=control,
            named=card.data_digest == data.train.digest,
            seed=seed,
        )


def membership_from_weights(data: AuditInput, shadows: Shadows) -> list[Measurement]:
    """The audit with shadows as asked for. What cannot be attacked is not assessable, with the reason."""
    if data.generator is None:
        return _without(Status.NOT_ASSESSABLE, "no generator was given")
    others, control = unseen_arms(data)
    if reason := too_few(train=data.train, holdout=others, control=control):
        return _without(Status.NO_POWER, reason)
    if mismatch := same_source(data):
        return _without(Status.NOT_ASSESSABLE, mismatch)
    try:
        attacked = _Attacked.of(data.generator, data, others, control)
        found = loss_attack(attacked.target, attacked.planted, attacked.arms, control, seed=data.seed)
    except GeneratorError as error:
        return _without(Status.NOT_ASSESSABLE, str(error))
    return [_measure("loss", found, attacked), _with_shadows(attacked, shadows)]


def _with_shadows(attacked: _Attacked, shadows: Shadows) -> Measurement:
    with tempfile.TemporaryDirectory() as passing:
        try:
            planned = plan_shadows(
                attacked.card,
                attacked.control,
                shadows.keep or Path(passing),
                n=shadows.n,
                seed=attacked.seed,
                public=shadows.public,
                base=shadows.base,
            )
            folders = train_shadows(planned, spread=shadows.spread, most_seconds=shadows.most_seconds)
            scorers = [load_scorer(folder) for folder in folders]
            found = ratio_attack(attacked.target, attacked.planted, attacked.arms, scorers, seed=attacked.seed)
        except (AuditError, GeneratorError) as error:
            return _report("lira")(status=Status.NOT_ASSESSABLE, reason=str(error))
    return _measure("lira", found, attacked, n_shadows=shadows.n)


def _report(name: str) -> partial[Measurement]:
    return partial(
        Measurement,
        name=f"weights_membership.{name}",
        law=Law.INFERENCE,
        release_mode=ReleaseMode.WEIGHTS,
        unit="AUC over subjects",
        method=_METHODS[name],
        source=f"{_SOURCES[name]}; interval Newcombe 2006, method 5",
    )


def _without(status: Status, reason: str) -> list[Measurement]:
    return [_report(name)(status=status, reason=reason) for name in _METHODS]


def _measure(name: str, found: Found, attacked: _Attacked, **counted: int) -> Measurement:
    low, high = found.interval(found.auc)
    sizes = len(found.members), len(found.others)
    status, reason = _verdict(found, named=attacked.named)
    return _report(name)(
        status=status,
        reason=reason,
        value=found.auc,
        ci_low=low,
        ci_high=high,
        p_value=auc_p_value(found.auc, *sizes),
        n={"train": sizes[0], "holdout": sizes[1], "control": attacked.control.n_subjects},
        baseline=0.5,
        positive_control=found.planted,
        negative_control=found.innocent,
        details={
            **rates(found.members, found.others),
            "n_planted": found.n_planted,
            "card_names_these_images": attacked.named,
            "family": attacked.card.name,
            **counted,
        },
        internal={
            "member_scores": np.round(found.members, 4).tolist(),
            "other_scores": np.round(found.others, 4).tolist(),
            **({"member_p_values": special.ndtr(-found.members).tolist()} if name == "lira" else {}),
        },
    )


def _verdict(found: Found, *, named: bool) -> tuple[Status, str]:
    null_low, null_high = found.interval(found.innocent, confidence=CONTROL_CONFIDENCE)
    if not null_low <= 0.5 <= null_high:
        return Status.NOT_ASSESSABLE, (
            f"weights that saw neither tell train from holdout (AUC {found.innocent:.2f}): the arms differ in source"
        )
    low, _ = found.interval(found.auc)
    if low > 0.5:
        return Status.DETECTED, f"the weights tell members from others; the lower bound is {low:.2f}"
    if not named:
        return Status.NO_POWER, "the card names other training images: who was trained on is not known"
    if found.interval(found.planted, n_members=found.n_planted)[0] <= 0.5:
        return Status.NO_POWER, f"a leak of {found.n_planted} members was not detected (AUC {found.planted:.2f})"
    return Status.NOT_DETECTED, ""
