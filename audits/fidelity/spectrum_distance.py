"""Radial power spectrum: is there as much coarse and fine structure as in real images?"""

from __future__ import annotations

from functools import partial

from audits.base import AuditInput, Measurement
from audits.floor import of_images
from audits.registry import audit
from audits.spectrum import LIMIT, largest_distance, radial_power

_distance = partial(
    Measurement,
    name="spectrum_distance.decibels",
    unit="dB",
    method=(
        f"largest distance of the radial mean power spectra up to {LIMIT:.0%} of Nyquist, Hann window, equal n; "
        "interval by delete-fifth jackknife over subjects; baseline train against holdout"
    ),
    source="after Durall et al. 2020, arXiv:2003.01826",
)


@audit("spectrum_distance", question="Are synthetic images as sharp and as noisy as real ones?")
def spectrum_distance(data: AuditInput) -> list[Measurement]:
    """Largest distance in dB of synthetic against holdout, beside train against holdout."""
    figure = partial(largest_distance, side=min(data.train.images.shape[1:3]))
    return [of_images(data, _distance, radial_power, figure)]
