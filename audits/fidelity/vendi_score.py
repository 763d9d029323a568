"""Vendi score: how many different kinds of image there are, as the exponent of an entropy (package `vendi-score`)."""

from __future__ import annotations

from functools import partial

import numpy as np

from audits.base import AuditInput, Measurement
from audits.floor import in_features
from audits.pixels import Floats
from audits.registry import audit

_score = partial(
    Measurement,
    name="vendi_score.kinds",
    unit="effective number of different images",
    method=(
        "exponent of the entropy of the eigenvalues of the cosine similarities, features centred on the holdout, equal "
        "n; interval by delete-fifth jackknife over subjects; baseline the training images"
    ),
    source="Friedman and Dieng 2023, arXiv:2210.02410",
)


@audit("vendi_score", question="Are there as many kinds of image as among real ones?")
def vendi_score(data: AuditInput) -> list[Measurement]:
    """Vendi score of synthetic images, beside that of as many training images."""
    return [in_features(data, _score, effective_number, higher_is_better=True)]


def effective_number(real: Floats, other: Floats) -> float:
    """Vendi score of features `other` [N, D], seen from the mean of `real`."""
    from vendi_score import vendi  # noqa: PLC0415 - it brings more than the listing of audits needs

    centred = (other - real.mean(axis=0)).astype(np.float64)
    if centred.shape[1] > len(centred):  # the same similarities in as few columns as there are images
        centred = np.linalg.qr(centred.T).R.T
    return float(vendi.score_dual(centred))
