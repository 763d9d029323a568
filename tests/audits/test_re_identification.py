"""Other visits of training people: linked, where the matcher can; where it cannot, it says so with its figure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from audits.base import AuditInput, Law, Measurement, ReleaseMode
from audits.copies.visits import Likeness, VisitMatcher, learn_visits, links_p_value
from audits.pixels import Floats, to_grey
from audits.planted import other_visits
from audits.privacy import re_identification as audit_module
from audits.registry import run_audits
from audits.stats import clopper_pearson, rows_by_subject
from generators.data import ImageSet
from generators.phantoms import draw_phantoms
from tests.audits.arms import statuses, with_few_people, without_columns

SIZES = (120, 105, 60, 60)


@pytest.fixture(scope="module")
def visits() -> AuditInput:
    """Phantom people with one to three visits each; the synthetic images show people of nobody's cohort."""
    images = draw_phantoms(n_subjects=sum(SIZES), size=32, seed=11).images
    rows = rows_by_subject(images.subjects())
    parts = np.split(np.arange(len(rows)), np.cumsum(SIZES)[:-1])
    train, holdout, control, others = (images.select(np.concatenate([rows[i] for i in part])) for part in parts)
    return AuditInput(train=train, holdout=holdout, control=control, synthetic=replace(others, subject=None))


@pytest.fixture(autouse=True)
def few_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "N_PLANTED", 20)


def _measured(data: AuditInput) -> Measurement:
    return run_audits(data, only=["re_identification"]).measurements[-1]


def _giving_away(data: AuditInput, n: int) -> AuditInput:
    """A generator that gives the second visit of `n` members, lightly changed; it is in no arm."""
    _, second = other_visits(data.train.subjects())
    held_back = np.zeros(len(data.train), dtype=bool)
    held_back[second] = True
    images = data.synthetic.images.copy()
    noise = np.random.default_rng(1).normal(0, 5, (n, *images.shape[1:]))
    images[:n] = np.clip(data.train.images[second[:n]] + noise, 0, 255)
    return replace(data, train=data.train.select(~held_back), synthetic=ImageSet(images=images))


def test_other_visits_of_members_are_linked_and_shown_inside(visits: AuditInput) -> None:
    data = _giving_away(visits, 50)
    found = _measured(data)
    assert (found.status, found.law, found.release_mode) == ("detected", Law.LINKABILITY, ReleaseMode.SAMPLES)
    assert found.p_value == pytest.approx(0.001)
    assert found.ci_low > 0.1  # type: ignore[operator]
    flagged = {row["index"] for row in found.internal["flags"]}  # type: ignore[attr-defined]
    assert len(flagged & set(range(50))) >= 25
    assert len(flagged - set(range(50))) <= 2
    assert found.internal["nearest_train_index"].keys() == flagged  # type: ignore[attr-defined]
    assert found.internal["sheet"]


def test_people_of_no_cohort_are_not_linked(visits: AuditInput) -> None:
    found = _measured(visits)
    assert found.status == "not_detected"
    assert found.p_value > audit_module.LEVEL  # type: ignore[operator]
    assert found.value <= 0.02  # type: ignore[operator]
    assert found.positive_control >= 0.6  # type: ignore[operator]
    strict, usual = found.details["at_0.1pct"], found.details["at_1pct"]
    assert "needs 999 people" in strict["why"]  # type: ignore[index]
    assert usual["power_ci_low"] > audit_module.MIN_POWER  # type: ignore[index]


def test_a_matcher_that_fails_on_real_pairs_has_no_power_and_says_how_little(visits: AuditInput) -> None:
    """The unseen people's further visits are told to be those of other people: such pairs have nothing in common."""
    first, (_, second) = _first_visits(visits.holdout), other_visits(visits.holdout.subjects())
    holdout = visits.holdout.select(np.r_[first, second])
    subjects = holdout.subjects().copy()
    subjects[len(first) :] = np.roll(subjects[len(first) :], 1)
    found = _measured(replace(visits, holdout=replace(holdout, subject=subjects)))
    assert found.status == "no_power"
    assert "at 1% false alarms, 20% are needed" in found.reason
    assert found.details["at_1pct"]["power"] < audit_module.MIN_POWER  # type: ignore[index]


