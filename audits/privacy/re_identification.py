"""Re-identification: does a synthetic image show a person of the training data, as another visit of theirs would?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from audits.base import AuditInput, Law, Measurement, Status
from audits.checks import same_source, too_few, unseen_arms, white_level
from audits.copies.known import Known
from audits.copies.sheet import shown_pairs
from audits.copies.visits import Likeness, VisitMatcher, by_person, learn_visits, links_p_value
from audits.copy_detector import p_values, threshold
from audits.flags import flag_rows
from audits.pixels import GreyView
from audits.planted import other_visits
from audits.registry import audit
from audits.sampling import at_most
from audits.stats import Doubles, clopper_pearson, excess_rate

ALARM_RATE, STRICT_RATE = 0.01, 0.001
LEVEL = 0.01
N_DRAWS = 999
N_ASSESSED = 1000  # synthetic images, drawn at random where there are more
N_PLANTED = 200
MAX_LEARNED, MAX_UNSEEN = 10_000, 10_000  # images
MIN_PAIRS = 20
# At one false alarm in a hundred this makes a link twenty times likelier for a visit of the person than for a stranger.
# Below it four visits in five are missed, and dividing a bound by so small a share of what is seen says nothing.
MIN_POWER = 0.2

Mask = NDArray[np.bool_]

_linked = partial(
    Measurement,
    name="re_identification.linked_rate",
    law=Law.LINKABILITY,
    unit="share of synthetic images linked to a training person, beyond real unseen people",
    method=(
        "parts of the body compared, each free to move, whitened by people of whom only the auditor knows; alarm rate "
        f"{ALARM_RATE:.0%} set on unseen people and on what the set's own images score against them; accused at level "
        f"{LEVEL:.0%} by dealing people anew; both bounds of the excess over unseen people, the upper divided by the "
        "share of other visits that the matcher links"
    ),
    source="after Packhaeuser et al. 2022, Sci. Rep. 12:14851; Felzenszwalb et al. 2010; permutation by subject",
)


@dataclass(frozen=True, kw_only=True)
class _Scores:
    """synthetic, mirrored: best likeness [Q] of synthetic images with members, with others. unseen: that of each unseen
    person with members. pairs, planted: that of a visit with the same person's other images, unseen people and members.
    """

    synthetic: Doubles
    mirrored: Doubles
    unseen: Doubles
    pairs: Doubles
    planted: Doubles
    n_blocks: int

    @property
    def mirror(self) -> Doubles:
        """[blocks, Q]: once for each block of training people as large as the unseen arm."""
        return np.tile(self.mirrored, (self.n_blocks, 1))

    def cut(self, alarm_rate: float) -> float:
        """The likeness above which an image is linked; infinite where people are too few to set it."""
        return threshold(self.unseen, self.mirror, alarm_rate=alarm_rate)


@audit("re_identification", question="Can synthetic images be linked to other visits of training people?")
def re_identification(data: AuditInput) -> list[Measurement]:
    """The share of synthetic images linked to a training person, and what share of real visits the matcher links."""
    unseen, learning = unseen_arms(data)
    pairs = len(other_visits(unseen.subjects())[0])
    if not pairs:
        reason = "no unseen person has two images: whether visits of one person are linked at all cannot be known"
        return [_linked(status=Status.NOT_ASSESSABLE, reason=reason)]
    reason = too_few(train=data.train, holdout=unseen, control=learning)
    if not reason and unseen.n_subjects + 1 < 1 / ALARM_RATE:
        reason = f"{unseen.n_subjects} people set the alarm, {round(1 / ALARM_RATE) - 1} are needed"
    if not reason and pairs < MIN_PAIRS:
        reason = f"{pairs} unseen people have two images, {MIN_PAIRS} are needed to know what the matcher links"
    if reason:
        return [_linked(status=Status.NO_POWER, reason=reason)]
    if mismatch := same_source(data):
        return [_linked(status=Status.NOT_ASSESSABLE, reason=mismatch)]
    white = white_level(data)
    shown = at_most(learning, MAX_LEARNED, seed=data.seed)
    matcher = learn_visits(GreyView(sets=(shown,), white=white), shown.subjects())
    people = Known.of(data.train, at_most(unseen, MAX_UNSEEN, seed=data.seed), white=white)
    assessed = np.sort(np.random.default_rng(data.seed).permutation(len(data.synthetic))[:N_ASSESSED])
    synthetic = GreyView(sets=(data.synthetic.select(assessed),), white=white)
    return [_measure(matcher, people, synthetic, assessed, n_learning=learning.n_subjects, seed=data.seed)]


def _measure(
    matcher: VisitMatcher,
    people: Known,
    synthetic: GreyView,
    assessed: NDArray[np.intp],
    *,
    n_learning: int,
    seed: int,
) -> Measurement:
    found, scores = _matched(matcher, people, synthetic, seed=seed)
    p_value = _leak(matcher, people, found, seed=seed)
    cut, n = scores.cut(ALARM_RATE), len(synthetic)
    n_linked, n_innocent = int((scores.synthetic > cut).sum()), int((scores.unseen > cut).sum())
    value, low, high = excess_rate(n_linked, n, n_innocent, len(scores.unseen))
    power = float((scores.pairs > cut).mean())
    status, reason = _verdict(p_value, power, f"{n_linked} of {n} images linked")
    return _linked(
        status=status,
        reason=reason,
        p_value=p_value,
        value=max(0.0, value),
        ci_low=max(0.0, low),
        ci_high=min(1.0, max(0.0, high) / max(power, MIN_POWER)),  # visits that the matcher misses
        n={
            "synthetic_images": n,
            "train": people.n_members,
            "holdout": len(scores.unseen),
            "holdout_with_two_images": len(scores.pairs),
            "control": n_learning,
        },
        baseline=n_innocent / len(scores.unseen),
        positive_control=float((scores.planted > cut).mean()) if len(scores.planted) else None,
        negative_control=float((scores.mirrored > cut).mean()),
        details={
            "p_value": p_value,
            "linked_rate": n_linked / n,
            "at_1pct": _at(scores, ALARM_RATE),
            "at_0.1pct": _at(scores, STRICT_RATE),
        },
        internal=_internal(people, found, scores, cut, synthetic, assessed),
    )


def _matched(matcher: VisitMatcher, people: Known, synthetic: GreyView, *, seed: int) -> tuple[Likeness, _Scores]:
    members = people.members
    unseen = np.flatnonzero(~members)
    planted = _with_others(people, members, most=N_PLANTED, seed=seed)
    asked = (synthetic, people.strangers, people.grey[planted])
    found, real, visits = (matcher.match(queries, people.grey) for queries in asked)
    pairs = np.searchsorted(unseen, _with_others(people, ~members, most=len(unseen), seed=seed))
    return found, _Scores(
        synthetic=found.best(members[found.candidates]),
        mirrored=found.best(~members[found.candidates]),
        unseen=by_person(real.best(members[real.candidates]), people.subjects[unseen]),
        pairs=_own(people, real, unseen)[pairs],
        planted=_own(people, visits, planted),
        n_blocks=people.n_blocks,
    )


def _with_others(people: Known, chosen: Mask, *, most: int, seed: int) -> NDArray[np.intp]:
    """One image of each of these people who has others as well; at most so many people."""
    rows = np.flatnonzero(chosen)
    second = rows[other_visits(people.subjects[rows])[1]]
    return np.random.default_rng(seed).permutation(second)[:most]


def _own(people: Known, found: Likeness, rows: NDArray[np.intp]) -> Doubles:
    """Best likeness of each of these real images with the other images of the same person."""
    same = people.subjects[found.candidates] == people.subjects[rows, None]
    return found.best(same & (found.candidates != rows[:, None]))


def _leak(matcher: VisitMatcher, people: Known, found: Likeness, *, seed: int) -> float:
    """The test of the whole set: training people against unseen ones."""
    members, person = people.people()
    return links_p_value(found, person, members, ordinary=matcher.ordinary, n_draws=N_DRAWS, seed=seed)


def _verdict(p_value: float, power: float, linked: str) -> tuple[Status, str]:
    known = f"the matcher links {power:.0%} of the real pairs of visits of unseen people"
    if p_value <= LEVEL:
        return Status.DETECTED, f"{linked}, more than chance gives (p = {p_value:.3f}); {known}"
    if power < MIN_POWER:
        return Status.NO_POWER, f"{known} at {ALARM_RATE:.0%} false alarms, {MIN_POWER:.0%} are needed"
    return Status.NOT_DETECTED, f"{linked}, as chance gives (p = {p_value:.2f}); {known}"


def _at(scores: _Scores, alarm_rate: float) -> Mapping[str, object]:
    """What is linked at this rate of false alarms, of synthetic images and of real visits, with exact intervals."""
    needed = round(1 / alarm_rate) - 1
    if len(scores.unseen) < needed:
        return {"linked_rate": None, "why": f"needs {needed} people in holdout, there are {len(scores.unseen)}"}
    cut = scores.cut(alarm_rate)
    linked, pairs = scores.synthetic > cut, scores.pairs > cut
    value, low, high = excess_rate(int(linked.sum()), len(linked), int((scores.unseen > cut).sum()), len(scores.unseen))
    power_low, power_high = clopper_pearson(int(pairs.sum()), len(pairs))
    return {
        "linked_rate": float(linked.mean()),
        "beyond_unseen": value,
        "ci_low": low,
        "ci_high": high,
        "power": float(pairs.mean()),
        "power_ci_low": power_low,
        "power_ci_high": power_high,
    }


def _internal(
    people: Known, found: Likeness, scores: _Scores, cut: float, synthetic: GreyView, assessed: NDArray[np.intp]
) -> dict[str, object]:
    """Linked images with the person's most alike image, and a sheet of the likeliest pairs."""
    linked = scores.synthetic > cut
    column = np.where(people.members[found.candidates], found.score, -1).argmax(axis=1)
    nearest = np.take_along_axis(found.candidates, column[:, None], axis=1)[:, 0]
    image_p = p_values(scores.synthetic, scores.unseen, scores.mirror)
    flags = flag_rows(linked, np.zeros(len(linked), dtype=bool), image_p, ["parts"] * len(linked))
    return {
        "flags": [{**flag, "index": int(assessed[i])} for flag, i in zip(flags, np.flatnonzero(linked), strict=True)],
        **shown_pairs(linked, nearest, scores.synthetic, synthetic, people.grey, names=assessed),
        "threshold": cut,
    }
