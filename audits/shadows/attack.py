"""The attacks on weights: scores of members and of others, set against what strangers score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audits.sampling import some_of
from audits.stats import Doubles, Interval, auc, auc_interval, rows_by_subject
from generators.data import ImageSet
from generators.scoring.base import ImageScorer

# Steps of a reference or of a planted leak: seconds for a small network, a minute for one that denoises pixels.
N_STEPS = 200
N_PLANTED = 100
MOST_PEOPLE = 2000
# How much of the difficulty is taken off. The whole is best against weights that hardly remember, none against weights
# that know every member as well as any other: half loses little in either case.
CALIBRATION = 0.5


@dataclass(frozen=True, kw_only=True)
class Arms:
    """Who is asked for: members and others. Scores are of the images of both, members first."""

    member: ImageSet
    other: ImageSet

    @classmethod
    def of(cls, member: ImageSet, other: ImageSet, *, seed: int) -> Arms:
        """At most 2,000 people of each: time grows with them, and what they tell hardly does."""
        return cls(
            member=member.select(some_of(member, MOST_PEOPLE, seed=seed)),
            other=other.select(some_of(other, MOST_PEOPLE, seed=seed)),
        )

    def ask(self, scorer: ImageScorer) -> Doubles:
        """[N] of all images."""
        return np.concatenate([scorer.scores(self.member), scorer.scores(self.other)])

    def by_subject(self, scores: Doubles) -> tuple[Doubles, Doubles]:
        """The best image of each member, and of each of the others."""
        members, others = scores[: len(self.member)], scores[len(self.member) :]
        return _best(members, self.member), _best(others, self.other)

    def planted(self, seed: int) -> ImageSet:
        """The images of half of the members, at most 100: those that a leak is planted of."""
        return self.member.select(self._planted_rows(seed))

    def of_planted(self, scores: Doubles, seed: int) -> tuple[Doubles, Doubles]:
        """As `by_subject`, of the planted members and the others."""
        subjects = self.member.subjects()
        own = np.isin(np.unique(subjects), subjects[self._planted_rows(seed)])
        members, others = self.by_subject(scores)
        return members[own], others

    def _planted_rows(self, seed: int) -> NDArray[np.intp]:
        return some_of(self.member, min(N_PLANTED, self.member.n_subjects // 2), seed=seed)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Scores by subject of members and others; AUCs of the same attack on a planted leak and without any leak.

    n_planted: members that the leak was planted of.
    """

    members: Doubles
    others: Doubles
    planted: float
    n_planted: int
    innocent: float

    @property
    def auc(self) -> float:
        return auc(self.members, self.others)

    def interval(self, value: float, *, n_members: int | None = None, confidence: float = 0.95) -> Interval:
        """Of an AUC over as many people."""
        return auc_interval(value, n_members or len(self.members), len(self.others), confidence=confidence)


def loss_attack(target: ImageScorer, planted: ImageScorer, arms: Arms, control: ImageSet, *, seed: int) -> Found:
    """Scores less half of those under two references, the same network taught afresh on either half of the control.

    Difficulty calibration after Watson et al. 2022, arXiv:2111.08440. planted: taught on `arms.planted(seed)`.
    """
    first = some_of(control, control.n_subjects // 2, seed=seed)
    halves = (first, np.setdiff1d(np.arange(len(control)), first))
    known = [arms.ask(target.taught(control.select(half), n_steps=N_STEPS, seed=seed, afresh=True)) for half in halves]
    difficulty = CALIBRATION * np.mean(known, axis=0)
    members, others = arms.by_subject(arms.ask(target) - difficulty)
    with_leak = arms.of_planted(arms.ask(planted) - difficulty, seed)
    return Found(
        members=members,
        others=others,
        planted=auc(*with_leak),
        n_planted=len(with_leak[0]),
        innocent=auc(*arms.by_subject(known[0] - CALIBRATION * known[1])),
    )


def ratio_attack(
    target: ImageScorer, planted: ImageScorer, arms: Arms, shadows: Sequence[ImageScorer], *, seed: int
) -> Found:
    """Offline LiRA (Carlini et al. 2022, arXiv:2112.03570): how far each score lies beyond those of the shadows."""
    known = np.stack([arms.ask(shadow) for shadow in shadows])
    members, others = arms.by_subject(likelihood_ratio(arms.ask(target), known))
    with_leak = arms.of_planted(likelihood_ratio(arms.ask(planted), known), seed)
    left_out = [likelihood_ratio(known[i], np.delete(known, i, axis=0)) for i in range(len(known))]
    return Found(
        members=members,
        others=others,
        planted=auc(*with_leak),
        n_planted=len(with_leak[0]),
        innocent=float(np.mean([auc(*arms.by_subject(scores)) for scores in left_out])),
    )


def likelihood_ratio(scores: Doubles, shadows: Doubles) -> Doubles:
    """[N]: deviations of scores [N] from the Gaussian of each image's scores [S, N] under shadows, at least two.

    The variance is pooled over images, as the paper has it for few shadows. The upper tail of the standard normal is
    the p-value of "as if it had not been seen".
    """
    spread = float(np.sqrt(np.mean(np.var(shadows, axis=0, ddof=1)) * (1 + 1 / len(shadows))))
    return np.asarray((scores - shadows.mean(axis=0)) / max(spread, 1e-12), dtype=np.float64)


def _best(scores: Doubles, images: ImageSet) -> Doubles:
    return np.array([scores[rows].max() for rows in rows_by_subject(images.subjects())])
