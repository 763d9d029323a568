"""How strongly an image is marked: as strongly as its profile's PSNR allows, found from its texture.

A slot moves the part `alpha` of its way to the lattice (distortion compensation). At a given distortion, a coarser
lattice with a smaller part bears more noise, until what is left of the way is noise enough by itself: for the noise
that marks should survive, the best part lies near two thirds and the optimum is flat.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from veilmark.provenance.watermark.pattern import BLOCK, STRENGTHS, Pattern, Profile

_BEST_ALPHA = 0.66
_MOST_ALPHA = 1.0
_PSNR_ROOM = 0.03  # dB, for rounding
_NEAR_ENOUGH = 1.03  # of the allowed change's amplitude


@dataclass(frozen=True, kw_only=True, eq=False)
class Strength:
    """`step` [N] in units of the stretched range, `alpha` [N] in 0..1."""

    step: NDArray[np.float32]
    alpha: NDArray[np.float32]

    def of(self, rows: NDArray[np.intp]) -> Strength:
        """The strength of some of the images."""
        return Strength(step=self.step[rows], alpha=self.alpha[rows])


def allowed_error(images: NDArray[np.generic], profile: Profile) -> NDArray[np.float32]:
    """The mean squared change [N] in stored units. The depth is 8 bits, or as many as the brightest pixel needs."""
    brightest = images.reshape(len(images), -1).max(axis=1).astype(np.float64)
    depth = np.maximum(255, 2 ** np.ceil(np.log2(brightest + 1)) - 1)
    allowed: NDArray[np.float32] = (depth**2 * 10 ** (-(profile.psnr + _PSNR_ROOM) / 10)).astype(np.float32)
    return allowed


def to_lattice(
    slots: NDArray[np.float32], signs: NDArray[np.float32], step: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The way of each slot [N, R, C, S] to the nearest point that stands for its sign, for steps [N]."""
    long_step = step[:, None, None, None]
    in_steps = slots / long_step - signs / np.float32(4)
    way: NDArray[np.float32] = (np.rint(in_steps) - in_steps) * long_step
    return way


def predicted(
    slots: NDArray[np.float32], signs: NDArray[np.float32], pattern: Pattern, allowed: NDArray[np.float32]
) -> Strength:
    """The longest step at which the best part is affordable, clipping and rounding aside; `allowed` [N], stretched."""
    steps = (pattern.profile.step * np.array(STRENGTHS)).astype(np.float32)
    squared = np.array([_mean_square(to_lattice(slots, signs, np.full(len(slots), step))) for step in steps])
    per_slot = allowed * BLOCK**2 / pattern.profile.n_slots
    affordable = np.sqrt(per_slot / np.maximum(squared, 1e-9))  # [steps, N]
    chosen = np.maximum(np.cumprod(affordable >= _BEST_ALPHA, axis=0).sum(axis=0) - 1, 0)
    alpha = np.minimum(affordable[chosen, np.arange(len(slots))], _MOST_ALPHA)
    return Strength(step=steps[chosen], alpha=alpha.astype(np.float32))


def corrected(
    strength: Strength, error: NDArray[np.float32], allowed: NDArray[np.float32], profile: Profile
) -> tuple[Strength, NDArray[np.bool_]]:
    """The next strength to try from a measured error [N], and which images [N] need no other."""
    ratio = np.sqrt(allowed / np.maximum(error, 1e-9))
    alpha = strength.alpha * ratio
    longer = (alpha > _BEST_ALPHA * 1.2) & (strength.step < profile.step * STRENGTHS[-1] * 0.99)
    is_spent = (ratio <= _NEAR_ENOUGH) | ((strength.alpha >= _MOST_ALPHA) & ~longer)
    alpha = np.minimum(np.where(longer, alpha / 1.2, alpha), _MOST_ALPHA).astype(np.float32)
    step = np.where(longer, strength.step * 1.2, strength.step).astype(np.float32)
    return Strength(step=step, alpha=alpha), is_spent & (error <= allowed * 1.006)


def _mean_square(values: NDArray[np.float32]) -> NDArray[np.float32]:
    flat = values.reshape(len(values), -1)
    mean: NDArray[np.float32] = np.einsum("ij,ij->i", flat, flat) / flat.shape[1]
    return mean
