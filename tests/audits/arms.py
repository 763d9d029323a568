"""Ways to change arms that several tests share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from audits.base import AuditInput
from audits.registry import run_audits
from generators.data import ImageSet


def noisy_copies(source: ImageSet, *, n: int, seed: int, scale: float = 6) -> ImageSet:
    """`n` images of `source`, drawn with replacement, with Gaussian noise."""
    rng = np.random.default_rng(seed)
    drawn = source.select(rng.integers(0, len(source), n))
    noise = rng.normal(0, scale, drawn.images.shape)
    return replace(drawn, images=np.clip(drawn.images + noise, 0, 255).astype(np.uint8), subject=None)


def without_columns(data: AuditInput, *columns: str) -> AuditInput:
    """The same arms, without some of their columns."""
    arms = {name: getattr(data, name) for name in ("train", "holdout", "control", "synthetic")}
    return replace(data, **{name: replace(arm, **dict.fromkeys(columns)) for name, arm in arms.items()})


def with_few_people(data: AuditInput, n: int) -> AuditInput:
    """The same arms, cut to `n` images of real people each."""
    few = np.arange(n)
    return replace(
        data,
        train=data.train.select(few),
        holdout=data.holdout.select(few),
        control=None if data.control is None else data.control.select(few),
    )


def statuses(data: AuditInput, name: str) -> dict[str, str]:
    """What one audit answers, measurement by measurement."""
    report = run_audits(data, only=[name])
    return {m.name: m.status.value for m in report.measurements if m.name.startswith(f"{name}.")}
