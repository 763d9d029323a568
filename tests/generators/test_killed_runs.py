"""kill -9 at every phase of every generator: the log never says less than was drawn, and a run ends in its budget.

SIGKILL takes the run at a point that `killed_runs` names; then it is resumed, in a new process, as a user would. A few
points are looked at in every run of the tests, all of them by `make proofs`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from generators.folder import load_card
from generators.phantoms import draw_phantoms
from generators.registry import GENERATORS
from generators.steps_log import LoggedRun, read_log, spent_from_log
from tests.generators.tiny_networks import tiny_unet

ROOT = Path(__file__).parents[2]
EPSILON = 8.0
# Full batches of the public number: calibrating their noise takes no time.
LOOP: Mapping[str, object] = {"n_steps": 3, "batch_size": 60, "checkpoint_every": 2, "views": 2}
WHOLE, LESS, REST, AGAIN, LOST = "whole", "less", "rest", "again", "lost"


@dataclass(frozen=True, kw_only=True)
class Kill:
    """Where a run dies, how many steps it has charged by then, and how it ends once it is resumed.

    ends: whole (it spends what was planned), less (a part that was lost is not paid again), rest (what the budget has
    left is used), again (BudgetError; a larger budget pays anew), lost (ResumeError). twice: where the resumed run
    dies too.
    """

    point: str
    n_charged: int
    ends: str = WHOLE
    twice: str = ""


BEFORE = (Kill(point="before reserve", n_charged=0), Kill(point="after reserve", n_charged=0))


def at_the_end(n_steps: int) -> tuple[Kill, ...]:
    """After the last step and before the card, and with the card just in place."""
    points = ("after settle", "before generator.json", "after generator.json")
    return tuple(Kill(point=point, n_charged=n_steps) for point in points)


def in_the_loop(first: int) -> tuple[Kill, ...]:
    """The three steps of the private loop, after `first` others; the second and the last leave a checkpoint."""
    last = first + 3
    return (
        Kill(point=f"after step {first + 1}", n_charged=first + 1),
        Kill(point=f"after noise {first + 1}", n_charged=first + 1),
        Kill(point="before checkpoint.safetensors", n_charged=first + 2),
        Kill(point="after checkpoint.safetensors", n_charged=first + 2),
        Kill(point=f"after step {last}", n_charged=last),
        Kill(point=f"after noise {last}", n_charged=last),
        Kill(point="before network.safetensors", n_charged=last),
        Kill(point=f"after step {first + 1}", twice=f"after noise {first + 2}", n_charged=first + 2),
        *at_the_end(last),
    )


PUBLIC = Kill(point="public", n_charged=0)
STATISTICS = {"n_components": 4, "detail": "none"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A generator's smallest run, the phases of its steps in their order, and where it is killed.

    The first word of a row's name is the generator's. images: the private ones; n_subjects: as declared, in public.
    """

    config: Mapping[str, object]
    phases: tuple[str, ...]
    kills: tuple[Kill, ...]
    images: str = "images.npz"
    n_subjects: int = 60


