"""Procedural chest radiographs: public images at no privacy cost, for the demo, for tests and for public bases.

No person was imaged. Anatomy, factors and findings are drawn from a seed, so every truth about a cohort is known.
"""

from generators.phantoms.anatomy import LABELS, SITES
from generators.phantoms.cohort import PhantomCohort, can_draw, draw_phantoms, write_phantom_cohort

__all__ = ["LABELS", "SITES", "PhantomCohort", "can_draw", "draw_phantoms", "write_phantom_cohort"]
