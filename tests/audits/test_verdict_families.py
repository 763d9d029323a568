"""Verdicts over a family of tests: chance findings are let go, real ones stand, silence is no pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from audits.base import Law, Measurement, ReleaseMode, Status
from audits.verdict_wording import verdict_sentence
from audits.verdicts import Verdict, decide


def measured(
    name: str,
    status: Status,
    *,
    p_value: float | None = None,
    law: Law | None = Law.INFERENCE,
    mode: ReleaseMode = ReleaseMode.SAMPLES,
) -> Measurement:
    return Measurement(
        name=name, status=status, unit="", method="", source="", law=law, p_value=p_value, release_mode=mode
    )


def verdict(measurements: list[Measurement], law: Law, mode: ReleaseMode = ReleaseMode.SAMPLES) -> Verdict:
    return next(v for v in decide(measurements) if v.law is law and v.release_mode is mode)


def test_a_finding_that_chance_gives_to_one_of_many_does_not_stand_alone() -> None:
    tests = [measured(f"t{k}", Status.NOT_DETECTED, p_value=0.4) for k in range(5)]
    found = verdict([*tests, measured("t", Status.DETECTED, p_value=0.02)], Law.INFERENCE)
    assert found.status is Status.NOT_DETECTED
    assert found.adjusted_p == pytest.approx(0.12)


def test_a_finding_far_beyond_chance_stands_and_names_what_it_rests_on() -> None:
    tests = [measured(f"t{k}", Status.NOT_DETECTED, p_value=0.4) for k in range(5)]
    found = verdict([*tests, measured("t", Status.DETECTED, p_value=0.002)], Law.INFERENCE)
    assert found.status is Status.DETECTED
    assert "t" in found.rests_on


def test_equal_pixels_need_no_test() -> None:
    found = verdict([measured("copies", Status.DETECTED, law=Law.SINGLING_OUT)], Law.SINGLING_OUT)
    assert found.status is Status.DETECTED
    assert found.adjusted_p is None


@pytest.mark.parametrize("status", [Status.NO_POWER, Status.NOT_ASSESSABLE])
def test_a_risk_that_no_audit_could_see_has_no_power(status: Status) -> None:
    found = verdict([measured("blind", status)], Law.INFERENCE)
    assert found.status is Status.NO_POWER
    assert found.unable == ("blind",)


def test_every_risk_of_released_images_has_a_verdict_even_without_any_audit() -> None:
    assert {(v.law, v.status) for v in decide([])} == {(law, Status.NO_POWER) for law in Law}


def test_a_finding_under_one_release_mode_leaves_the_others_alone() -> None:
    tests = [
        measured("images", Status.NOT_DETECTED, p_value=0.6),
        measured("weights", Status.DETECTED, p_value=1e-6, mode=ReleaseMode.WEIGHTS),
    ]
    assert verdict(tests, Law.INFERENCE).status is Status.NOT_DETECTED
    assert verdict(tests, Law.INFERENCE, ReleaseMode.WEIGHTS).status is Status.DETECTED


def test_figures_of_worth_accuse_nobody() -> None:
    found = decide([measured("coverage", Status.DETECTED, law=None)])
    assert all(v.status is Status.NO_POWER for v in found)


def test_an_innocent_family_is_accused_no_more_often_than_the_level_says() -> None:
    rng = np.random.default_rng(0)
    accused = 0
    for _ in range(1000):
        p_values = rng.random(8)
        family = [
            measured(f"t{k}", Status.DETECTED if p <= 0.05 else Status.NOT_DETECTED, p_value=float(p))
            for k, p in enumerate(p_values)
        ]
        accused += verdict(family, Law.INFERENCE).status is Status.DETECTED
    assert accused <= 70  # at most 5 % are expected; 71 of 1,000 would be three standard deviations above


def test_the_words_name_what_did_not_stand_and_what_could_not_tell() -> None:
    tests = [measured(f"t{k}", Status.NOT_DETECTED, p_value=0.4) for k in range(5)]
    alone = [*tests, measured("t", Status.DETECTED, p_value=0.02), measured("blind", Status.NO_POWER)]
    found = {m.name: m for m in alone}
    said = verdict_sentence(verdict(alone, Law.INFERENCE), found)
    assert "does not stand among all tests" in said
    assert "0.12" in said
    assert verdict_sentence(verdict(alone, Law.LINKABILITY), found) == "No audit looked at it."


def test_a_lower_bound_alone_is_said_beside_what_was_claimed() -> None:
    claim = measured("dp_claim.empirical_epsilon_lower_bound", Status.NOT_DETECTED, p_value=1.0)
    claim = replace(claim, value=7.28, ci_low=7.28, baseline=8.0)
    said = verdict_sentence(verdict([claim], Law.INFERENCE), {claim.name: claim})
    assert "at least 7.28, where 8.00 is claimed" in said
    assert "not above" not in said