ROWS = {
    "latent-statistics": Row(
        config=STATISTICS,
        phases=("means", "covariance", "discriminant"),
        kills=(
            *BEFORE,
            PUBLIC,
            Kill(point="after step 1", n_charged=1, ends=REST),
            Kill(point="after noise 2", n_charged=2, ends=REST),
            Kill(point="after step 3", n_charged=3, ends=AGAIN),
            Kill(point="after noise 3", n_charged=3, ends=AGAIN),
            Kill(point="before release.safetensors", n_charged=3, ends=AGAIN),
            Kill(point="after release.safetensors", n_charged=3),
            *at_the_end(3),
        ),
    ),
    "latent-statistics autoencoder": Row(
        config={**STATISTICS, "basis": "autoencoder", "basis_steps": 2},
        phases=("means", "covariance", "discriminant"),
        kills=(
            PUBLIC,
            Kill(point="after basis.safetensors", n_charged=0),
            Kill(point="after step 1", n_charged=1, ends=REST),
            Kill(point="after release.safetensors", n_charged=3),
        ),
    ),
    # Declared as many, so that noise leaves enough of what each label is asked for.
    "latent-statistics five labels": Row(
        config={**STATISTICS, "n_components": 8},
        phases=("means", "covariance", "label covariances"),
        kills=(
            Kill(point="after step 2", n_charged=2, ends=REST),
            Kill(point="after step 3", n_charged=3, ends=AGAIN),
            Kill(point="after noise 3", n_charged=3, ends=AGAIN),
            Kill(point="before release.safetensors", n_charged=3, ends=AGAIN),
            Kill(point="after release.safetensors", n_charged=3),
        ),
        images="five_labels.npz",
        n_subjects=1000,
    ),
    "mean-embedding": Row(
        config={
            "n_components": 4,
            "n_frequencies": 10,
            "public_steps": 2,
            "n_steps": 2,
            "width": 8,
            "detail": False,
        },
        phases=("embedding",),
        kills=(
            *BEFORE,
            Kill(point="after step 1", n_charged=1, ends=AGAIN),
            Kill(point="after noise 1", n_charged=1, ends=AGAIN),
            Kill(point="before release.safetensors", n_charged=1, ends=AGAIN),
            Kill(point="after release.safetensors", n_charged=1),
            Kill(point="before network.safetensors", n_charged=1),
            *at_the_end(1),
        ),
    ),
    "private-evolution": Row(
        config={"n_rounds": 2, "detail": False},
        phases=("votes", "votes"),
        kills=(
            *BEFORE,
            PUBLIC,
            Kill(point="after step 1", n_charged=1),
            Kill(point="after noise 1", n_charged=1),
            Kill(point="before population.safetensors", n_charged=1),
            Kill(point="after population.safetensors", n_charged=1),
            Kill(point="after step 2", n_charged=2),
            Kill(point="after step 1", twice="after noise 2", n_charged=2, ends=LOST),
            *at_the_end(2),
        ),
    ),
    "vae": Row(
        config={**LOOP, "width": 8, "n_latents": 4, "public_steps": 2},
        phases=("latent means", "latent covariance", "train", "train", "train"),
        kills=(
            *BEFORE,
            PUBLIC,
            Kill(point="after step 1", n_charged=1, ends=LESS),
            Kill(point="after noise 2", n_charged=2),
            Kill(point="before latents.safetensors", n_charged=2),
            Kill(point="after latents.safetensors", n_charged=2),
            *in_the_loop(2),
        ),
    ),
    "gan": Row(
        config={
            **LOOP,
            "width": 8,
            "n_latents": 4,
            "warm_steps": 1,
            "public_steps": 1,
            "discriminator_steps": 2,
            "generator_batch": 4,
        },
        phases=("train", "train", "train"),
        kills=(*BEFORE, PUBLIC, *in_the_loop(0)),
    ),
    "diffusion": Row(
        config={**LOOP, "views": 1, "width": 8, "public_steps": 1, "central_steps": 1, "path": "vmap"},
        phases=("warm-up", "train", "train", "train"),
        kills=(
            *BEFORE,
            Kill(point="after step 1", n_charged=1),
            Kill(point="before central.safetensors", n_charged=1),
            Kill(point="after central.safetensors", n_charged=1),
            Kill(point="public", n_charged=1),  # it learns from public images moved to what was released
            *in_the_loop(1),
        ),
    ),
    "latent-diffusion": Row(
        config={
            **LOOP,
            **STATISTICS,
            "width": 8,
            "depth": 1,
            "public_steps": 2,
            "draw_steps": 2,
            "n_draws": 100,
        },
        phases=("means", "covariance", "discriminant", "train", "train", "train"),
        kills=(
            *BEFORE,
            PUBLIC,
            Kill(point="after step 1", n_charged=1, ends=LOST),
            Kill(point="after noise 2", n_charged=2, ends=LOST),
            Kill(point="after step 3", n_charged=3, ends=LOST),
            Kill(point="before statistics/release.safetensors", n_charged=3, ends=LOST),
            Kill(point="after statistics/release.safetensors", n_charged=3),
            Kill(point="before statistics/generator.json", n_charged=3),
            Kill(point="before pretrained.safetensors", n_charged=3),
            *in_the_loop(3),
        ),
    ),
    "lora": Row(
        config={**LOOP, "views": 1, "path": "vmap", "rank": 1},
        phases=("train", "train", "train"),
        kills=(*BEFORE, Kill(point="before base.safetensors", n_charged=0), *in_the_loop(0)),
    ),
}
# Before anything is charged; charged and not drawn; drawn and not kept; everything drawn and no card.
ALWAYS = {
    "vae": ("public", "after step 3", "before checkpoint.safetensors", "before generator.json"),
    "latent-statistics": ("public", "after step 1", "before release.safetensors", "before generator.json"),
    "latent-statistics autoencoder": ("after basis.safetensors",),
    "latent-statistics five labels": ("after noise 3",),
    "mean-embedding": ("after noise 1",),
    "private-evolution": ("before population.safetensors",),
    "gan": ("after noise 1",),
    "diffusion": ("before central.safetensors",),
    "latent-diffusion": ("before statistics/release.safetensors",),
    "lora": ("before checkpoint.safetensors",),
}