@pytest.mark.parametrize("change", ["one visit each", "no subjects"])
def test_people_with_one_image_are_not_assessable(visits: AuditInput, change: str) -> None:
    data = without_columns(visits, "subject")
    if change == "one visit each":
        data = replace(visits, holdout=visits.holdout.select(_first_visits(visits.holdout)))
    found = _measured(data)
    assert (found.status, found.value) == ("not_assessable", None)
    assert "two images" in found.reason


def test_too_few_people_have_no_power(visits: AuditInput) -> None:
    assert statuses(with_few_people(visits, 60), "re_identification") == {"re_identification.linked_rate": "no_power"}
    first = _first_visits(visits.holdout)
    _, second = other_visits(visits.holdout.subjects())
    few = replace(visits, holdout=visits.holdout.select(np.union1d(first, second[:5])))
    found = _measured(few)
    assert (found.status, found.value) == ("no_power", None)
    assert "5 unseen people have two images, 20 are needed" in found.reason


def test_a_person_is_no_stranger_and_an_image_no_other_visit_of_its_own() -> None:
    found = Likeness(candidates=np.array([[0, 1, 2]]), score=np.array([[0.9, 0.4, 0.2]], dtype=np.float32))
    assert found.best(np.array([[False, True, True]])).tolist() == pytest.approx([0.4])
    assert found.best(np.zeros((1, 3), dtype=bool)).tolist() == [0]


@pytest.mark.parametrize(("alike", "expected"), [("members", "small"), ("everybody", "large"), ("nobody", "one")])
def test_only_likeness_with_members_speaks_for_a_leak(alike: str, expected: str) -> None:
    members = np.arange(40) < 20
    score = {"members": members, "everybody": np.ones(40), "nobody": np.zeros(40)}[alike].astype(np.float32)
    found = Likeness(candidates=np.arange(40)[:, None], score=score[:, None])
    p_value = links_p_value(found, np.arange(40), members, ordinary=0.5, n_draws=199, seed=0)
    assert {"small": p_value <= 0.01, "large": p_value > 0.3, "one": p_value == 1}[expected]


@pytest.fixture(scope="module")
def matcher(visits: AuditInput) -> VisitMatcher:
    assert visits.control is not None
    return learn_visits(_grey(visits.control), visits.control.subjects())


def test_innocence_does_not_depend_on_the_split(visits: AuditInput, matcher: VisitMatcher) -> None:
    """The part for every run: who was trained on is dealt anew twenty times, on likeness computed once."""
    accused, n = _accused(visits, matcher, n_splits=20)
    assert clopper_pearson(accused, n, confidence=0.99)[0] <= audit_module.LEVEL


@pytest.mark.proofs
@pytest.mark.parametrize("seed", range(4))
def test_innocence_does_not_depend_on_the_split_over_400_splits(seed: int) -> None:
    images = draw_phantoms(n_subjects=sum(SIZES), size=32, seed=20 + seed).images
    rows = rows_by_subject(images.subjects())
    parts = np.split(np.arange(len(rows)), np.cumsum(SIZES)[:-1])
    arms = [images.select(np.concatenate([rows[i] for i in part])) for part in parts]
    data = AuditInput(train=arms[0], holdout=arms[1], control=arms[2], synthetic=arms[3])
    accused, n = _accused(data, learn_visits(_grey(arms[2]), arms[2].subjects()), n_splits=400)
    assert clopper_pearson(accused, n, confidence=0.99)[0] <= audit_module.LEVEL


def _accused(data: AuditInput, matcher: VisitMatcher, *, n_splits: int) -> tuple[int, int]:
    """How often an innocent set is accused, over deals of who was trained on."""
    known = np.concatenate([_grey(data.train), _grey(data.holdout)])
    names, person = np.unique(np.concatenate([data.train.subjects(), data.holdout.subjects()]), return_inverse=True)
    found = matcher.match(_grey(data.synthetic), known)
    rng = np.random.default_rng(0)
    p_values = [
        links_p_value(
            found,
            person,
            rng.permutation(len(names)) < data.train.n_subjects,
            ordinary=matcher.ordinary,
            n_draws=199,
            seed=i,
        )
        for i in range(n_splits)
    ]
    return sum(p <= audit_module.LEVEL for p in p_values), n_splits


def _grey(images: ImageSet) -> Floats:
    return to_grey(images, white=255)


def _first_visits(images: ImageSet) -> NDArray[np.intp]:
    return np.array([rows[0] for rows in rows_by_subject(images.subjects())])
