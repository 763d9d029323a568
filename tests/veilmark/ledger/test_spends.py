"""Privacy spends: reserved before, settled after, never forgotten, each with its event."""

from dataclasses import replace
from uuid import uuid4

import pytest

from generators.privacy import GaussianEvent, PrivacySpend
from veilmark.core.errors import StateError
from veilmark.ledger.models import Event, PrivacySpendRecord
from veilmark.ledger.selectors import cohort_spends
from veilmark.ledger.services import spend_reserve, spend_settle

pytestmark = [pytest.mark.django_db, pytest.mark.database]
PLANNED = PrivacySpend(
    spent_epsilon=4.0,
    delta=1e-5,
    accountant="prv",
    events=(GaussianEvent(noise_multiplier=1.1, sample_rate=0.01, steps=500),),
)
SPENT = replace(PLANNED, spent_epsilon=3.2, events=(replace(PLANNED.events[0], steps=320),))


def kinds() -> list[str]:
    return list(Event.objects.values_list("kind", flat=True))


def test_a_spend_comes_back_as_it_was_given_and_composes_over_runs():
    cohort, run, other_run = uuid4(), uuid4(), uuid4()
    spend_reserve(cohort_id=cohort, run_id=run, planned=PLANNED, acting_user=None)
    assert cohort_spends(cohort) == [PLANNED]
    spend_settle(run_id=run, spent=SPENT, acting_user=None)
    spend_reserve(cohort_id=cohort, run_id=other_run, planned=PLANNED, acting_user=None)
    spend_reserve(cohort_id=uuid4(), run_id=uuid4(), planned=PLANNED, acting_user=None)
    assert cohort_spends(cohort) == [SPENT, PLANNED]
    assert kinds() == ["privacy:reserved", "privacy:settled", "privacy:reserved", "privacy:reserved"]
    assert Event.objects.get(sequence=2).payload["events"][0]["steps"] == 320


def test_a_resumed_run_reserves_and_settles_once():
    ids = {"cohort_id": uuid4(), "run_id": uuid4()}
    for _ in range(2):
        spend_reserve(**ids, planned=PLANNED, acting_user=None)
    for _ in range(2):
        spend_settle(run_id=ids["run_id"], spent=SPENT, acting_user=None)
    assert kinds() == ["privacy:reserved", "privacy:settled"]


@pytest.mark.parametrize(
    "attempt",
    [
        pytest.param(
            lambda ids: spend_reserve(**ids, planned=replace(PLANNED, spent_epsilon=1.0), acting_user=None),
            id="another plan for the same run",
        ),
        pytest.param(
            lambda ids: spend_reserve(cohort_id=uuid4(), run_id=ids["run_id"], planned=PLANNED, acting_user=None),
            id="the same run on another cohort",
        ),
        pytest.param(
            lambda _: spend_settle(run_id=uuid4(), spent=SPENT, acting_user=None), id="settled but never reserved"
        ),
    ],
)
def test_a_spend_cannot_be_swapped(attempt):
    ids = {"cohort_id": uuid4(), "run_id": uuid4()}
    spend_reserve(**ids, planned=PLANNED, acting_user=None)
    with pytest.raises(StateError):
        attempt(ids)
    assert cohort_spends(ids["cohort_id"]) == [PLANNED]


def test_a_settled_spend_cannot_become_smaller():
    ids = {"cohort_id": uuid4(), "run_id": uuid4()}
    spend_reserve(**ids, planned=PLANNED, acting_user=None)
    spend_settle(run_id=ids["run_id"], spent=SPENT, acting_user=None)
    with pytest.raises(StateError):
        spend_settle(run_id=ids["run_id"], spent=replace(SPENT, spent_epsilon=0.1), acting_user=None)
    with pytest.raises(StateError):
        spend_reserve(**ids, planned=PLANNED, acting_user=None)
    assert PrivacySpendRecord.objects.get().epsilon == SPENT.spent_epsilon
