"""Facts: what is refused, and what a missing value means."""

from __future__ import annotations

import pytest

from policies.base import PolicyError
from policies.fact_table import FACTS
from policies.facts import Facts

BAD = {
    "unknown name": {"epsilon": 1.0},
    "unknown name without value": {"epsilon": None},
    "text for number": {"spent_epsilon": "1.0"},
    "flag for number": {"spent_epsilon": True},
    "flag for count": {"n_endorsers": True},
    "fraction for count": {"n_endorsers": 2.0},
    "number for flag": {"contract_passed": 1},
    "NaN": {"spent_epsilon": float("nan")},
    "infinity": {"spent_epsilon": float("inf")},
    "negative epsilon": {"spent_epsilon": -1.0},
    "rate above one": {"delta": 1.5},
    "negative count": {"n_endorsers": -2},
    "status of another word": {"copies_status": "PASS"},
    "unit of another word": {"privacy_unit": "image"},
    "list of numbers": {"purposes": [1]},
    "text for list": {"purposes": "research"},
    "list for text": {"licence": ["CC0"]},
    "table for text": {"licence": {"name": "CC0"}},
}


@pytest.mark.parametrize("values", BAD.values(), ids=BAD.keys())
def test_refused(values: dict[str, object]) -> None:
    with pytest.raises(PolicyError, match=next(iter(values))):
        Facts(values)


def test_none_is_missing() -> None:
    facts = Facts({"spent_epsilon": None, "n_endorsers": 2})
    assert dict(facts) == {"n_endorsers": 2}
    assert facts.digest == Facts({"n_endorsers": 2}).digest


def test_digest_follows_values_not_order_or_number_form() -> None:
    one = Facts({"spent_epsilon": 8, "n_endorsers": 2})
    assert one.digest == Facts({"n_endorsers": 2, "spent_epsilon": 8.0}).digest
    assert one.digest != Facts({"n_endorsers": 3, "spent_epsilon": 8.0}).digest


def test_every_declared_fact_says_what_it_is(good_facts: dict[str, object]) -> None:
    assert good_facts.keys() <= FACTS.keys()
    assert all(spec.description and spec.source for spec in FACTS.values())
