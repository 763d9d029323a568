"""Detectability: how easily are synthetic images told from real ones, on site and by a receiver?

A detector that learned from private images may tell who they were: it stays on site. A receiver's detector learns from
public images and the released ones alone, and may go along with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
from scipy import ndimage

from audits.base import AuditInput, Measurement, Status
from audits.checks import MIN_SUBJECTS, same_source, too_few, white_level
from audits.embeddings import Embedding, multi_scale
from audits.embeddings.choice import choose
from audits.judges import MAX_TAUGHT
from audits.pixels import to_grey
from audits.recognition import METHOD, Looks, Told, cross_validated, looks_of, taught_on_public, with_shares_of
from audits.registry import audit
from audits.sampling import at_most
from audits.stats import Doubles, auc_interval, n_above_rate, rows_by_subject
from generators.data import ImageSet
from generators.phantoms import can_draw, draw_phantoms

MAX_IMAGES = 1000
LEVEL = 0.01  # as the other fidelity figures, of which a report has a dozen
BLUR = 0.6  # pixels: what a control of slightly blurred real images must show
MIN_FOR_RATE = 100
PUBLIC_SEED = 30_000
PUBLIC_FEATURES = "gradient histograms, leading components of the public images"
STAYS = "it learned from private images and stays on site"
MAY_LEAVE = "it learned from public images and the released ones alone and may leave the site"
_SOURCE = "classifier two-sample test, Lopez-Paz and Oquab 2017, arXiv:1610.06545; interval Newcombe 2006, method 5"
_CONTROLS = (
    "one image a person, synthetic images in the holdout's shares of labels, equal n; baseline: train in the place of "
    f"synthetic; positive control: train blurred by {BLUR} pixels"
)
_auditor = partial(
    Measurement,
    name="detectability.auditor",
    unit="AUC, synthetic against holdout",
    method=f"{METHOD} of the run's extractor; cross-validated by person, tested by new deals of "
    f"people at level {LEVEL:.0%}; {_CONTROLS}; {STAYS}",
    source=_SOURCE,
)
_receiver = partial(
    Measurement,
    name="detectability.receiver",
    unit="AUC, synthetic against holdout",
    method=(
        f"{METHOD} of gradient histograms; taught on public images, phantoms where none are given, against half "
        f"of the synthetic images, asked about holdout and the other half, tested at level {LEVEL:.0%}; {_CONTROLS}; "
        f"{MAY_LEAVE}"
    ),
    source=_SOURCE,
)


@audit("detectability", question="How easily are synthetic images told from real ones, on site and by a receiver?")
def detectability(data: AuditInput) -> list[Measurement]:
    """AUC of a detector taught on the holdout itself, and of one taught on public images, with real against real."""
    reason = too_few(train=data.train, holdout=data.holdout, synthetic=data.synthetic)
    arms = {} if reason else _equal_arms(data)
    if arms and len(arms["synthetic"]) < MIN_SUBJECTS:
        reason = f"too few synthetic images remain in the holdout's shares of labels, {MIN_SUBJECTS} are needed"
    if reason:
        return [report(status=Status.NO_POWER, reason=reason) for report in (_auditor, _receiver)]
    if mismatch := same_source(data):
        return [report(status=Status.NOT_ASSESSABLE, reason=mismatch) for report in (_auditor, _receiver)]
    return [_on_site(data, arms), _by_a_receiver(data, arms)]


def _equal_arms(data: AuditInput) -> dict[str, ImageSet]:
    """As many images of each arm, one a person, so that a person with many images weighs no more than another."""
    rng = np.random.default_rng(data.seed)
    holdout, train, made = (
        _one_each(at_most(arm, MAX_TAUGHT, seed=data.seed), rng) for arm in (data.holdout, data.train, data.synthetic)
    )
    real = {"holdout": holdout, "train": train}
    shown = with_shares_of(holdout, made, seed=data.seed)
    n = min(MAX_IMAGES, len(shown), *map(len, real.values()))
    return {name: arm.select(rng.permutation(len(arm))[:n]) for name, arm in {**real, "synthetic": shown}.items()}


def _one_each(arm: ImageSet, rng: np.random.Generator) -> ImageSet:
    return arm.select(np.array([rng.choice(rows) for rows in rows_by_subject(arm.subjects())]))


def _on_site(data: AuditInput, arms: Mapping[str, ImageSet]) -> Measurement:
    embedding = choose(data)
    real, *others = _looks(arms, embedding, white=white_level(data))
    told = [cross_validated(real, other, seed=data.seed) for other in others]
    return _measure(_auditor, told, {"features": embedding.name, "detector": STAYS})


def _by_a_receiver(data: AuditInput, arms: Mapping[str, ImageSet]) -> Measurement:
    public = _phantoms_like(data.holdout, n=len(arms["holdout"])) if data.public is None else _some_public(data)
    if public is None:
        return _receiver(
            status=Status.NOT_ASSESSABLE,
            reason="no public images are at hand: phantoms, which stand in for them, are grey, square, of 16 to 512 px",
        )
    if public.n_subjects < MIN_SUBJECTS:
        reason = f"public has {public.n_subjects} people, at least {MIN_SUBJECTS} are needed"
        return _receiver(status=Status.NO_POWER, reason=reason)
    grey = to_grey(public, white=public.max_value)
    embedding = multi_scale(grey)
    shown = looks_of(grey, public.subjects(), embedding)
    real, *others = _looks(arms, embedding, white=white_level(data))
    told = [taught_on_public(shown, real, other, seed=data.seed) for other in others]
    details = {
        "features": PUBLIC_FEATURES,
        "taught_on": "phantoms" if data.public is None else "the public images that were given",
        "detector": MAY_LEAVE,
        "at_its_own_threshold": _at_its_own_threshold(told[0]),
    }
    return _measure(_receiver, told, details)


def _looks(arms: Mapping[str, ImageSet], embedding: Embedding, *, white: int) -> Iterator[Looks]:
    """Of holdout, synthetic, train, and train blurred."""
    for name in ("holdout", "synthetic", "train"):
        yield looks_of(to_grey(arms[name], white=white), arms[name].subjects(), embedding)
    blurred = ndimage.gaussian_filter(to_grey(arms["train"], white=white), (0, BLUR, BLUR))
    # As coarse as stored images are, else the number of grey levels alone would give it away.
    stored = np.rint(np.clip(blurred, 0, 1) * white) / white
    yield looks_of(stored.astype(np.float32), arms["train"].subjects(), embedding)


def _some_public(data: AuditInput) -> ImageSet:
    """The public images that were given, one a person, in a seeded order, as many as the largest arm."""
    assert data.public is not None  # noqa: S101 - asked before
    rng = np.random.default_rng(data.seed)
    public = _one_each(at_most(data.public, 2 * MAX_IMAGES + MIN_FOR_RATE, seed=data.seed), rng)
    return public.select(rng.permutation(len(public)))


def _phantoms_like(images: ImageSet, *, n: int) -> ImageSet | None:
    """`n` phantoms and 2 x MIN_FOR_RATE more, as large and as deep as `images`; None where there are none."""
    height, width = images.images.shape[1:3]
    if height != width or not can_draw(size=height, channels=images.channels):
        return None
    depth = 8 if images.used_bits == 8 else 12
    n_drawn = n + 2 * MIN_FOR_RATE
    return draw_phantoms(
        n_subjects=n_drawn, size=height, bit_depth=depth, seed=PUBLIC_SEED, max_images=1, variation=1.5
    ).images


def _measure(report: partial[Measurement], told: Sequence[Told], details: Mapping[str, object]) -> Measurement:
    """told: synthetic against holdout; train against holdout; blurred train against holdout."""
    found, floor, planted = told
    (low, high), (floor_low, floor_high) = _interval(found), _interval(floor)
    status, reason = _verdict(found, planted)
    if not floor_low <= 0.5 <= floor_high:
        reason = f"{reason}; real images alone give AUC {floor.auc:.2f} ({floor_low:.2f} to {floor_high:.2f})"
    return report(
        status=status,
        reason=reason,
        value=found.auc,
        ci_low=low,
        ci_high=high,
        n={"holdout": len(found.real), "synthetic_images": len(found.made), "train": len(floor.made)},
        baseline=floor.auc,
        positive_control=planted.auc,
        negative_control=floor.auc,
        details={
            "p_value": found.p_value,
            "baseline_interval": {"low": floor_low, "high": floor_high},
            **_rate_at_one_percent(found),
            **details,
        },
    )


def _verdict(found: Told, planted: Told) -> tuple[Status, str]:
    if found.p_value <= LEVEL:
        return Status.DETECTED, f"synthetic images are recognised (AUC {found.auc:.2f}, p = {found.p_value:.2g})"
    if planted.p_value > LEVEL:
        return Status.NO_POWER, f"slightly blurred real images were not recognised either (AUC {planted.auc:.2f})"
    return Status.NOT_DETECTED, f"slightly blurred real images are recognised (AUC {planted.auc:.2f}), these are not"


def _interval(told: Told) -> tuple[float, float]:
    return auc_interval(told.auc, told.n_real, told.n_made)


def _rate_at_one_percent(told: Told) -> dict[str, object]:
    """The share of synthetic images that is recognised where 1 % of the real ones are taken for synthetic."""
    if len(told.real) < MIN_FOR_RATE:
        return {"tpr_at_1pct": None, "why": f"needs {MIN_FOR_RATE} people in holdout, there are {len(told.real)}"}
    return {"tpr_at_1pct": _above(told.made, told.real)}


def _at_its_own_threshold(told: Told) -> dict[str, float]:
    """What a receiver gets who knows no private image: the threshold that 1 % of public images exceed."""
    if told.public is None:
        return {}
    return {"recognised": _above(told.made, told.public), "real_taken_for_synthetic": _above(told.real, told.public)}


def _above(scores: Doubles, others: Doubles) -> float:
    return n_above_rate(scores, others, 0.01) / len(scores)
