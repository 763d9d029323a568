"""Attribute inference: copies with their words give members away; images of others and wrong words do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, fisher_exact

from audits.base import AuditInput, Measurement
from audits.metadata.risk import LEVEL
from audits.privacy.attribute_inference import Gain, _gain, _prepare
from audits.registry import list_audits
from generators.data import ImageSet
from tests.audits.arms import noisy_copies, with_few_people, without_columns

TELLING = ("attribute_inference.label", "attribute_inference.age_group")


def run(data: AuditInput) -> dict[str, Measurement]:
    return {m.name: m for m in list_audits()["attribute_inference"].run(data)}


def test_copies_with_their_words_give_members_away(copier: AuditInput) -> None:
    found = run(copier)
    for name in TELLING:
        assert (found[name].status, found[name].law) == ("detected", "inference")
        assert found[name].ci_low > 0.2  # type: ignore[operator]
    # Sex is seen in a phantom's image: little is left to give away, and 120 unseen people cannot show that little.
    assert found["attribute_inference.sex"].status in {"detected", "no_power"}


def test_images_of_other_people_accuse_nobody(leak_free: AuditInput) -> None:
    found = run(leak_free)
    assert all(found[name].status == "not_detected" for name in TELLING)
    assert "detected" not in {m.status.value for m in found.values()}
    assert all(found[name].positive_control > 0.1 for name in TELLING)  # type: ignore[operator]


def test_smooth_images_near_to_everybody_accuse_nobody(blurred: AuditInput) -> None:
    found = run(blurred)
    assert found["attribute_inference.label"].status == "not_detected"
    assert found["attribute_inference.sex"].status == "not_assessable"


def test_copies_with_words_dealt_at_random_give_nothing_away(copier: AuditInput) -> None:
    rng = np.random.default_rng(0)
    words = {name: rng.permutation(getattr(copier.synthetic, name)) for name in ("label", "sex", "age_group")}
    found = run(replace(copier, synthetic=replace(copier.synthetic, **words)))
    assert "detected" not in {m.status.value for m in found.values()}


def test_a_few_copies_among_many_are_detected(leak_free: AuditInput) -> None:
    copies = noisy_copies(leak_free.train.select(np.arange(80)), n=160, seed=1)
    arms = (leak_free.synthetic, copies)
    columns = {name: np.concatenate([getattr(arm, name) for arm in arms]) for name in ("label", "sex", "age_group")}
    mixed = ImageSet(images=np.concatenate([arm.images for arm in arms]), **columns)
    found = run(replace(leak_free, synthetic=mixed))
    assert all(found[name].status == "detected" for name in TELLING)


def test_what_is_missing_is_not_assessable_and_few_people_give_no_power(leak_free: AuditInput) -> None:
    missing = run(without_columns(leak_free, "sex"))
    assert missing["attribute_inference.sex"].status == "not_assessable"
    few = run(with_few_people(leak_free, 40))
    assert {m.status.value for m in few.values()} == {"no_power"}
    assert all(m.value is None for m in few.values())


def test_the_p_value_is_fishers() -> None:
    gain = Gain(n_gained=30, n=240, n_gained_others=6, n_others=120)
    assert gain.p_value == pytest.approx(fisher_exact([[30, 210], [6, 114]], alternative="greater").pvalue)


@pytest.mark.proofs
def test_innocent_sets_are_accused_as_often_as_the_level_says(leak_free: AuditInput) -> None:
    """300 new deals of the same people to train and holdout: accusations at most what level .01 explains."""
    assert leak_free.control is not None
    attacks = _prepare(leak_free, leak_free.holdout, leak_free.control)
    everybody = [*attacks.members, *attacks.others]
    rng = np.random.default_rng(0)
    for name in ("label", "sex", "age_group"):
        accused = 0
        for _ in range(300):
            order = rng.permutation(len(everybody))
            people = [everybody[i] for i in order]
            dealt = replace(attacks, members=people[:240], others=people[240:])
            known = dealt.known[0].joined(dealt.known[1])
            accused += _gain(dealt, name, dealt.released, known).p_value <= LEVEL
        assert accused <= binom.ppf(0.999, 300, LEVEL), name
