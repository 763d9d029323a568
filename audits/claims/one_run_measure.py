"""The audit in one run as measurements: what was guessed, both bounds, and always the methods' ceilings."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from audits.base import AuditError, Law, Measurement, ReleaseMode, Status
from audits.claims.audit import LEVEL, settings_of
from audits.claims.canaries import Trainer
from audits.claims.one_run import DIRAC, Guessed, audit_one_run, mu_of
from audits.claims.one_run_bounds import steinke_p_value
from audits.claims.record import Claim
from generators.data import ImageSet
from generators.training import PHASE as TRAIN
from generators.training import train_network

# Of a mechanism whose noise is off, in deviations of the noise that it should have.
NO_NOISE = 50.0
N_CONTROLS = 20
METHOD = {
    DIRAC: "one training run of a vae; canaries with a weight of their own, guessed from every noisy gradient",
    "patch": "one training run of a vae; blank images with a patch, guessed from the finished network's loss",
}
SOURCE = "Steinke et al. 2023, arXiv:2305.08846; Mahloujifar et al. 2024, arXiv:2410.22235 (Gaussian trade-off curve)"


def one_run_measurements(
    folder: Path, images: ImageSet, *, n_canaries: int, seed: int, trainer: Trainer = train_network
) -> list[Measurement]:
    """Train once on `images` with canaries, by the plan of the folder's log. Raises AuditError where it has none.

    The claim that is tested is that of the private steps alone: releases before them are not run here.
    """
    claim = Claim.of(folder)
    trained = [part for part in claim.parts if part.phase == TRAIN]
    if not trained:
        raise AuditError("its log has no private step", where=str(folder), remedy="leave out --train")
    epsilon = claim.epsilon_at({trained[0]: trained[0].mu})
    found = audit_one_run(
        images,
        trained[0],
        settings_of(claim),
        epsilon=epsilon,
        delta=claim.delta,
        n_canaries=n_canaries,
        alpha=LEVEL,
        seed=seed,
        trainer=trainer,
    )
    return [_measure(kind, guessed, epsilon=epsilon, delta=claim.delta, seed=seed) for kind, guessed in found.items()]


def _measure(kind: str, guessed: Guessed, *, epsilon: float, delta: float, seed: int) -> Measurement:
    report = partial(
        Measurement,
        name=f"dp_claim.one_run_{kind}",
        unit="epsilon, at least",
        method=METHOD[kind],
        source=SOURCE,
        release_mode=ReleaseMode.WEIGHTS,
        law=Law.INFERENCE,
    )
    status, reason = _verdict(guessed, epsilon=epsilon, delta=delta)
    return report(
        status=status,
        reason=reason,
        value=max(guessed.steinke, guessed.gaussian),
        ci_low=max(guessed.steinke, guessed.gaussian),
        p_value=steinke_p_value(guessed.m, guessed.r, guessed.v, epsilon=epsilon, delta=delta),
        n={"canaries": guessed.m},
        baseline=epsilon,
        positive_control=_found(guessed, NO_NOISE, epsilon=epsilon, delta=delta, seed=seed),
        negative_control=_found(guessed, mu_of(epsilon, delta), epsilon=epsilon, delta=delta, seed=seed),
        details={
            "claimed_epsilon": epsilon,
            "delta": delta,
            "ceiling": guessed.gaussian_ceiling,
            "ceiling_of_steinke": guessed.steinke_ceiling,
            "bound_of_steinke": guessed.steinke,
            "n_canaries": guessed.m,
            "n_guessed": guessed.r,
            "n_right": guessed.v,
        },
    )


def _found(guessed: Guessed, mu: float, *, epsilon: float, delta: float, seed: int) -> float:
    """How often a Gaussian mechanism of that mu, every score seen, is found to exceed the claim by so many canaries."""
    rng = np.random.default_rng(seed)
    n_found = 0
    for _ in range(N_CONTROLS):
        there = rng.random(guessed.m) < 0.5
        drawn = Guessed.of(mu * there + rng.standard_normal(guessed.m), there, r=guessed.r, delta=delta, alpha=LEVEL)
        n_found += _verdict(drawn, epsilon=epsilon, delta=delta)[0] is Status.DETECTED
    return n_found / N_CONTROLS


def _verdict(guessed: Guessed, *, epsilon: float, delta: float) -> tuple[Status, str]:
    if guessed.steinke > epsilon or guessed.gaussian_mu > mu_of(epsilon, delta):
        return Status.DETECTED, f"{guessed.v} of {guessed.r} guesses are right: more than the claim allows"
    ceiling = max(guessed.gaussian_ceiling, guessed.steinke_ceiling)
    if ceiling < epsilon:
        return (
            Status.NO_POWER,
            f"the ceiling for {guessed.m} canaries is epsilon {ceiling:.2f}, {epsilon:.2f} is claimed",
        )
    if guessed.gaussian <= 0:
        return Status.NO_POWER, f"the attack is right in {guessed.v} of {guessed.r} guesses, no better than chance"
    return Status.NOT_DETECTED, ""
