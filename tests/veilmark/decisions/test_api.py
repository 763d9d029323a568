"""Decisions through the API: rule by rule."""

import pytest

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def test_a_decision_is_shown_rule_by_rule(api, people, in_review):
    (decision,) = api(people.officer, "get", "decisions/").json()["results"]
    assert (decision["outcome"], decision["phase"], decision["profile"]) == ("PASS", "endorsement", "internal")
    assert {"outcome", "reason", "citation"} <= decision["body"]["results"][0].keys()
