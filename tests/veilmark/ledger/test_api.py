"""The ledger through the API: every event in order, and a broken chain shows."""

import pytest
from django.conf import settings

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


def test_events_are_listed_oldest_first_and_the_chain_is_verified(api, people, drafted):
    events = api(people.officer, "get", "ledger/events/").json()["results"]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert "release:drafted" in [event["kind"] for event in events]
    verified = api(people.operator, "get", "ledger/events/verify/").json()
    assert (verified["ok"], verified["problem"]) == (True, None)
    assert verified["n_events"] >= len(events)
    (settings.VEILMARK_VAR / "ledger" / "head.json").unlink()
    broken = api(people.operator, "get", "ledger/events/verify/").json()
    assert not broken["ok"]
    assert "head" in broken["problem"]["what"]
