"""What persists in a person and what changes from visit to visit, drawn from a seed.

Lengths are in half image sides: x runs from -1 (the person's right) to 1, y from -1 (neck) to 1 (abdomen).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

LABELS = ("normal", "nodule", "opacity")
SITES = ("scanner-a", "scanner-b")
N_TEXTURE_WAVES = 10
N_VESSELS = 6

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """One row a person: shape [n], or [n, k] where there are k of a thing. Known factors first."""

    female: Floats
    age: Floats  # years
    site: Floats  # number in SITES
    finding: Floats  # number in LABELS
    lung_width: Floats
    lung_top: Floats
    diaphragm: Floats  # height of the right dome's rim
    dome: Floats  # how far the dome rises above its rim
    torso: Floats  # half width of the body
    heart_width: Floats
    heart_x: Floats
    heart_tilt: Floats
    aortic_knob: Floats
    spine_bend: Floats
    rib_spacing: Floats
    rib_phase: Floats
    rib_slope: Floats
    bone: Floats  # how bright bones are
    clavicle_tilt: Floats
    stomach_bubble: Floats
    vessel_angle: Floats  # [n, 2 k], radians around the hilum
    vessel_bend: Floats
    texture_x: Floats  # [n, k] spatial frequencies, cycles per unit
    texture_y: Floats
    texture_phase: Floats
    finding_side: Floats  # -1 or 1
    finding_x: Floats  # place in the lung, 0 medial to 1 lateral
    finding_y: Floats  # 0 apex to 1 base
    finding_size: Floats
    finding_contrast: Floats

    def select(self, index: NDArray[np.intp]) -> Anatomy:
        """The rows that `index` names, as often as it names them."""
        return Anatomy(**{field.name: getattr(self, field.name)[index] for field in fields(self)})


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One row an image: pose, breath and exposure."""

    angle: Floats  # radians
    shift_x: Floats
    shift_y: Floats
    zoom: Floats
    breath: Floats  # how far the diaphragm is lower than at the reference breath
    exposure: Floats  # factor on the attenuation
    gamma: Floats
    visible: Floats  # 1 where the finding shows, 0 where it has not come or has gone


def draw_anatomy(rng: np.random.Generator, finding: NDArray[np.intp]) -> Anatomy:
    """A person for each entry of `finding` (a number in LABELS)."""
    n = len(finding)

    def normal(mean: float | Floats, std: float) -> Floats:
        return np.asarray(mean + std * rng.standard_normal(n), dtype=np.float32)

    def uniform(low: float, high: float, *k: int) -> Floats:
        return rng.uniform(low, high, (n, *k)).astype(np.float32)

    female = (rng.random(n) < 0.5).astype(np.float32)
    age = np.clip(np.round(rng.normal(56, 17, n)), 18, 95).astype(np.float32)
    old = (age - 55) / 20
    nodule = finding == LABELS.index("nodule")
    frequency = np.exp(rng.uniform(np.log(1.2), np.log(7), (n, N_TEXTURE_WAVES)))
    direction = rng.uniform(0, 2 * np.pi, (n, N_TEXTURE_WAVES))
    return Anatomy(
        female=female,
        age=age,
        site=rng.integers(0, len(SITES), n).astype(np.float32),
        finding=finding.astype(np.float32),
        lung_width=normal(0.66 - 0.035 * female, 0.03),
        lung_top=normal(-0.74, 0.03),
        diaphragm=normal(0.62 - 0.04 * female, 0.05),
        dome=normal(0.20 - 0.02 * old, 0.03),
        torso=normal(0.90 - 0.05 * female, 0.04),
        heart_width=normal(0.29 + 0.02 * old, 0.025),
        heart_x=normal(0.11, 0.02),
        heart_tilt=normal(0.5, 0.1),
        aortic_knob=np.clip(normal(0.10 + 0.03 * old, 0.02), 0.03, 0.2),
        spine_bend=normal(0, 0.015),
        rib_spacing=normal(0.165, 0.008),
        rib_phase=uniform(0, 1),
        rib_slope=normal(0.55, 0.08),
        bone=np.clip(normal(1.0 - 0.15 * old, 0.1), 0.5, 1.4),
        clavicle_tilt=normal(0.16, 0.05),
        stomach_bubble=np.clip(normal(0.08, 0.06), 0, 0.2),
        vessel_angle=uniform(-1.2, 1.2, 2 * N_VESSELS),
        vessel_bend=uniform(-0.9, 0.9, 2 * N_VESSELS),
        texture_x=(frequency * np.cos(direction)).astype(np.float32),
        texture_y=(frequency * np.sin(direction)).astype(np.float32),
        texture_phase=uniform(0, 2 * np.pi, N_TEXTURE_WAVES),
        finding_side=np.where(rng.random(n) < 0.55, -1, 1).astype(np.float32),
        finding_x=np.where(nodule, uniform(0.30, 0.75), uniform(0.35, 0.65)).astype(np.float32),
        finding_y=np.where(nodule, uniform(0.25, 0.75), uniform(0.50, 0.85)).astype(np.float32),
        finding_size=np.where(nodule, uniform(0.055, 0.10), uniform(0.16, 0.30)).astype(np.float32),
        finding_contrast=np.where(nodule, uniform(0.20, 0.38), uniform(0.14, 0.32)).astype(np.float32),
    )


def draw_visits(rng: np.random.Generator, n: int, *, first: NDArray[np.bool_], variation: float = 1.0) -> Visit:
    """n visits; a finding always shows on a first visit and in 85 % of later ones. `variation` scales pose."""

    def normal(mean: float, std: float) -> Floats:
        return (mean + std * variation * rng.standard_normal(n)).astype(np.float32)

    return Visit(
        angle=normal(0, 0.03),
        shift_x=normal(0, 0.03),
        shift_y=normal(0, 0.03),
        zoom=np.exp(normal(0, 0.03)),
        breath=normal(0, 0.04),
        exposure=np.exp(normal(0, 0.07)),
        gamma=np.exp(normal(0, 0.06)),
        visible=(first | (rng.random(n) < 0.85)).astype(np.float32),
    )
