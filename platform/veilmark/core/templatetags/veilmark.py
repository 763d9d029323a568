"""How states and digests look on every page."""

from __future__ import annotations

from django import template

register = template.Library()

TONES = {
    "good": (
        "done",
        "pass",
        "passed",
        "released",
        "approved",
        "not_detected",
        "ready",
        "approve",
        "settled",
        "granted",
        "not_copy",
    ),
    "bad": ("failed", "fail", "refused", "rejected", "revoked", "detected", "reject", "cancelled", "copy"),
    "warn": (
        "unknown",
        "warn",
        "suspended",
        "returned",
        "no_power",
        "not_assessable",
        "expired",
        "return",
        "cannot_tell",
    ),
    "info": ("running", "auditing", "in_review", "clinical", "reviewed", "submitted", "enqueued", "reserved"),
}
TONE_OF = {state: tone for tone, states in TONES.items() for state in states}


@register.inclusion_tag("core/badge.html")
def badge(state: str, text: str = "") -> dict[str, str]:
    """A state as colour and word: no state is told by colour alone."""
    return {"state": TONE_OF.get(str(state).lower(), "plain"), "label": text or str(state).replace("_", " ")}


@register.filter
def short_digest(digest: str) -> str:
    """`sha256:` and its first 12 hexadecimal digits, for lists; pages that people sign under show all."""
    return f"{digest[:19]}…" if len(digest) > 20 else digest or "none yet"


@register.filter
def in_words(name: str) -> str:
    return str(name).replace("_", " ")


@register.filter
def figure(value: object) -> str:
    """A number as people read it; a dash where there is none."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(figure, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
