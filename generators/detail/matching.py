"""Bringing drawn images to a look: one step, the same for all, found by drawing, looking and correcting.

Post-processing of what was released. A shift of all pixels, a gain of each band in each zone, and for each ring an
affine map of an image's logarithm of power, so that both the mean and the spread of power come out as they should. What
gains would change inside the latent space is projected off: there images stay as drawn, and labels are told as well as
before. The shift alone reaches in, to undo what clipping takes from the mean
(Heeger and Bergen 1995 and Portilla and Simoncelli 2000 bring single textures to such statistics; here it is their
mean over images).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct, idct

from generators.detail.look import WIDTHS, Look, bands, knots, log_rings
from generators.detail.sampling import outside
from generators.detail.spectrum import apply_gains
from generators.latent.basis import Array, Basis
from generators.latent.texture import N_ZONES, Pixels, smooth_fields

N_ROUNDS = 12
PACE = 0.7  # gains of neighbouring zones overlap: whole corrections would overshoot
LARGEST_LOG_GAIN = 2.0
SLOPES = (0.6, 1.6)
N_SPREAD = 3
LEAST_VARIANCE = LEAST_POWER = 0.05
CHUNK = 512


@dataclass(frozen=True, kw_only=True)
class Step:
    """shift [S, S]; zones [4, 8, 8]: logarithms of gains; pivot, offset, slope [K]: an image whose logarithm of power
    in a ring is r has it raised by offset + (slope - 1) (r - pivot)."""

    shift: Array
    zones: Array
    pivot: Array
    offset: Array
    slope: Array

    def apply(self, images: Pixels, basis: Basis) -> Pixels:
        """Images [n, S, S], not clipped."""
        changed = []
        for start in range(0, len(images), CHUNK):
            moved = images[start : start + CHUNK] + self.shift.astype(np.float32)
            gained = (self._gained(moved) - moved).reshape(len(moved), -1)
            changed.append(moved + outside(gained, basis).reshape(moved.shape))
        return np.concatenate(changed)

    def _gained(self, images: Pixels) -> Pixels:
        """Bands by zones, then rings."""
        size = images.shape[1]
        parts, changed = bands(images)
        for band, field in zip(parts, self.zones, strict=True):
            changed = changed + band * np.exp(smooth_fields(field[None], size))
        raised = self.offset + (self.slope - 1) * (log_rings(changed) - self.pivot)
        gains = np.exp(np.clip(raised / 2, -LARGEST_LOG_GAIN, LARGEST_LOG_GAIN))
        rings = np.arange(1, size // 2 + 1)
        mean = changed.mean(axis=(1, 2), keepdims=True)
        every = np.stack([np.interp(rings, knots(size), row) for row in gains])
        return np.asarray(mean + apply_gains(changed - mean, every), dtype=np.float32)

    @property
    def tensors(self) -> dict[str, Array]:
        return {"shift": self.shift, "zones": self.zones, "rings": np.stack([self.pivot, self.offset, self.slope])}

    @classmethod
    def of(cls, tensors: dict[str, Array]) -> Step:
        """What `tensors` gave."""
        pivot, offset, slope = tensors["rings"]
        return cls(shift=tensors["shift"], zones=tensors["zones"], pivot=pivot, offset=offset, slope=slope)


def fit_step(images: Pixels, latents: Array, look: Look, target: Array, noise: float) -> Step:
    """The step that brings drawn images [n, S, S], and what clipping makes of them, to a released look [k].

    latents [n, d]: those that the images were drawn for, whose mean they keep. noise: the deviation of each entry of
    the target.
    """
    step = _still(images, look)
    wanted = trusted(target, look.describe(np.clip(images, 0, 1)).mean(axis=0), look.blocks, noise)
    for number in range(N_ROUNDS):
        seen = np.clip(step.apply(images, look.basis), 0, 1)
        now = look.describe(seen).mean(axis=0)
        # By turns: rings and zones measure the same power, and both at once would correct it twice.
        if number % 2:
            step = _rings_closer(step, look, now, wanted, spread=log_rings(seen).var(axis=0))
        else:
            drift = latents.mean(axis=0) - look.basis.encode(seen.reshape(len(seen), -1)).mean(axis=0)
            step = _zones_closer(step, look, now, wanted, drift)
    return step


def trusted(target: Array, drawn: Array, blocks: NDArray[np.intp], noise: float) -> Array:
    """A noisy target [k], each block drawn towards what draws have [k] by the share of their distance that the known
    noise explains (James and Stein 1961, positive part)."""
    missing = target - drawn
    distance = np.bincount(blocks, missing**2) / np.maximum(np.bincount(blocks), 1)
    share = np.maximum(0.0, 1 - noise**2 / np.maximum(distance, 1e-12))
    return np.asarray(drawn + share[blocks] * missing)


def _still(images: Pixels, look: Look) -> Step:
    """The step that changes nothing."""
    pivot = log_rings(images).mean(axis=0)
    return Step(
        shift=np.zeros((look.size, look.size)),
        zones=np.zeros((len(WIDTHS), N_ZONES, N_ZONES)),
        pivot=pivot,
        offset=np.zeros_like(pivot),
        slope=np.ones_like(pivot),
    )


def _zones_closer(step: Step, look: Look, seen: Array, wanted: Array, drift: Array) -> Step:
    """Pixels and zones corrected by what is missing in rows [k], and in latents of the basis, drift [d]."""
    missing = look.parts(wanted - seen)
    inside = (drift * look.basis.scale) @ look.basis.directions
    outside = smooth_fields(missing.outside, look.size)[0]
    return replace(
        step,
        shift=step.shift + inside.reshape(outside.shape) + outside,
        zones=np.clip(step.zones + PACE * missing.zones[0], -LARGEST_LOG_GAIN, LARGEST_LOG_GAIN),
    )


def _rings_closer(step: Step, look: Look, seen: Array, wanted: Array, *, spread: Array) -> Step:
    """Rings corrected by what is missing in rows [k], spread [K] being the variances of logarithms of power.

    Where these are Gaussian, mean power is exp(mean + variance / 2): what the mean leaves missing, the spread gives.
    """
    missing = look.parts(wanted - seen).rings[0]
    now, then = (np.maximum(look.parts(row + look.centre).power[0], LEAST_POWER) for row in (seen, wanted))
    cosines = dct(np.log(then / now) - missing, norm="ortho")
    cosines[N_SPREAD:] = 0.0  # single rings say too little of their spread
    wider = np.sqrt(1 + np.clip(idct(cosines, norm="ortho") / np.maximum(spread, LEAST_VARIANCE), -0.5, 0.5))
    return replace(step, offset=step.offset + missing, slope=np.clip(step.slope * wider, *SLOPES))
