"""Naming the recipients of leaked images, or nobody.

Each leak is laid over its released original; what it holds beyond that is compared with each recipient's signs. The
statistic z is a sum of fixed values of norm 1 with random signs, for whoever did not take part in the leak: by
Hoeffding's inequality (J. Amer. Statist. Assoc. 58, 1963) it exceeds t with probability at most exp(-t^2 / 2). t is
set for the number of recipients tried, so that a search names an innocent one with probability at most
`FALSE_ACCUSATION_RATE`, however many took part and whatever was done to the images: images, views and registrations
are chosen without looking at any signs and need no correction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from veilmark.provenance.errors import MarkError
from veilmark.provenance.tracing.layer import sign_pattern, subspace
from veilmark.provenance.tracing.registration import registrations
from veilmark.provenance.tracing.residual import Evidence, evidence_in
from veilmark.provenance.watermark import PUBLIC_DETECTION_KEY
from veilmark.provenance.watermark.plane import check_images, stretched

FALSE_ACCUSATION_RATE = 1e-6
MIN_LEAK_SIDE = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Leak:
    """A leaked image (uint8 or uint16 [h, w] or [h, w, 3]) and the released original that its public mark names."""

    image_id: str
    pixels: NDArray[np.generic]
    original: NDArray[np.generic]


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """`z`: how strongly the leaks speak for `recipient`. `false_accusation_rate`: the chance that any of the innocent
    ones among all recipients tried reaches this z."""

    recipient: str
    z: float
    false_accusation_rate: float


@dataclass(frozen=True, kw_only=True)
class Trace:
    """`named`: every recipient above `threshold`, strongest first; empty where no recipient can be named."""

    named: tuple[Suspect, ...]
    threshold: float
    n_recipients: int
    n_leaks: int

    @property
    def false_accusation_rate(self) -> float:
        """Of the search as a whole."""
        return FALSE_ACCUSATION_RATE


def threshold_for(n_recipients: int) -> float:
    """The z that the largest of `n_recipients` innocent ones exceeds with probability `FALSE_ACCUSATION_RATE`."""
    return math.sqrt(2 * math.log(max(n_recipients, 1) / FALSE_ACCUSATION_RATE))


def find_recipients(
    leaks: Sequence[Leak], recipients: Sequence[str], *, secret: bytes, key: bytes = PUBLIC_DETECTION_KEY
) -> Trace:
    """Who of `recipients` received these images, from all leaks together. Raises MarkError for unusable arrays."""
    threshold = threshold_for(len(recipients))
    scores = scores_of(leaks, recipients, secret=secret, key=key)
    above = sorted((-float(z), name) for z, name in zip(scores, recipients, strict=True) if z > threshold)
    named = tuple(
        Suspect(recipient=name, z=-z, false_accusation_rate=len(recipients) * math.exp(-(z**2) / 2))
        for z, name in above
    )
    return Trace(named=named, threshold=threshold, n_recipients=len(recipients), n_leaks=len(leaks))


def scores_of(
    leaks: Sequence[Leak], recipients: Sequence[str], *, secret: bytes, key: bytes = PUBLIC_DETECTION_KEY
) -> NDArray[np.float64]:
    """z of each recipient, [len(recipients)]."""
    if len(set(recipients)) != len(recipients):
        raise MarkError("a recipient is listed twice", where="tracing")
    # Two leaks of one image meet the same signs: their evidence is added up before it is weighed.
    found: dict[tuple[str, tuple[int, ...]], NDArray[np.float64]] = {}
    for leak in leaks:
        place = leak.image_id, leak.original.shape[:2]
        found[place] = found.get(place, 0.0) + evidence_of(leak, key=key).along
    total = np.zeros(len(recipients))
    for (image_id, (height, width)), along in found.items():
        for i, recipient in enumerate(recipients):
            total[i] += float((along * sign_pattern(height, width, recipient, image_id, secret, key)).sum())
    norm = math.sqrt(sum(float((along**2).sum()) for along in found.values()))
    return total / norm if norm > 0 else total


def evidence_of(leak: Leak, *, key: bytes = PUBLIC_DETECTION_KEY) -> Evidence:
    """What one leak holds beyond its original, in the registration that explains the leak best."""
    for image in (leak.pixels, leak.original):
        check_images(image[None])
        if min(image.shape[:2]) < MIN_LEAK_SIDE:
            raise MarkError(f"is smaller than {MIN_LEAK_SIDE} px", where=leak.image_id)
    plane, original = stretched(leak.pixels[None])[0], stretched(leak.original[None])[0]
    basis = subspace(original.shape[0], original.shape[1], key)
    found = [
        evidence_in(laid.plane, laid.seen, original=original, basis=basis) for laid in registrations(plane, original)
    ]
    return min(found, key=lambda evidence: evidence.misfit)
