"""What a measurement says in plain words: one title and one sentence, never more than the figure carries."""

from __future__ import annotations

from audits.base import Measurement, Status
from audits.words import PREFIXES, WORDS, Words


def title(m: Measurement) -> str:
    """What was measured, for someone who knows no statistics."""
    return _words(m).title.format(grouping=m.name.rpartition(".")[2].replace("_", " "))


def sentence(m: Measurement) -> str:
    """What was found, with its figures; for no power and not assessable the reason."""
    if m.status is Status.NO_POWER:
        return f"This audit could not have found it: {m.reason}."
    if m.status is Status.NOT_ASSESSABLE:
        return f"Not assessable: {m.reason}."
    words = _words(m)
    template = words.detected if m.status is Status.DETECTED else words.not_detected
    return template.format(
        value=figure(m.value, percent=words.percent),
        low=figure(m.ci_low, percent=words.percent),
        high=figure(m.ci_high, percent=words.percent),
        baseline=figure(m.baseline, percent=words.percent),
        reason=m.reason,
    )


def in_percent(m: Measurement) -> bool:
    """Whether this measurement's figures read as shares."""
    return _words(m).percent


def figure(value: float | None, *, percent: bool = False) -> str:
    """A number as people read it: 12.3 % or 0.12; a dash where there is none."""
    if value is None:
        return "-"
    if percent:
        return f"{100 * value:.1f}\N{NO-BREAK SPACE}%"
    text = f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _words(m: Measurement) -> Words:
    if m.name in WORDS:
        return WORDS[m.name]
    for prefix, words in PREFIXES.items():
        if m.name.startswith(prefix):
            return words
    return Words(title=m.name, detected="Detected: {value}.", not_detected="Not detected: {value}, at most {high}.")
