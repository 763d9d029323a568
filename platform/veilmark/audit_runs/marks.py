"""What the mark's detector finds in a synthetic set, and in real images that bear no mark, as audits take it."""

from __future__ import annotations

import numpy as np

from audits.marks import MarkCount, MarkCounts
from generators.data import ImageSet
from veilmark.provenance.watermark import detect_mark
from veilmark.provenance.watermark.attacks import shown
from veilmark.synthetic_sets.models import SyntheticSet

N_UNMARKED = 40  # a search of an image without a mark goes through every stage, a fifth of a second long


def mark_counts(synthetic_set: SyntheticSet, unmarked: ImageSet, *, seed: int) -> MarkCounts | None:
    """Counts of the set's own blind search and attack suite, and of up to `N_UNMARKED` real images.

    None where the set was not searched.
    """
    found = synthetic_set.n_mark_detected
    if found is None:
        return None
    counts = [MarkCount(transform="as released", n=synthetic_set.n_images, found=found)]
    for attack in synthetic_set.mark_survival.get("attacks", []):
        if attack["attack"] != "none":  # all images were searched as they are
            tried = {key: attack[key] for key in ("n", "found", "wrong")}
            counts.append(MarkCount(transform=attack["attack"], **tried))
    rows = np.random.default_rng(seed).permutation(len(unmarked))[:N_UNMARKED]
    false = sum(detect_mark(shown(unmarked.images[row])).detected for row in rows)
    return MarkCounts(transforms=tuple(counts), n_unmarked=len(rows), unmarked_found=false)
