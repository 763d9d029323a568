"""Exact nearest neighbours against faiss-cpu's flat index: seconds and peak memory, each in a process of its own.

    python tests/benchmarks/neighbours.py                                  # 20,000 x 5,000 x 2,048
    python tests/benchmarks/neighbours.py --gallery 100000 --queries 10000 --threads 2

Both read the same two files of float32 vectors and use the same number of threads. Ours can map the files, so it is
shown so, and with the arrays in memory as faiss has them. Memory is the most that the process held beyond its
libraries, sampled every 5 ms; `own` leaves out pages of mapped files, which the system takes back when it needs them.
Only the ratios count: the machine may be busy.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Found = tuple[NDArray[np.intp], NDArray[np.float32]]
WAYS = ("ours, mapped", "ours, in memory", "faiss")
KIB_IN_MIB = 1024
FIELDS = {"peak_mib": "VmRSS", "own_mib": "RssAnon"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("gallery", 20_000), ("queries", 5_000), ("width", 2_048), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.way:
        print(json.dumps(_measure(given.way, given.folder, given.threads)))  # noqa: T201 - a command
        return
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), given.gallery, given.queries, given.width)
        rows = {way: _in_a_process(way, folder, given.threads) for way in WAYS}
        _print(rows, f"{given.gallery:,} x {given.queries:,} x {given.width:,}, {given.threads} threads")
        for way in WAYS[:-1]:
            print(f"{way}: {_compared(Path(folder), way)}")  # noqa: T201 - a command


def _write(folder: Path, gallery: int, queries: int, width: int) -> None:
    rng = np.random.default_rng(0)
    for name, n in (("gallery", gallery), ("queries", queries)):
        out = np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.float32, shape=(n, width))
        for start in range(0, n, 4096):
            out[start : start + 4096] = rng.standard_normal((min(4096, n - start), width), dtype=np.float32)
        out.flush()


def _in_a_process(way: str, folder: str, threads: int) -> dict[str, float]:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    done = subprocess.run(
        [sys.executable, __file__, "--way", way, "--folder", folder, "--threads", str(threads)],
        env={**os.environ, **dict.fromkeys(names, str(threads)), "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    row: dict[str, float] = json.loads(done.stdout)
    return row


def _measure(way: str, folder: Path, threads: int) -> dict[str, float]:
    search = _faiss(threads) if way == "faiss" else _ours(threads)
    tiny = np.eye(4, dtype=np.float32)
    search(tiny, tiny)  # libraries load before memory and time are counted
    mode: Literal["r"] | None = "r" if way == "ours, mapped" else None
    with _Memory() as memory:
        gallery, queries = (np.load(folder / f"{name}.npy", mmap_mode=mode) for name in ("gallery", "queries"))
        wall, cpu = time.perf_counter(), time.process_time()
        index, distance = search(queries, gallery)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    np.save(folder / f"{way}.npy", index)
    return {"seconds": wall, "cpu_seconds": cpu, "mean_distance": float(distance.mean())} | memory.most


class _Memory:
    """The most that this process held while the block ran, beyond what it held before (Linux)."""

    def __init__(self) -> None:
        self.before = _held()
        self.most = dict.fromkeys(FIELDS, 0.0)
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def __enter__(self) -> _Memory:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()

    def _watch(self) -> None:
        while not self.done.wait(0.005):
            now = _held()
            self.most = {name: max(most, now[name] - self.before[name]) for name, most in self.most.items()}


def _held() -> dict[str, float]:
    """MiB that the process holds, and those of them that no file backs."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    sizes = {line.split(":")[0]: line.split()[1] for line in lines if line.endswith("kB")}
    return {name: int(sizes[field]) / KIB_IN_MIB for name, field in FIELDS.items()}


def _ours(threads: int) -> Callable[[NDArray[np.float32], NDArray[np.float32]], Found]:
    import torch

    from audits.neighbours import nearest

    torch.set_num_threads(threads)
    return nearest


def _faiss(threads: int) -> Callable[[NDArray[np.float32], NDArray[np.float32]], Found]:
    import faiss

    faiss.omp_set_num_threads(threads)

    def search(queries: NDArray[np.float32], gallery: NDArray[np.float32]) -> Found:
        index = faiss.IndexFlatL2(gallery.shape[1])
        index.add(gallery)
        squared, place = index.search(queries, 1)
        return place[:, 0], np.sqrt(squared[:, 0])

    return search


def _print(rows: dict[str, dict[str, float]], size: str) -> None:
    keys = {"seconds": "seconds", "cpu_seconds": "CPU s", "peak_mib": "peak MiB", "own_mib": "own MiB"}
    lines = [size, " " * 16 + "".join(f"{name:>10}" for name in keys.values()) + "   the same over faiss's"]
    for way, row in rows.items():
        figures = "".join(f"{row[key]:10.1f}" for key in keys)
        ratios = "".join(f"{row[key] / rows['faiss'][key]:7.2f}" for key in keys)
        lines.append(f"{way:16}{figures}   {ratios}")
    print("\n".join(lines))  # noqa: T201 - a command


def _compared(folder: Path, way: str) -> str:
    """Where the two name different neighbours, whose lies nearer in float64, and by how much."""
    ours, theirs = (np.load(folder / f"{name}.npy") for name in (way, "faiss"))
    gallery, queries = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("gallery", "queries"))
    differ = np.flatnonzero(ours != theirs)
    told = f"{len(differ)} of {len(ours):,} queries have another neighbour than in faiss"
    if not len(differ):
        return told
    mine, other = (
        np.linalg.norm(queries[differ].astype(np.float64) - gallery[found[differ]], axis=1) for found in (ours, theirs)
    )
    apart = (np.abs(mine - other) / other).max()
    nearer, farther = (mine < other).sum(), (mine > other).sum()
    return f"{told}; in float64 ours lies nearer in {nearer}, farther in {farther}, by a share of at most {apart:.1e}"


if __name__ == "__main__":
    main()
