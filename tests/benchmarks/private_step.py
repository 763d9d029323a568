"""What a private step costs beside an ordinary one: `python tests/benchmarks/private_step.py`.

Ratios of one run, medians of interleaved rounds of CPU time, so that other work on the machine counts little; memory is
the peak of a process of its own above what it held before the first step. Ordinary: forward, backward and Adam on the
same images. Opacus: its hooks, clipping by sample, its noise, Adam. Ours: the loop's step with secure noise and Adam.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from generators.gradients.subjects import Speed, SubjectData, fastest_path  # noqa: E402 (the clone's own)
from generators.training import DpSgdPlan, private_step  # noqa: E402

Step = Callable[[], object]
RATE, NOISE = 1e-3, 1.0


class Autoencoder(nn.Module):
    """Convolutions and upsampling, as in `vae`: 64 px, one channel, 0.18 million weights."""

    size = 64

    def __init__(self) -> None:
        super().__init__()
        widths = (16, 32, 64, 64)
        down: list[nn.Module] = [nn.Conv2d(1, 16, 3, stride=2, padding=1)]
        up: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            down += [nn.GroupNorm(8, before), nn.SiLU(), nn.Conv2d(before, after, 3, stride=2, padding=1)]
            up = [
                nn.GroupNorm(8, after),
                nn.SiLU(),
                nn.Upsample(scale_factor=2),
                nn.Conv2d(after, before, 3, padding=1),
                *up,
            ]
        self.down = nn.Sequential(*down, nn.SiLU(), nn.Flatten(), nn.Linear(1024, 32))
        self.start = nn.Linear(32, 1024)
        end = (nn.GroupNorm(8, 16), nn.SiLU(), nn.Upsample(scale_factor=2), nn.Conv2d(16, 1, 3, padding=1))
        self.up = nn.Sequential(*up, *end)

    def forward(self, images: Tensor, conditions: Tensor) -> Tensor:
        found: Tensor = self.up(self.start(self.down(images)).reshape(-1, 64, 4, 4))
        return found


class Denoiser(nn.Module):
    """A UNet with attention from `diffusers`: 32 px, 0.7 million weights."""

    size = 32

    def __init__(self) -> None:
        super().__init__()
        from diffusers.models.unets.unet_2d import UNet2DModel

        self.inner = UNet2DModel(
            sample_size=32,
            in_channels=1,
            out_channels=1,
            layers_per_block=1,
            block_out_channels=(32, 64),
            norm_num_groups=8,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        )

    def forward(self, images: Tensor, conditions: Tensor) -> Tensor:
        found: Tensor = self.inner(images, conditions[:, 0] * 1000, return_dict=False)[0]
        return found


NETWORKS: dict[str, type[nn.Module]] = {"autoencoder": Autoencoder, "denoiser": Denoiser}


def loss(network: nn.Module, images: Tensor, conditions: Tensor) -> Tensor:
    return (network(images + 0.1 * torch.randn_like(images), conditions) - images).square().flatten(1).mean(1)


def cohort(network: nn.Module, n_subjects: int, views: int) -> SubjectData:
    n, side = n_subjects * views, int(network.size)  # type: ignore[arg-type]  # of this file's networks
    owner = np.repeat(np.arange(n_subjects), views)
    return SubjectData(images=torch.rand(n, 1, side, side), conditions=torch.rand(n, 4), owner=owner, views=views)


def ordinary(network: nn.Module, n_subjects: int, views: int) -> Step:
    data = cohort(network, n_subjects, views)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)

    def step() -> None:
        optimizer.zero_grad()
        loss(network, data.images, data.conditions).mean().backward()  # type: ignore[no-untyped-call]  # torch
        optimizer.step()

    return step


def ours(network: nn.Module, n_subjects: int, views: int, path: str = "auto") -> Step:
    data = cohort(network, n_subjects, views)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    speed = fastest_path(network, loss, data, Speed(path=path))
    plan = DpSgdPlan(
        noise_multiplier=NOISE, max_grad_norm=1.0, sample_rate=1.0, n_steps=1, expected_batch_size=n_subjects
    )

    def step() -> None:
        private_step(network, loss, data, plan=plan, speed=speed)
        optimizer.step()

    return step


def opacus(network: nn.Module, n_subjects: int, views: int) -> Step:
    from opacus import GradSampleModule
    from opacus.optimizers import DPOptimizer

    data = cohort(network, n_subjects, views)
    hooked = GradSampleModule(network)
    optimizer = DPOptimizer(
        torch.optim.Adam(hooked.parameters(), lr=RATE),
        noise_multiplier=NOISE,
        max_grad_norm=1.0,
        expected_batch_size=n_subjects,
    )

    def step() -> None:
        optimizer.zero_grad()
        loss(hooked, data.images, data.conditions).mean().backward()  # type: ignore[no-untyped-call]  # torch
        optimizer.step()

    return step


CASES: dict[str, tuple[Callable[[nn.Module, int, int], Step], int]] = {
    "ordinary": (ordinary, 1),
    "ours": (ours, 1),
    "ours by vmap": (lambda network, n, views: ours(network, n, views, "vmap"), 1),
    "opacus": (opacus, 1),
    "ordinary, 8 views": (ordinary, 8),
    "ours, 8 views": (ours, 8),
}


def peak_mib(step: Step) -> float:
    """Linux alone: the high-water mark is set back before the first step."""
    Path("/proc/self/clear_refs").write_text("5")
    before = _high_water()
    step()
    step()
    return _high_water() - before


def _high_water() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def times(name: str, n_subjects: int, rounds: int) -> dict[str, float]:
    """Median CPU seconds of each case."""
    steps = {case: make(NETWORKS[name](), n_subjects, views) for case, (make, views) in CASES.items()}
    seen: dict[str, list[float]] = {case: [] for case in steps}
    for number in range(rounds + 1):
        for case, step in steps.items():
            start = time.process_time()
            step()
            if number:  # the first one warms up
                seen[case].append(time.process_time() - start)
    return {case: statistics.median(values) for case, values in seen.items()}


def memory_of(network: str, case: str, n_subjects: int) -> float:
    command = [sys.executable, __file__, "--network", network, "--subjects", str(n_subjects), "--memory-of", case]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(answer.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--network", choices=list(NETWORKS), action="append")
    parser.add_argument("--subjects", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory-of", choices=list(CASES), help=argparse.SUPPRESS)
    told = parser.parse_args()
    torch.set_num_threads(told.threads)
    warnings.filterwarnings("ignore", message="Full backward hook is firing")
    if told.memory_of:
        make, views = CASES[told.memory_of]
        print(json.dumps(peak_mib(make(copy.deepcopy(NETWORKS[told.network[0]]()), told.subjects, views))))  # noqa: T201
        return
    for name in told.network or NETWORKS:
        seconds = times(name, told.subjects, told.rounds)
        for case, value in seconds.items():
            memory = memory_of(name, case, told.subjects)
            plain = seconds["ordinary, 8 views" if "8" in case else "ordinary"]
            row = f"{name:12s} {case:18s} {1e3 * value:8.0f} ms {value / plain:5.2f} x ordinary {memory:7.0f} MiB"
            print(row, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
