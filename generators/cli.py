"""`python -m generators`: list, plan, train, sample, phantoms. Exit codes: 0 done, 2 bad usage or input."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress as ProgressBar
from typer.exceptions import TyperException

from generators.base import ConfigError, GeneratorError, Progress, no_progress
from generators.conditions import even_counts
from generators.config import describe_config
from generators.data import ImageSet
from generators.files import replacing
from generators.phantoms import write_phantom_cohort
from generators.planning import recommend
from generators.privacy import DEFAULT_DELTA, PrivacyBudget
from generators.registry import GENERATORS, get_generator
from generators.runner import load_card, sample_generator, train_generator
from generators.tables import read_cohort, read_counts, read_public, resize_images

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Differentially private generators of images.")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Seed = Annotated[int, typer.Option(help="Repeats initial weights and the drawing of images; never noise.")]
Epsilon = Annotated[float, typer.Option(help="Epsilon a subject that the run may spend.")]
Delta = Annotated[float, typer.Option(help="Delta, at most 1 / (10 x public n).")]
Accountant = Annotated[str, typer.Option(help="rdp or prv.")]


def main() -> None:
    """Run the command line; a refusal is one line on standard error and exit code 2."""
    try:
        sys.exit(app(standalone_mode=False))
    except GeneratorError as error:
        sys.stderr.write(f"error: {error}\n")
    except TyperException as error:
        sys.stderr.write(f"error: {_usage(error)}; see --help\n")
    sys.exit(2)


def _usage(error: TyperException) -> str:
    """What was wrong with the arguments, on one line."""
    return " ".join(str(getattr(error, "format_message", lambda: error)()).split())


@app.command("list")
def list_generators(*, as_json: Json = False, settings: bool = False) -> None:
    """Name the generators; with --settings also what each can be set to (loads them)."""
    rows: list[dict[str, object]] = []
    for name, entry in GENERATORS.items():
        about = {"settings": describe_config(get_generator(name).config_class)} if settings else {}
        rows.append({"name": name, "summary": entry.summary, **about})
    _print({"generators": rows}, [f"{row['name']:20} {row['summary']}" for row in rows], as_json=as_json)


@app.command()
def plan(
    *,
    public_n: Annotated[int, typer.Option("--public-n", "--subjects", help="Declared bound on subjects.")],
    epsilon: Epsilon,
    delta: Delta = DEFAULT_DELTA,
    accountant: Accountant = "prv",
    as_json: Json = False,
) -> None:
    """Recommend a generator for a cohort's size and a budget, from public numbers alone."""
    budget = PrivacyBudget(
        target_epsilon=epsilon, target_delta=delta, public_n_subjects=public_n, accountant=accountant
    )
    found = asdict(recommend(budget))
    _print(found, [f"{name}: {value}" for name, value in found.items()], as_json=as_json)


@app.command()
def train(  # noqa: PLR0913 (a command's options are its arguments)
    name: str,
    *,
    images: Annotated[Path, typer.Option(help="images.npz of the cohort.")],
    out: Annotated[Path, typer.Option(help="A new folder for the generator.")],
    epsilon: Epsilon,
    metadata: Annotated[Path | None, typer.Option(help="csv with a column `index`.")] = None,
    label: Annotated[str | None, typer.Option(help="Column of labels.")] = None,
    subject: Annotated[str | None, typer.Option(help="Column of subjects.")] = None,
    sex: Annotated[str | None, typer.Option(help="Column of sex.")] = None,
    age: Annotated[str | None, typer.Option(help="Column of ages in years.")] = None,
    split: Annotated[str | None, typer.Option(help="Column of train, holdout, control.")] = None,
    delta: Delta = DEFAULT_DELTA,
    public_n: Annotated[int | None, typer.Option(help="Declared, rounded bound on the number of subjects.")] = None,
    accountant: Accountant = "prv",
    public: Annotated[Path | None, typer.Option(help="Public images for bases and pretraining.")] = None,
    size: Annotated[int | None, typer.Option(help="Resize to this many pixels a side.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    seed: Seed = 0,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, repeatable.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the killed run in --out.")] = False,
    as_json: Json = False,
) -> None:
    """Train the generator NAME on the cohort's train split and leave its folder in --out."""
    if public_n is None:
        raise ConfigError("no public number of subjects", where="--public-n", remedy="declare a rounded upper bound")
    budget = PrivacyBudget(
        target_epsilon=epsilon, target_delta=delta, public_n_subjects=public_n, accountant=accountant
    )
    cohort = read_cohort(images, metadata, label=label, subject=subject, sex=sex, age=age, split=split)
    cohort = resize_images(cohort, size) if size else cohort
    shown = None if public is None else resize_images(read_public(public), cohort.images.shape[1])
    with _progress_bar(shown=not as_json) as progress:
        card = train_generator(
            name=name,
            images=cohort,
            budget=budget,
            config=dict(_pair(text) for text in settings or ()),
            out=out,
            seed=seed,
            public=shown,
            device=device,
            progress=progress,
            resume=resume,
        )
    spend = card.spend
    line = (
        f"{name}: epsilon {spend.spent_epsilon:.4g} per {spend.privacy_unit} at delta {spend.delta:g} "
        f"({spend.accountant}, {spend.adjacency}), in {out}"
    )
    _print(asdict(card), [line], as_json=as_json)


