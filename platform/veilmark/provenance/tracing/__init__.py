"""Tracing: each recipient's copy carries a secret layer of its own, so that a leaked image names who received it."""

from veilmark.provenance.tracing.layer import TracedImages, trace_images
from veilmark.provenance.tracing.recipients import FALSE_ACCUSATION_RATE, Leak, Suspect, Trace, find_recipients

__all__ = [
    "FALSE_ACCUSATION_RATE",
    "Leak",
    "Suspect",
    "Trace",
    "TracedImages",
    "find_recipients",
    "trace_images",
]
