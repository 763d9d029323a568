"""Canaries for `generators.latent.release`: design, sums, second moments and those of each label, released together.

The canary's part of each table is known from the table's own bound, and of the later ones given what the first said.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audits.claims.record import Part
from audits.claims.releases import FAR, N_IMAGES, N_OTHERS, Draw, NoLog, names_of, noise_of, standardised
from audits.stats import Doubles
from generators.conditions import Vocabulary
from generators.latent.design import Design
from generators.latent.release import (
    Bounds,
    PrivateLatents,
    Release,
    Shares,
    exact_design,
    exact_label_moments,
    exact_moments,
    exact_sums,
    release,
)

N_LATENTS = 4
DESIGN = Design(
    vocabulary=Vocabulary(labels=("a", "b"), sexes=("F", "M"), age_groups=("0-17", "18+")), group_weight=0.4
)
# Residuals are clipped so short that the canary's are always at the bound.
RADIUS, SHORT_RADIUS = 2.0, 0.25

Table = tuple[Doubles, Doubles, float]


@dataclass(frozen=True, kw_only=True)
class _Setting:
    """Ordinary subjects, the canary alone, both together; what they are clipped to and how the noise is shared."""

    others: PrivateLatents
    canary: PrivateLatents
    everyone: PrivateLatents
    bounds: Bounds
    shares: Shares
    sigma: float

    def tables(self, found: Release) -> list[Table]:
        """Of each table: what is left without the others, the canary's part, the deviation of the noise."""
        bounds, shares, x = self.bounds, self.shares, DESIGN.norm

        def moments_of(data: PrivateLatents) -> tuple[Doubles, Doubles]:
            return (
                exact_moments(data, found.effects, bounds=bounds),
                exact_label_moments(data, found.effects, bounds=bounds),
            )

        (others, others_by_label), (own, own_by_label) = moments_of(self.others), moments_of(self.canary)
        designs, sums = (
            (exact_design(self.others), exact_design(self.canary)),
            (exact_sums(self.others, bounds.radius), exact_sums(self.canary, bounds.radius)),
        )
        tables = [
            (found.design - designs[0], designs[1], x * x / math.sqrt(shares.counts)),
            (found.sums - sums[0], sums[1], x * bounds.radius / math.sqrt(shares.sums)),
            (found.moments - others, own, bounds.residual_radius**2 / math.sqrt(shares.moments)),
        ]
        if shares.label_moments:
            std = bounds.label_radius**2 / math.sqrt(shares.label_moments)
            tables.append((found.label_moments - others_by_label, own_by_label, std))
        return [(left, part, self.sigma * std) for left, part, std in tables]


def latents_draw(parts: Sequence[Part], *, seed: int) -> Draw:
    """parts: the log's mechanisms in the release's order: means, covariance and, where paid for, those of labels.

    What the log does not say (vocabulary, latents, radius) is small here: the code is the same.
    """
    setting = _setting(parts, seed=seed)

    def draw(there: bool) -> float:
        found = release(
            setting.everyone if there else setting.others,
            design=DESIGN,
            bounds=setting.bounds,
            noise_multiplier=setting.sigma,
            shares=setting.shares,
            recorder=NoLog(),
        )
        return standardised(setting.tables(found))

    return draw


def _setting(parts: Sequence[Part], *, seed: int) -> _Setting:
    sigma = noise_of(parts)
    first, moments, *rest = ((sigma / part.noise_multiplier) ** 2 for part in parts)
    label_moments = rest[0] if rest else 0.0
    everyone = _everyone(seed=seed)
    places = np.arange(N_LATENTS)
    return _Setting(
        others=_rows(everyone, everyone.subjects != "canary"),
        canary=_rows(everyone, everyone.subjects == "canary"),
        everyone=everyone,
        bounds=Bounds(
            radius=RADIUS,
            residual_radius=SHORT_RADIUS,
            leading=places,
            spread=np.ones(N_LATENTS),
            public_n_subjects=100,
            label_radius=SHORT_RADIUS,
            of_labels=places if label_moments else places[:0],
        ),
        shares=Shares(counts=first / 2, sums=first / 2, moments=moments, label_moments=label_moments),
        sigma=sigma,
    )


def _everyone(*, seed: int) -> PrivateLatents:
    """A few ordinary subjects and, last, the canary: many images, all far out in one direction."""
    rng = np.random.default_rng(seed)
    ordinary = 0.5 * rng.standard_normal((N_OTHERS, N_LATENTS))
    n = N_OTHERS + N_IMAGES
    numbers = np.zeros((n, 3), dtype=np.intp)
    numbers[:N_OTHERS] = rng.integers(0, 2, (N_OTHERS, 3))
    return PrivateLatents(
        latents=np.vstack([ordinary, np.full((N_IMAGES, N_LATENTS), FAR)]),
        rows=DESIGN.rows(numbers),
        subjects=names_of(n),
        centres=np.zeros((DESIGN.n_labels, N_LATENTS)),
    )


def _rows(data: PrivateLatents, keep: NDArray[np.bool_]) -> PrivateLatents:
    return PrivateLatents(
        latents=data.latents[keep], rows=data.rows[keep], subjects=data.subjects[keep], centres=data.centres
    )