@app.command()
def sample(
    folder: Path,
    *,
    out: Annotated[Path, typer.Option(help="The .npz to write.")],
    n: Annotated[int | None, typer.Option("--n", help="Images in all, even over the labels.")] = None,
    counts: Annotated[Path | None, typer.Option(help="csv: label, n and where wanted sex, age_group.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Draw synthetic images from a trained generator's folder, free of privacy cost."""
    if (n is None) == (counts is None):
        raise ConfigError("one of the two is needed", where="--n, --counts", remedy="give --n N or --counts FILE")
    wanted = read_counts(counts) if counts else even_counts(load_card(folder).labels, n or 0)
    with _progress_bar(shown=not as_json) as progress:
        drawn = sample_generator(folder, wanted, seed=seed, progress=progress)
    with replacing(out) as stream:
        write_synthetic(drawn, stream)
    found = {"out": str(out), "n_images": len(drawn), "seed": seed, "digest": drawn.digest}
    _print(found, [f"{len(drawn)} synthetic images in {out}"], as_json=as_json)


@app.command()
def phantoms(
    *,
    subjects: Annotated[int, typer.Option(help="People to draw.")],
    out: Annotated[Path, typer.Option(help="Folder for images.npz, metadata.csv, mapping.toml.")],
    size: Annotated[int, typer.Option(help="Pixels a side.")] = 64,
    bit_depth: Annotated[int, typer.Option(help="8 or 12.")] = 8,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Write a cohort of procedural chest radiographs: no person was imaged."""
    cohort = write_phantom_cohort(out, n_subjects=subjects, size=size, bit_depth=bit_depth, seed=seed)
    found = {"out": str(out), "n_subjects": subjects, "n_images": len(cohort.images), "seed": seed}
    _print(found, [f"{len(cohort.images)} images of {subjects} phantoms in {out}"], as_json=as_json)


def write_synthetic(drawn: ImageSet, stream: IO[bytes]) -> None:
    """The contract's synthetic `.npz`: `images`, `labels` and the group columns."""
    columns = {"labels" if name == "label" else name: column for name, column in drawn.columns()}
    np.savez_compressed(stream, allow_pickle=False, images=drawn.images, **columns)


def _pair(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise ConfigError(f"{text!r} is no key=value", where="--set", remedy="as in --set n_components=32")
    return key, value


def _print(found: Mapping[str, object], lines: list[str], *, as_json: bool) -> None:
    sys.stdout.write(json.dumps(found) + "\n" if as_json else "\n".join(lines) + "\n")


@contextmanager
def _progress_bar(*, shown: bool) -> Iterator[Progress]:
    if not shown:
        yield no_progress
        return
    console = Console(stderr=True)
    with ProgressBar(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)

        def progress(done: int, total: int, message: str = "") -> None:
            bar.update(task, completed=done, total=total, description=message)

        yield progress
