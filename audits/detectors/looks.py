"""What an exported detector sees of an image: fixed features, learned from nobody."""

from __future__ import annotations

import numpy as np

from audits.embeddings import multi_scale
from audits.pixels import Floats, Greys, by_block, resize
from audits.spectrum import radial_power
from audits.two_sample import source_features

SIDE = 24
NAME = f"{SIDE} px, power by frequency, grey levels, traces of compression, gradient histograms; all fixed"


def features_of(images: Greys) -> Floats:
    """[N, D] of grey images [N, H, W] in [0, 1]; D depends on the size alone."""
    return by_block(images, _features)


def _features(grey: Floats) -> Floats:
    parts = (
        resize(grey, SIDE).reshape(len(grey), -1),
        np.log(radial_power(grey) + 1e-9),
        source_features(grey),
        multi_scale(None).extract(grey),
    )
    return np.concatenate(parts, axis=1).astype(np.float32)
