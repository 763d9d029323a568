"""The other process of `test_killed_runs.py`: trains in children that SIGKILL takes at a named point.

It imports everything once; each line of JSON on its input forks one child and is answered by one line of JSON. A child
dies by its own hand, so that the point is exact: nothing is waited for and nothing depends on the machine's speed.

Points, of a run in a folder: `public` (the first progress that is told), `before reserve`, `after reserve`,
`after step 3` (the third line of steps.log is on disk, its noise is not drawn), `after noise 3` (it is drawn),
`before NAME` and `after NAME` (a file of the folder is written beside its place, or moved there).
"""

from __future__ import annotations

import json
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import torch

from generators import secure_random
from generators.base import GeneratorError
from generators.data import ImageSet
from generators.privacy import PrivacyBudget, PrivacySpend, StepRecord
from generators.registry import GENERATORS, get_generator
from generators.runner import train_generator
from generators.steps_log import LoggedRun, StepsLog

# What families load late, loaded before there are children.
LATE = ("diffusers.models.unets.unet_2d", "opacus.accountants", "safetensors.numpy", "scipy.stats")


def n_recorded(out: Path) -> int:
    """Steps on disk, whatever any process has in its memory."""
    log = out / "steps.log"
    return log.read_bytes().count(b'"kind": "step"') if log.exists() else 0


class Killer:
    """Dies at its point; a recorder and a progress callback, and the keeper of what noise was drawn when."""

    def __init__(self, out: Path, point: str) -> None:
        self.out, self.point = out, point
        self.drawn = out.with_suffix(".drawn")

    def reach(self, point: str) -> None:
        if point == self.point:
            os.kill(os.getpid(), signal.SIGKILL)

    def reserve(self, planned: PrivacySpend) -> None:
        self.reach("after reserve")

    def step(self, record: StepRecord) -> None:
        self.reach(f"after step {n_recorded(self.out)}")

    def settle(self, spent: PrivacySpend) -> None:
        self.reach("after settle")

    def progress(self, done: int, total: int, message: str = "") -> None:
        if done == 0 or "public" in message:
            self.reach("public")

    def watch(self) -> None:
        """Have a look at each file that is moved into place and at each piece of noise."""
        move, reserve, normal = Path.replace, StepsLog.reserve, secure_random.secure_normal

        def watched_move(path: Path, target: Path) -> Path:
            name = str(Path(target).relative_to(self.out))
            self.reach(f"before {name}")
            moved = move(path, target)
            self.reach(f"after {name}")
            return moved

        def watched_reserve(log: StepsLog, planned: PrivacySpend) -> None:
            self.reach("before reserve")
            reserve(log, planned)

        def watched_normal(shape: tuple[int, ...], std: float = 1.0, *, threads: int = 1) -> secure_random.Array:
            found = normal(shape, std, threads=threads)
            n = n_recorded(self.out)
            with self.drawn.open("a") as stream:
                stream.write(json.dumps({"process": os.getpid(), "n_recorded": n, "size": found.size}) + "\n")
            self.reach(f"after noise {n}")
            return found

        Path.replace = watched_move  # type: ignore[method-assign, assignment]  # this process ends with the run
        StepsLog.reserve = watched_reserve  # type: ignore[method-assign, assignment]  # as above
        put_in_place(normal, watched_normal)


def put_in_place(old: object, new: object) -> None:
    """Wherever a module has the old function under its name."""
    for module in [module for name, module in sys.modules.items() if name.startswith("generators")]:
        for name, value in list(vars(module).items()):
            if value is old:
                setattr(module, name, new)


def record_late() -> None:
    """A broken build: a step reaches the disk once the next one is due."""
    step = StepsLog.step
    waiting: list[StepRecord] = []

    def late(log: StepsLog, record: StepRecord) -> None:
        waiting.append(record)
        if len(waiting) > 1:
            step(log, waiting.pop(0))

    StepsLog.step = late  # type: ignore[method-assign, assignment]  # this process ends with the run


def forget_the_last() -> None:
    """A broken build: the step that was lost is taken again, and charged again, beyond the plan."""
    steps_of = LoggedRun.steps_of
    LoggedRun.steps_of = lambda run, phase: max(0, steps_of(run, phase) - 1)  # type: ignore[method-assign, assignment]  # as above


def charge_once() -> None:
    """A broken build: the step that was lost is taken again and not charged again."""
    forget_the_last()
    step = StepsLog.step
    first: list[StepRecord] = []

    def all_but_the_first(log: StepsLog, record: StepRecord) -> None:
        if first:
            step(log, record)
        first.append(record)

    StepsLog.step = all_but_the_first  # type: ignore[method-assign, assignment]  # as above


BROKEN = {"record late": record_late, "forget the last": forget_the_last, "charge once": charge_once}


def train(job: dict[str, Any]) -> None:
    """One run, killed on its way or not."""
    folder, out = Path(job["folder"]), Path(job["out"])
    if job.get("broken"):
        BROKEN[job["broken"]]()
    killer = Killer(out, job.get("point", ""))
    killer.watch()
    train_generator(
        name=job["name"],
        images=ImageSet.load(folder / job["images"]),
        public=ImageSet.load(folder / "public.npz"),
        budget=PrivacyBudget(target_epsilon=job["epsilon"], public_n_subjects=job["n_subjects"]),
        config=job["config"],
        out=out,
        recorder=killer,
        progress=killer.progress,
        resume=job["resume"],
    )


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """How a child ended: its status (minus the signal that took it) and, where it was refused, in what words."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        refusal(job, writer)
    os.close(writer)
    with os.fdopen(reader) as stream:
        told = stream.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {"status": status, "told": told}


def refusal(job: dict[str, Any], writer: int) -> NoReturn:
    """The child's whole life. Anything that is no refusal of the package goes to the error stream, and status 3."""
    try:
        train(job)
    except GeneratorError as error:
        os.write(writer, f"{type(error).__name__}: {error}".encode())
        os._exit(2)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(3)
    os._exit(0)


def main() -> None:
    torch.set_num_threads(1)
    for name in GENERATORS:
        get_generator(name)
    for name in LATE:
        import_module(name)
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        raise SystemExit("a child of a process with threads would wait for theirs")
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
