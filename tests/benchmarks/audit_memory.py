"""A million images end to end: peak memory and seconds of every audit, one after another, in one process.

    python -m tests.benchmarks.audit_memory --n 1000000 --size 32            # 1,000,000 synthetic, 800 real images
    python -m tests.benchmarks.audit_memory --n 50000 --real 50000 --only memorisation
    python -m tests.benchmarks.audit_memory --real 8000 --only cell_fidelity group_gaps label_shares    # groups of 100

Images are blends of phantoms under shades of their own, so that no two are alike and nothing leaks. Peak memory is that
of the process, arms and libraries included (VmHWM, reset before each audit; Linux).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from audits.base import AuditInput, Measurement
from audits.checks import prepare
from audits.pixels import resize
from audits.registry import list_audits
from generators.data import ImageSet
from generators.phantoms import draw_phantoms

N_PHANTOMS = 2000
AT_ONCE = 20_000
SHARES = {"train": 0.5, "holdout": 0.25, "control": 0.25}
MIB = 1024
Result = TypeVar("Result")
COLUMNS = ("label", "sex", "age_group")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1_000_000, help="synthetic images")
    parser.add_argument("--real", type=int, default=800, help="people of train, holdout and control together")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--only", nargs="*", help="these audits alone")
    given = parser.parse_args()
    print(f"{given.n:,} synthetic and {given.real:,} real images of {given.size} px")  # noqa: T201 - a command
    print(f"{'':24}{'peak MiB':>10}{'seconds':>10}{'CPU s':>10}")  # noqa: T201
    arms = _measured("arms are made", lambda: made_arms(given.n, given.real, size=given.size))
    arms, _ = _measured("arms are checked", lambda: prepare(arms))
    for name, registered in list_audits().items():
        if not given.only or name in given.only:
            _measured(name, lambda run=registered.run: run(arms))


def made_arms(n: int, n_real: int, *, size: int) -> AuditInput:
    """Arms of blended phantoms: `n` synthetic images, `n_real` people with one image each."""
    phantoms = draw_phantoms(n_subjects=N_PHANTOMS, size=size, seed=1, max_images=1).images
    arms = {
        name: _blended(phantoms, round(share * n_real), letter=name, seed=seed)
        for seed, (name, share) in enumerate(SHARES.items())
    }
    return AuditInput(**arms, synthetic=_blended(phantoms, n, letter="", seed=len(arms)))


def _blended(phantoms: ImageSet, n: int, *, letter: str, seed: int) -> ImageSet:
    rng = np.random.default_rng(seed)
    images, first = np.empty((n, *phantoms.images.shape[1:]), dtype=np.uint8), rng.integers(0, len(phantoms), n)
    for start in range(0, n, AT_ONCE):
        images[start : start + AT_ONCE] = _blend(phantoms.images, first[start : start + AT_ONCE], rng)
    columns = {name: np.asarray(getattr(phantoms, name))[first] for name in COLUMNS}
    subject = np.char.add(letter, np.arange(n).astype(str)) if letter else None
    return ImageSet(images=images, subject=subject, **columns)


def _blend(base: NDArray[np.uint8], first: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Each with another phantom, under a shade that varies over a quarter of the width."""
    n, size = len(first), base.shape[1]
    other = base[rng.integers(0, len(base), n)].astype(np.float32)
    shade = resize(rng.normal(0, 25, (n, 4, 4)).astype(np.float32), size)
    mixed = 0.7 * base[first].astype(np.float32) + 0.3 * other + shade + rng.normal(0, 2, other.shape)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def _measured(name: str, run: Callable[[], Result]) -> Result:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew from what is held now
    wall, cpu = time.perf_counter(), time.process_time()
    found = run()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{name:24}{_peak_mib():>10,.0f}{wall:>10,.0f}{cpu:>10,.0f}{_said(found)}", flush=True)  # noqa: T201
    return found


def _peak_mib() -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / MIB for line in lines if line.startswith("VmHWM"))


def _said(found: object) -> str:
    if not isinstance(found, list):
        return ""
    return "   " + ", ".join(sorted({m.status.value for m in found if isinstance(m, Measurement)}))


if __name__ == "__main__":
    main()