def marks(name: str, kill: Kill) -> list[pytest.MarkDecorator]:
    return [] if kill.point in ALWAYS[name] and not kill.twice else [pytest.mark.proofs]


CASES = [
    pytest.param(name, kill, id=" ".join(filter(None, (name, kill.point, kill.twice))), marks=marks(name, kill))
    for name, row in ROWS.items()
    for kill in row.kills
]


@dataclass(frozen=True, kw_only=True)
class End:
    """How a process ended (minus the signal that took it) and what it said where it refused."""

    status: int
    told: str


@dataclass(frozen=True, kw_only=True)
class Noise:
    """One piece of noise: who drew it, how many steps stood on disk by then, and how many numbers it has."""

    process: int
    n_recorded: int
    size: int


Train = Callable[..., End]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Private images, the same with five labels, public ones, and a public diffusion network for `lora`, untrained."""
    made = tmp_path_factory.mktemp("killed")
    images = draw_phantoms(n_subjects=40, size=16, seed=4).images
    images.save(made / "images.npz")
    replace(images, label=np.array(list("abcde"))[np.arange(len(images)) % 5]).save(made / "five_labels.npz")
    draw_phantoms(n_subjects=40, size=16, seed=9, max_images=1).images.save(made / "public.npz")
    tiny_unet().save_pretrained(made / "base")
    return made


@pytest.fixture(scope="module")
def train(folder: Path) -> Iterator[Train]:
    """Train in a process of its own and say how it ended."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("killed_runs.py"))],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    given, answers = process.stdin, process.stdout
    assert given is not None
    assert answers is not None

    def run(name: str, out: Path, *, epsilon: float = EPSILON, resume: bool = False, **more: str) -> End:
        row = ROWS[name]
        config = dict(row.config) | ({"base": str(folder / "base")} if name == "lora" else {})
        job = {"name": name.split(maxsplit=1)[0], "config": config, "folder": str(folder), "out": str(out)}
        job |= {"images": row.images, "n_subjects": row.n_subjects}
        given.write(json.dumps({**job, "epsilon": epsilon, "resume": resume, **more}) + "\n")
        given.flush()
        return End(**json.loads(answers.readline()))

    yield run
    given.close()
    assert process.wait() == 0
    answers.close()


