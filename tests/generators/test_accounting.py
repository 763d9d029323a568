import dp_accounting
import numpy as np
import pytest
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant

from generators.accounting import RDP_ORDERS, compose_spends, epsilon_of, noise_multiplier_for, spend_of
from generators.base import BudgetError
from generators.privacy import GaussianEvent, PrivacyBudget

DELTA = 1e-5
GRID = [
    pytest.param(1.0, 0.01, 1000, id="small rate"),
    pytest.param(5.0, 0.2, 300, id="large rate"),
    pytest.param(20.0, 0.2, 300, id="much noise"),
    pytest.param(0.6, 1.0, 1, id="one release"),
    pytest.param(3.0, 1.0, 10, id="full batch"),
]


def event(noise: float, rate: float, steps: int) -> GaussianEvent:
    return GaussianEvent(noise_multiplier=noise, sample_rate=rate, steps=steps)


def reference(noise: float, rate: float, steps: int) -> dp_accounting.DpEvent:
    gaussian = dp_accounting.GaussianDpEvent(noise)
    return dp_accounting.SelfComposedDpEvent(dp_accounting.PoissonSampledDpEvent(rate, gaussian), steps)


@pytest.mark.parametrize(("noise", "rate", "steps"), GRID)
def test_rdp_agrees_with_an_independent_accountant(noise: float, rate: float, steps: int) -> None:
    other = RdpAccountant(list(RDP_ORDERS))
    other.compose(reference(noise, rate, steps))
    assert epsilon_of([event(noise, rate, steps)], DELTA, "rdp") == pytest.approx(other.get_epsilon(DELTA), rel=0.01)


@pytest.mark.parametrize(("noise", "rate", "steps"), GRID)
def test_prv_agrees_with_an_independent_accountant(noise: float, rate: float, steps: int) -> None:
    other = PLDAccountant(value_discretization_interval=1e-3)
    other.compose(reference(noise, rate, steps))
    assert epsilon_of([event(noise, rate, steps)], DELTA, "prv") == pytest.approx(other.get_epsilon(DELTA), rel=0.01)


def test_runs_of_different_kinds_compose() -> None:
    other = PLDAccountant(value_discretization_interval=1e-3)
    parts = [(1.0, 1.0, 1), (2.0, 1.0, 2), (1.0, 0.1, 100)]
    for part in parts:
        other.compose(reference(*part))
    spends = [spend_of([event(*part)], delta=DELTA, accountant="prv", privacy_unit="subject") for part in parts]
    together = compose_spends(spends, delta=DELTA, accountant="prv")
    assert together.spent_epsilon == pytest.approx(other.get_epsilon(DELTA), rel=0.01)
    assert together.spent_epsilon < sum(spend.spent_epsilon for spend in spends)


def test_one_run_by_record_makes_the_whole_by_record() -> None:
    units = ("subject", "record")
    spends = [spend_of([event(1, 1, 1)], delta=DELTA, accountant="prv", privacy_unit=unit) for unit in units]
    assert compose_spends(spends, delta=DELTA, accountant="prv").privacy_unit == "record"


def test_no_events_cost_nothing_and_no_noise_costs_everything() -> None:
    assert epsilon_of([], DELTA, "prv") == 0
    assert epsilon_of([event(0.0, 0.1, 1)], DELTA, "prv") == np.inf


@pytest.mark.parametrize("accountant", ["rdp", "prv"])
@pytest.mark.parametrize(("rate", "steps"), [(1.0, 1), (0.1, 100)])
@pytest.mark.parametrize("target", [0.5, 8.0])
def test_noise_is_the_least_that_keeps_the_budget(accountant: str, rate: float, steps: int, target: float) -> None:
    noise = noise_multiplier_for(
        target_epsilon=target, delta=DELTA, sample_rate=rate, steps=steps, accountant=accountant
    )
    assert epsilon_of([event(noise, rate, steps)], DELTA, accountant) <= target
    assert epsilon_of([event(noise * 0.99, rate, steps)], DELTA, accountant) > target * 0.999


def test_what_was_spent_before_leaves_less() -> None:
    already = [event(1.0, 1.0, 1)]
    noise = noise_multiplier_for(
        target_epsilon=8, delta=DELTA, sample_rate=1, steps=1, accountant="prv", already=already
    )
    assert epsilon_of([*already, event(noise, 1, 1)], DELTA, "prv") <= 8
    with pytest.raises(BudgetError, match="already spent"):
        noise_multiplier_for(target_epsilon=1, delta=DELTA, sample_rate=1, steps=1, accountant="prv", already=already)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"target_epsilon": 0.0}, id="epsilon 0"),
        pytest.param({"target_epsilon": -1.0}, id="epsilon negative"),
        pytest.param({"target_epsilon": float("nan")}, id="epsilon NaN"),
        pytest.param({"target_delta": 1.0}, id="delta 1"),
        pytest.param({"target_delta": 0.0}, id="delta 0"),
        pytest.param({"target_delta": 1e-3}, id="delta too large for n"),
        pytest.param({"public_n_subjects": 0}, id="nobody"),
        pytest.param({"accountant": "moments"}, id="unknown accountant"),
    ],
)
def test_an_invalid_budget_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(BudgetError):
        PrivacyBudget(**({"target_epsilon": 1.0, "public_n_subjects": 500} | fields))
