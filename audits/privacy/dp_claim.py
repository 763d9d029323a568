"""The claim of differential privacy: does the code that made the generator hide one person as its card says?"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from audits.base import AuditError, AuditInput, Law, Measurement, ReleaseMode, Status
from audits.registry import audit
from audits.stats import clopper_pearson
from generators.base import GeneratorError

if TYPE_CHECKING:
    from audits.claims.audit import ClaimAudit
    from audits.claims.bounds import MuBound

LEVEL = 0.05
LEAST_RECALL = 0.8
METHOD = "canaries of known gradient through the trainer's own private step; threshold fixed beforehand"
SOURCE = "Nasr et al. 2023, arXiv:2302.07956; Dong, Roth and Su 2022; limits of Clopper and Pearson 1934"


@audit("dp_claim", question="Does the code behind the generator keep what its privacy card claims?")
def dp_claim(data: AuditInput) -> list[Measurement]:
    """Bound on epsilon, clipping, sampler and record of `data.generator`; without one, nothing to audit."""
    if data.generator is None:
        return [_report("empirical_epsilon_lower_bound")(status=Status.NOT_ASSESSABLE, reason="no generator was given")]
    return claim_measurements(data.generator, seed=data.seed)


def claim_measurements(folder: Path, *, seed: int, n_canaries: int | None = None) -> list[Measurement]:
    """The audit of a generator's folder alone; a folder that cannot be audited is not assessable, with the reason."""
    from audits.claims.audit import audit_claim  # noqa: PLC0415 - listing audits needs no torch
    from audits.claims.steps import N_CANARIES  # noqa: PLC0415 - as above

    try:
        found = audit_claim(folder, n_canaries=n_canaries or N_CANARIES, seed=seed)
    except (AuditError, GeneratorError) as error:
        return [_report("empirical_epsilon_lower_bound")(status=Status.NOT_ASSESSABLE, reason=str(error))]
    return [_epsilon(found), _clipping(found), _sampler(found), _record(found)]


def _report(
    name: str, *, unit: str = "epsilon, at least", method: str = "", source: str = SOURCE
) -> partial[Measurement]:
    return partial(
        Measurement,
        name=f"dp_claim.{name}",
        unit=unit,
        method=method
        or "canaries of known gradient through the trainer's own private step; threshold fixed beforehand",
        source=source,
        release_mode=ReleaseMode.WEIGHTS,
        law=Law.INFERENCE,
    )


def _epsilon(found: ClaimAudit) -> Measurement:
    status, reason = _verdict(found)
    steps = found.steps
    n_canaries = steps.n_canaries if steps else 1
    return _report("empirical_epsilon_lower_bound")(
        status=status,
        reason=reason,
        value=found.epsilon,
        ci_low=found.epsilon,
        p_value=found.p_value,
        n={"canaries": n_canaries} if steps else {"runs": min(b.tally.n_inside for b in found.bounds.values())},
        baseline=found.claim.epsilon,
        positive_control=min(bound.found for bound in found.bounds.values()),
        negative_control=max(bound.accused for bound in found.bounds.values()),
        details={
            "claimed_epsilon": found.claim.epsilon,
            "delta": found.claim.delta,
            "accountant": found.claim.card.spend.accountant,
            "ceiling": found.ceiling,
            "n_canaries": n_canaries,
            "parts": {name: _shown(bound) for name, bound in found.bounds.items()},
            "not_audited": ", ".join(found.unaudited),
            "mean_part_of_a_canary": dict(steps.parts) if steps else {},
        },
    )


def _shown(bound: MuBound) -> dict[str, object]:
    return {
        "mu_at_least": bound.mu,
        "claimed_mu": bound.claimed_mu,
        "ceiling": bound.ceiling,
        "n_with": bound.tally.n_inside,
        "n_without": bound.tally.n_outside,
    }


