"""Copies: does a synthetic image lie nearer to a training image than chance allows?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from audits.base import AuditInput, Law, Measurement, Status
from audits.checks import identical_to, same_source, too_few, unseen_arms, white_level
from audits.copies.ranking import Lineup, Ranked, rank
from audits.copy_detector import margin, margin_p_value, margins, mirror_margins, p_values, threshold
from audits.flags import LEVEL, MIN_RECALL, Copies, flag_rows, only_identity
from audits.pixels import GreyView
from audits.planted import TRANSFORMS, UPRIGHT
from audits.registry import audit
from audits.stats import Doubles, clopper_pearson, excess_rate, rows_by_subject
from generators.data import ImageSet

ALARM_RATE = 0.01
N_DRAWS = 499
N_PLANTED = 50
DETECTOR = "registered correlation margin"

Mask = NDArray[np.bool_]

_copies = partial(
    Measurement,
    name="nearest_copies.copy_rate",
    law=Law.SINGLING_OUT,
    unit="share of synthetic images flagged, beyond real unseen images",
    method=(
        "margin between the nearest training and the nearest unseen image under flips and small shifts; per-image "
        f"alarm rate {ALARM_RATE:.0%} set on unseen people; accused at level {LEVEL:.0%} by dealing subjects anew; "
        "lower bound of the excess over unseen people, upper bound of all flags divided by the recall"
    ),
    source="after Carlini et al. 2023, arXiv:2301.13188; conformal threshold; permutation test by subject",
)


@dataclass(frozen=True, kw_only=True)
class _Arms:
    """`unseen` is held against train, `calibration` sets the alarm; n: people of train, unseen, calibration."""

    train: ImageSet
    unseen: ImageSet
    calibration: ImageSet
    synthetic: ImageSet
    white: int

    @property
    def n(self) -> dict[str, int]:
        return {name: getattr(self, name).n_subjects for name in ("train", "unseen", "calibration")}

    def margins(self, queries: ImageSet, unseen: ImageSet) -> Doubles:
        """[Q]: all training images against all of `unseen`."""
        return margins(*(GreyView(sets=(arm,), white=self.white) for arm in (queries, self.train, unseen)))

    def lineup(self, *, seed: int) -> Lineup:
        """Training people in blocks of at most the size of the unseen arm, then the unseen, then those who set it."""
        own = rows_by_subject(self.train.subjects())
        n_blocks = -(-len(own) // self.unseen.n_subjects)
        blocks = np.array_split(np.random.default_rng(seed).permutation(len(own)), n_blocks)
        groups = [(self.train, np.concatenate([own[i] for i in block])) for block in blocks]
        groups += [(arm, np.arange(len(arm))) for arm in (self.unseen, self.calibration)]
        return Lineup.of(groups, white=self.white)


@dataclass(frozen=True, kw_only=True)
class _Found:
    """Margins of synthetic images [Q], of those who set the alarm, and the other way round [blocks, Q]; the alarm."""

    margins: Doubles
    real: Doubles
    mirrored: Doubles
    cut: float

    @classmethod
    def of(cls, ranked: Ranked, real: Doubles) -> _Found:
        train, unseen = ranked.best[:, :-2], ranked.best[:, -2]
        mirrored = mirror_margins(train, unseen)
        cut = threshold(real, mirrored, alarm_rate=ALARM_RATE)
        return cls(margins=margin(train.max(axis=1), unseen), real=real, mirrored=mirrored, cut=cut)


@audit("nearest_copies", question="Are synthetic images copies of training images?")
def nearest_copies(data: AuditInput) -> list[Measurement]:
    """The share of synthetic images flagged as copies beyond chance, with recall on planted copies."""
    unseen, calibration = unseen_arms(data)
    identical = identical_to(data.train, data.synthetic)
    alone = partial(only_identity, _copies, identical, train=data.train, asked=data.synthetic)
    reason = too_few(train=data.train, unseen=unseen, calibration=calibration)
    if not reason and len(calibration) + 1 < 1 / ALARM_RATE:
        reason = f"{len(calibration)} images set the alarm, {round(1 / ALARM_RATE) - 1} are needed"
    if reason:
        return [alone(status=Status.NO_POWER, reason=reason)]
    if mismatch := same_source(data):
        return [alone(status=Status.NOT_ASSESSABLE, reason=mismatch)]
    arms = _Arms(
        train=data.train,
        unseen=unseen,
        calibration=calibration,
        synthetic=data.synthetic,
        white=white_level(data),
    )
    return [_measure(arms, identical, seed=data.seed)]


def _measure(arms: _Arms, identical: Mask, *, seed: int) -> Measurement:
    n, lineup = len(arms.synthetic), arms.lineup(seed=seed)
    ranked = rank(GreyView(sets=(arms.synthetic,), white=arms.white), lineup)
    found = _Found.of(ranked, arms.margins(arms.calibration, arms.unseen))
    flagged = (found.margins > found.cut) | identical
    copies = Copies(
        n_flagged=int(flagged.sum()),
        n=n,
        n_identical=int(identical.sum()),
        p_value=_leak(ranked, lineup, found.cut, seed=seed),
        recalls=_recalls(arms, found.cut, seed=seed),
    )
    innocent = arms.margins(arms.unseen, arms.calibration) > found.cut
    status, reason = copies.verdict()
    value, low, _ = excess_rate(copies.n_flagged, n, int(innocent.sum()), len(innocent))
    high = clopper_pearson(copies.n_flagged, n)[1] / max(copies.recall, MIN_RECALL)  # some copies are missed
    return _copies(
        status=status,
        reason=reason,
        p_value=0.0 if identical.any() else copies.p_value,
        value=max(0.0, value),
        ci_low=max(0.0, low),
        ci_high=min(1.0, high),
        n={"synthetic_images": n, **arms.n},
        baseline=float(innocent.mean()),
        positive_control=copies.recall,
        negative_control=float(innocent.mean()),
        details=copies.details(ALARM_RATE),
        internal=_internal(ranked, lineup, found, flagged, identical),
    )


def _leak(ranked: Ranked, lineup: Lineup, cut: float, *, seed: int) -> float:
    """The test of the whole set: training people against all others, those who set the alarm among them."""
    group = lineup.group[np.flatnonzero(np.diff(lineup.person, prepend=-1))]
    return margin_p_value(ranked, group < group[-1] - 1, cut, n_draws=N_DRAWS, seed=seed)


def _recalls(arms: _Arms, cut: float, *, seed: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    views = (GreyView(sets=(arm,), white=arms.white) for arm in (arms.train, arms.unseen))
    train, unseen = views
    sources = train[rng.permutation(len(train))[:N_PLANTED]]
    return {name: float((margins(TRANSFORMS[name](sources, rng), train, unseen) > cut).mean()) for name in UPRIGHT}


def _internal(ranked: Ranked, lineup: Lineup, found: _Found, flagged: Mask, identical: Mask) -> dict[str, object]:
    """Flags, each with the training image that is most alike, and every margin."""
    block = ranked.best[:, :-2].argmax(axis=1)
    nearest = lineup.row[np.take_along_axis(ranked.nearest, block[:, None], axis=1)[:, 0]]
    image_p = p_values(found.margins, found.real, found.mirrored)
    return {
        "flags": flag_rows(flagged, identical, image_p, [DETECTOR] * len(flagged)),
        "nearest_train_index": {int(i): int(nearest[i]) for i in np.flatnonzero(flagged)},
        "threshold": found.cut,
        "margins": np.round(found.margins, 4).tolist(),
        "real_margins": np.round(found.real, 4).tolist(),
    }
