"""The watermark: an id that an image carries in its pixels. A pointer to a signed entry, never a proof."""

from veilmark.provenance.watermark.detect import Detection, detect_mark, direct_ids
from veilmark.provenance.watermark.embed import MarkedImages, mark_images
from veilmark.provenance.watermark.mark_id import PUBLIC_DETECTION_KEY, MarkId
from veilmark.provenance.watermark.pattern import MIN_SIDE, version_for
from veilmark.provenance.watermark.survival import AttackSurvival, MarkSurvival, mark_survival

__all__ = [
    "MIN_SIDE",
    "PUBLIC_DETECTION_KEY",
    "AttackSurvival",
    "Detection",
    "MarkId",
    "MarkSurvival",
    "MarkedImages",
    "detect_mark",
    "direct_ids",
    "mark_images",
    "mark_survival",
    "version_for",
]
