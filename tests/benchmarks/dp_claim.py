"""What the audit of the DP claim finds: `python tests/benchmarks/dp_claim.py`.

For each number of canaries: the epsilon that the trainer's own private loop has at least spent (median, least and most
over seeds) beside what it claims and beside the method's ceiling; then what one training run with canaries among people
shows. Then every fault, and how often each test finds it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from audits.claims.one_run import audit_one_run  # noqa: E402 (the clone's own)
from audits.claims.record import Part  # noqa: E402 (the clone's own)
from audits.claims.steps import StepAudit, audit_clipping, audit_steps  # noqa: E402
from generators.accounting import epsilon_of  # noqa: E402
from generators.phantoms import draw_phantoms  # noqa: E402
from generators.privacy import GaussianEvent  # noqa: E402
from generators.training import PrivateSettings  # noqa: E402
from tests.audits.broken_trainers import FAULTS  # noqa: E402

LEVEL, DELTA = 0.05, 1e-5
# The pilot's two mechanisms: rate, steps, noise multiplier.
CLAIMS = {"q .02, T 1000": (0.02, 1000, 0.73), "q .1, T 100": (0.1, 100, 0.94)}
SETTINGS = PrivateSettings()


def epsilon(part: Part, mu: float) -> float:
    if mu <= 0:
        return 0.0
    event = GaussianEvent(noise_multiplier=max(1 / mu, 0.4), sample_rate=part.sample_rate, steps=part.steps)
    return epsilon_of((event,), DELTA, "prv")


def bounds(part: Part, n_canaries: int, n_seeds: int) -> list[StepAudit]:
    return [audit_steps(part, SETTINGS, n_canaries=n_canaries, alpha=LEVEL, seed=seed) for seed in range(n_seeds)]


def print_bounds(part: Part, name: str, n_canaries: int, n_seeds: int) -> None:
    start = time.process_time()
    found = bounds(part, n_canaries, n_seeds)
    seconds = (time.process_time() - start) / n_seeds
    mus = [audit.bound.mu for audit in found]
    median, least, most = (epsilon(part, mu) for mu in (statistics.median(mus), min(mus), max(mus)))
    accused = sum(audit.bound.exceeds for audit in found)
    row = (
        f"{name:14s} claimed {epsilon(part, part.mu):.2f}  canaries {n_canaries:5d}  seeds {n_seeds}  "
        f"bound {median:.2f} ({least:.2f} to {most:.2f})  ceiling in mu {found[0].bound.ceiling:.2f} of {part.mu:.2f}  "
        f"accused {accused}  {seconds:.1f} CPU s each"
    )
    print(row, flush=True)  # noqa: T201


def print_fault(part: Part, fault: str, n_canaries: int, n_seeds: int) -> None:
    n_bound = n_sampler = n_clipping = n_any = 0
    for seed in range(n_seeds):
        steps = audit_steps(part, SETTINGS, n_canaries=n_canaries, alpha=LEVEL, seed=seed, trainer=FAULTS[fault])
        clipping = audit_clipping(part, SETTINGS, alpha=LEVEL, seed=seed, trainer=FAULTS[fault])
        guilty = steps.bound.exceeds, steps.sampler.p_value <= LEVEL, clipping.exceeds
        n_bound, n_sampler, n_clipping = n_bound + guilty[0], n_sampler + guilty[1], n_clipping + guilty[2]
        n_any += any(guilty)
    row = (
        f"{fault:16s} canaries {n_canaries:5d}  found in {n_any} of {n_seeds}: bound {n_bound}, sampler {n_sampler}, "
        f"clipping {n_clipping}"
    )
    print(row, flush=True)  # noqa: T201


def print_one_run(part: Part, name: str, n_canaries: int, seed: int) -> None:
    people = draw_phantoms(n_subjects=200, size=16, seed=3, max_images=2).images
    claimed = epsilon(part, part.mu)
    start = time.process_time()
    found = audit_one_run(
        people, part, SETTINGS, epsilon=claimed, delta=DELTA, n_canaries=n_canaries, alpha=LEVEL, seed=seed
    )
    for kind, guessed in found.items():
        row = (
            f"{name:14s} claimed {claimed:.2f}  one run, {kind:5s} canaries {guessed.m}: "
            f"{guessed.v} of {guessed.r} right, "
            f"Steinke {guessed.steinke:.2f} (ceiling {guessed.steinke_ceiling:.2f}), "
            f"f-DP {guessed.gaussian:.2f} (ceiling {guessed.gaussian_ceiling:.2f})"
        )
        print(row, flush=True)  # noqa: T201
    print(f"{time.process_time() - start:.0f} CPU s", flush=True)  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--canaries", type=int, nargs="+", default=[50, 200, 1000])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--fault-seeds", type=int, default=10)
    parser.add_argument("--claim", choices=list(CLAIMS), nargs="+", default=list(CLAIMS))
    parser.add_argument("--one-run", type=int, default=1, help="training runs with the largest number of canaries")
    told = parser.parse_args()
    torch.set_num_threads(1)
    for name in told.claim:
        rate, steps, noise = CLAIMS[name]
        part = Part(phase="train", noise_multiplier=noise, sample_rate=rate, steps=steps)
        for n_canaries in told.canaries if told.seeds else []:
            print_bounds(part, name, n_canaries, told.seeds)
        for seed in range(told.one_run):
            print_one_run(part, name, told.canaries[-1], seed)
    rate, steps, noise = CLAIMS[told.claim[0]]
    part = Part(phase="train", noise_multiplier=noise, sample_rate=rate, steps=steps)
    for n_canaries in told.canaries[:2] if told.fault_seeds else []:
        for fault in FAULTS:
            print_fault(part, fault, n_canaries, told.fault_seeds)


if __name__ == "__main__":
    main()