@pytest.fixture(scope="module")
def undisturbed(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A generator's folder of a run that nobody killed."""

    @cache
    def of(name: str) -> Path:
        out = tmp_path_factory.mktemp("undisturbed") / "g"
        assert train(name, out) == End(status=0, told="")
        return out

    return of


def noise_of(out: Path) -> list[Noise]:
    lines = out.with_suffix(".drawn")
    return [Noise(**json.loads(line)) for line in lines.read_text().splitlines()] if lines.exists() else []


def log_of(out: Path) -> LoggedRun:
    logged = read_log(out)
    assert logged is not None
    return logged


def phases_of(out: Path) -> list[str]:
    rows = [json.loads(line) for line in (out / "steps.log").read_text().splitlines()]
    return [row["phase"] for row in rows if row["kind"] == "step"]


def check_the_log_says_no_less_than_was_drawn(out: Path, like: Path | None = None) -> None:
    """Each piece of noise has its step on disk before it, which no process leaves to another one to draw on.

    like: a run that nobody killed, whose steps pay for as many numbers each.
    """
    noise = noise_of(out)
    n_steps = 0 if read_log(out) is None else log_of(out).n_steps
    assert all(1 <= piece.n_recorded <= n_steps for piece in noise), "noise before its record"
    for step in {piece.n_recorded for piece in noise}:
        assert len({piece.process for piece in noise if piece.n_recorded == step}) == 1, "one record, drawn on twice"
    if like is not None:
        allowed, found = size_by_phase(like), size_by_phase(out)
        assert all(size <= allowed[phase] for phase, size in found.items()), "more noise than was recorded"


def size_by_phase(out: Path) -> dict[str, int]:
    """The numbers that one step of each phase drew at most."""
    phases = phases_of(out)
    sizes: dict[str, int] = {}
    for step in {piece.n_recorded for piece in noise_of(out)}:
        size = sum(piece.size for piece in noise_of(out) if piece.n_recorded == step)
        sizes[phases[step - 1]] = max(size, sizes.get(phases[step - 1], 0))
    return sizes


def check_it_was_refused(end: End, error: str, words: str) -> None:
    assert end.status == 2
    assert end.told.startswith(error)
    assert words in end.told
    assert "\n" not in end.told


def killed(train: Train, name: str, kill: Kill, out: Path) -> None:
    """Train until SIGKILL, twice where the kill says so; the log is as it has to be by then."""
    assert train(name, out, point=kill.point).status == -signal.SIGKILL
    if kill.twice:
        assert train(name, out, point=kill.twice, resume=True).status == -signal.SIGKILL
    assert (out / "generator.json").exists() == (kill.point == "after generator.json")
    logged = read_log(out)
    assert (0 if logged is None else logged.n_steps) == kill.n_charged
    check_the_log_says_no_less_than_was_drawn(out)


def check_it_ends_as_it_must(train: Train, name: str, kill: Kill, out: Path, like: Path, **more: str) -> None:
    """Resume the run and look at what it spent in all."""
    before = read_log(out)
    end = train(name, out, resume=True, **more)
    if kill.ends == LOST:
        check_it_was_refused(end, "ResumeError", "train")
        assert read_log(out) == before
        return
    epsilon = EPSILON
    if kill.ends == AGAIN:
        check_it_was_refused(end, "BudgetError", "already spent")
        assert read_log(out) == before
        epsilon = 2 * EPSILON
        end = train(name, out, resume=True, epsilon=epsilon)
    assert end == End(status=0, told="")
    assert not list(out.rglob(".*")), "a killed write is left over"
    check_the_log_says_no_less_than_was_drawn(out, like if kill.ends in {WHOLE, LESS} else None)
    check_what_was_spent(kill, out, like, epsilon=epsilon)


def check_what_was_spent(kill: Kill, out: Path, like: Path, *, epsilon: float) -> None:
    """The card says what the log says, which is within the budget, and what was planned where nothing is paid anew."""
    ended, planned = log_of(out), log_of(like)
    spend = load_card(out).spend
    assert spend == spent_from_log(out)
    assert spend.spent_epsilon <= epsilon
    assert ended.settled
    assert ended.n_torn == 0
    if kill.ends == WHOLE:
        assert ended.events == planned.events
        assert phases_of(out) == phases_of(like)
    elif kill.ends == LESS:
        assert set(ended.events) < set(planned.events)
        assert spend.spent_epsilon < load_card(like).spend.spent_epsilon
    else:
        assert ended.n_steps == kill.n_charged + planned.n_steps


def test_every_generator_has_its_row() -> None:
    assert {name.split(maxsplit=1)[0] for name in ROWS} == GENERATORS.keys()
    assert ROWS.keys() == ALWAYS.keys()
    for name, points in ALWAYS.items():
        assert set(points) <= {kill.point for kill in ROWS[name].kills}


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.proofs) for name in ROWS])
def test_a_run_that_nobody_kills_has_the_phases_that_are_killed(name: str, undisturbed: Callable[[str], Path]) -> None:
    out = undisturbed(name)
    assert tuple(phases_of(out)) == ROWS[name].phases
    assert {piece.n_recorded for piece in noise_of(out)} == set(range(1, len(ROWS[name].phases) + 1))
    check_the_log_says_no_less_than_was_drawn(out, out)


@pytest.mark.parametrize(("name", "kill"), CASES)
def test_a_killed_run_is_charged_for_what_it_drew_and_ends_within_its_budget(
    name: str, kill: Kill, train: Train, undisturbed: Callable[[str], Path], tmp_path: Path
) -> None:
    out = tmp_path / "g"
    killed(train, name, kill, out)
    check_it_ends_as_it_must(train, name, kill, out, undisturbed(name))


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        pytest.param("record late", "noise before its record", id="a step recorded after its noise"),
        pytest.param("charge once", "drawn on twice", id="a lost step taken again for nothing"),
        pytest.param("forget the last", "<= 8.0", id="a lost step taken again beyond the plan"),
    ],
)
def test_a_broken_build_is_caught(
    broken: str, complaint: str, train: Train, undisturbed: Callable[[str], Path], tmp_path: Path
) -> None:
    out, kill = tmp_path / "g", Kill(point="after noise 4", n_charged=4)
    if broken == "record late":
        train("vae", out, point="after noise 0", broken=broken)
        with pytest.raises(AssertionError, match=complaint):
            check_the_log_says_no_less_than_was_drawn(out)
        return
    killed(train, "vae", kill, out)
    with pytest.raises(AssertionError, match=complaint):
        check_it_ends_as_it_must(train, "vae", kill, out, undisturbed("vae"), broken=broken)