def _verdict(found: ClaimAudit) -> tuple[Status, str]:
    """A part that exceeds its claim is enough; else every part must have been able to."""
    for name, bound in found.bounds.items():
        if bound.exceeds:
            share = bound.claimed_mu / bound.mu
            return Status.DETECTED, f"{name}: one person is hidden by at most {100 * share:.0f} % of the claimed noise"
    if found.steps and not found.steps.arrived:
        return Status.NO_POWER, "the canaries' gradients did not arrive in the private step"
    if found.ceiling < found.claim.epsilon:
        return Status.NO_POWER, (
            f"the method's ceiling, {found.ceiling:.2f}, is below the claimed epsilon {found.claim.epsilon:.2f}"
        )
    blind = [name for name, bound in found.bounds.items() if bound.found < LEAST_RECALL]
    if blind:
        return Status.NO_POWER, f"noise a fifth short would have been missed in: {', '.join(blind)}"
    return Status.NOT_DETECTED, ""


def _clipping(found: ClaimAudit) -> Measurement:
    report = _report(
        "clipping",
        unit="clipping norms by which one person moves a step, at least",
        method="one loud canary against a crowd of opposite gradients, at a sample rate of one half",
    )
    bound = found.clipping
    if bound is None:
        return report(status=Status.NOT_ASSESSABLE, reason="the generator has no private step")
    able = bound.found >= LEAST_RECALL
    reason = "" if able else "a clipped sum would have been missed: too much noise for so few steps"
    return report(
        status=Status.DETECTED if bound.exceeds else Status.NOT_DETECTED if able else Status.NO_POWER,
        reason="one person moves a step by more than the clipping norm" if bound.exceeds else reason,
        value=bound.mu / bound.claimed_mu,
        ci_low=bound.mu / bound.claimed_mu,
        p_value=bound.p_value,
        n={"steps": bound.tally.n_inside + bound.tally.n_outside},
        baseline=1.0,
        positive_control=bound.found,
        negative_control=bound.accused,
        details={"n_with": bound.tally.n_inside, "n_without": bound.tally.n_outside},
    )


def _sampler(found: ClaimAudit) -> Measurement:
    report = _report(
        "sampler",
        unit="share of subjects drawn a step",
        method="inclusion, spread of batch sizes and of each subject's draws against Poisson sampling (Bonferroni)",
        source="exact binomial test; Monte Carlo tests of Barnard 1963",
    )
    if found.steps is None:
        return report(status=Status.NOT_ASSESSABLE, reason="the generator samples nobody: it has no private step")
    test, rate = found.steps.sampler, found.parts["train"][0].sample_rate
    n = test.n_subjects * test.n_steps
    low, high = clopper_pearson(test.n_drawn, n)
    guilty, able = test.p_value <= LEVEL, test.found >= LEAST_RECALL
    reason = "" if able else "a rate a quarter above the claim would have been missed"
    return report(
        status=Status.DETECTED if guilty else Status.NOT_DETECTED if able else Status.NO_POWER,
        reason=f"not Poisson sampling at rate {rate:.4g}: {test.worst}" if guilty else reason,
        value=test.n_drawn / n,
        ci_low=low,
        ci_high=high,
        p_value=test.p_value,
        n={"canaries": test.n_subjects},
        baseline=rate,
        positive_control=test.found,
        details={
            "p_inclusion": test.inclusion,
            "p_batch_spread": test.batch_spread,
            "p_subject_spread": test.subject_spread,
            "n_steps": test.n_steps,
        },
    )


def _record(found: ClaimAudit) -> Measurement:
    """No test: either the card's epsilon covers what its log says, or it does not."""
    claim = found.claim
    short = claim.logged_epsilon > claim.epsilon * 1.001
    return _report(
        "record",
        unit="epsilon of the logged steps",
        method="steps.log recounted by the card's accountant",
        source="generators.accounting",
    )(
        status=Status.DETECTED if short else Status.NOT_DETECTED,
        reason="the log holds more than the card claims" if short else "",
        value=claim.logged_epsilon,
        ci_low=claim.logged_epsilon,
        ci_high=claim.logged_epsilon,
        p_value=0.0 if short else 1.0,
        baseline=claim.epsilon,
        details={"steps": {part.phase: part.steps for part in claim.parts}},
    )
