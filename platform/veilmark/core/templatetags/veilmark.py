"""How states and digests look on every page."""

from __future__ import annotations

from django import template
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import mark_safe

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
    ),
    "bad": ("failed", "fail", "refused", "rejected", "revoked", "detected", "reject", "cancelled"),
    "warn": ("unknown", "warn", "suspended", "returned", "no_power", "not_assessable", "expired", "return"),
    "busy": ("running", "auditing", "in_review", "clinical", "reviewed", "submitted", "enqueued", "reserved"),
}
TONE_OF = {state: tone for tone, states in TONES.items() for state in states}
MARKS = {"good": "✓", "bad": "✕", "warn": "!", "busy": "…", "plain": "·"}


@register.inclusion_tag("core/badge.html")
def badge(state: str, text: str = "") -> dict[str, str]:
    """A state as colour, sign and word: no state is told by colour alone."""
    tone = TONE_OF.get(str(state).lower(), "plain")
    return {"tone": tone, "mark": MARKS[tone], "text": text or str(state).replace("_", " ")}


@register.filter
def short_digest(digest: str) -> str:
    """`sha256:` and its first 12 hexadecimal digits, for lists; pages that people sign under show all."""
    return f"{digest[:19]}…" if len(digest) > 20 else digest or "none yet"


@register.filter
def figure(value: object) -> str:
    """A number as people read it; a dash where there is none."""
    if isinstance(value, bool) or value is None or value == "":
        return {True: "yes", False: "no"}.get(value, "–") if isinstance(value, bool) else "–"  # noqa: RUF001 - a dash
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@register.simple_tag(takes_context=True)
def nav_link(context: template.Context, name: str, text: str) -> str:
    """A link of the navigation; the one whose part of the site is open says so."""
    url = reverse(name)
    path = context["request"].path
    is_open = path == url or (url != "/" and path.startswith(url))
    return format_html('<li><a href="{}"{}>{}</a></li>', url, mark_safe(' aria-current="page"') if is_open else "", text)
