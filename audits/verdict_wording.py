"""Verdicts in plain words: what the receiver holds, the risk, and why the verdict is what it is."""

from __future__ import annotations

from collections.abc import Mapping

from audits.base import Law, Measurement, ReleaseMode, Status
from audits.verdicts import Verdict
from audits.wording import figure, in_percent, sentence, title

_MODES = {
    ReleaseMode.SAMPLES: "the images",
    ReleaseMode.QUERY: "a service that draws on demand",
    ReleaseMode.WEIGHTS: "the generator's weights",
}
_LAWS = {
    Law.SINGLING_OUT: "Singling out",
    Law.LINKABILITY: "Linkability",
    Law.INFERENCE: "Inference",
}


def mode_words(mode: ReleaseMode) -> str:
    """What the receiver holds, in plain words."""
    return _MODES[mode]


def law_words(law: Law) -> str:
    """The risk in the law's words."""
    return _LAWS[law]


def verdict_sentence(verdict: Verdict, found: Mapping[str, Measurement]) -> str:
    """Why a verdict is what it is: the sentences of the measurements that it rests on, and how many could not tell."""
    if verdict.status is Status.NO_POWER:
        tried = ", ".join(title(found[name]) for name in verdict.unable)
        return f"Could not have been found; tried: {tried}." if tried else "No audit looked at it."
    guilty = [found[name] for name in verdict.rests_on if found[name].status is Status.DETECTED]
    if verdict.status is Status.NOT_DETECTED and guilty:
        chance = f"{verdict.adjusted_p:.2f}" if verdict.adjusted_p is not None else "none"
        return f"{sentence(guilty[0])} It does not stand among all tests of this report (adjusted p = {chance})."
    unable = f" {len(verdict.unable)} more could not tell." if verdict.unable else ""
    if guilty:
        return " ".join(sentence(m) for m in guilty) + unable
    return "; ".join(_bound(found[name]) for name in verdict.rests_on) + f", each at 95 % confidence.{unable}"


def _bound(m: Measurement) -> str:
    if m.ci_high is None:  # a lower bound alone: of the privacy claim
        return f"{title(m)}: at least {figure(m.ci_low)}, where {figure(m.baseline)} is claimed"
    return f"{title(m)}: not above {figure(m.ci_high, percent=in_percent(m))}"
