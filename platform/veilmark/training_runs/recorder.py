"""Where a run's privacy spend meets the ledger: reserved before, settled after, refused beyond the cohort's budget."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from generators.accounting import compose_spends
from generators.base import BudgetError
from generators.privacy import PrivacySpend, StepRecord
from veilmark.cohorts.models import Cohort
from veilmark.ledger.selectors import cohort_spends
from veilmark.ledger.services import spend_reserve, spend_settle
from veilmark.training_runs.models import TrainingRun


@dataclass(frozen=True, kw_only=True)
class LedgerRecorder:
    """A generators.base.SpendRecorder. Steps stay in the run folder's synced log; the ledger holds both ends."""

    run: TrainingRun

    def reserve(self, planned: PrivacySpend) -> None:
        with transaction.atomic():
            cohort = Cohort.objects.select_for_update().get(pk=self.run.cohort_id)
            spend_reserve(cohort_id=cohort.pk, run_id=self.run.pk, planned=planned, acting_user=self.run.trainer)
            require_within_budget(cohort)

    def step(self, record: StepRecord) -> None:
        """Nothing: the run folder's log is synced before each step, and a killed run settles from it."""

    def settle(self, spent: PrivacySpend) -> None:
        spend_settle(run_id=self.run.pk, spent=spent, acting_user=self.run.trainer)


def cohort_spend(cohort: Cohort) -> PrivacySpend | None:
    """What all runs on the cohort spent together, or have reserved, per subject; None before the first."""
    spends = cohort_spends(cohort.pk)
    if not spends:
        return None
    try:
        return compose_spends(spends, delta=cohort.delta_budget, accountant="prv")
    except BudgetError:  # prv cannot compute every composition; rdp always can, and is never below the truth
        return compose_spends(spends, delta=cohort.delta_budget, accountant="rdp")


def require_within_budget(cohort: Cohort, *, wished_epsilon: float = 0.0) -> None:
    """Raises BudgetError where what is spent and reserved, and the wish on top, exceed the cohort's budget."""
    spent = cohort_spend(cohort)
    spent_epsilon = spent.spent_epsilon if spent else 0.0
    if spent_epsilon + wished_epsilon > cohort.epsilon_budget * (1 + 1e-9):
        raise BudgetError(
            f"epsilon {spent_epsilon:.2f} of {cohort.epsilon_budget:g} is spent or reserved, {wished_epsilon:g} wished",
            where=f"budget of cohort {cohort.name}",
            remedy=f"ask for at most {max(0.0, cohort.epsilon_budget - spent_epsilon):.2f}",
        )
