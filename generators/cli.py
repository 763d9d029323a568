"""`python -m generators`: list, plan, public, base, train, sample, phantoms. Exit codes: 0 done, 2 bad usage, input."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Annotated

import numpy as np
import typer
from typer.exceptions import TyperException

from generators.base import ConfigError, GeneratorError
from generators.cli_base import base
from generators.cli_options import Accountant, Json, Merge, Seed, print_result, progress_bar
from generators.cli_train import train
from generators.conditions import even_counts
from generators.config import describe_config
from generators.data import ImageSet
from generators.files import replacing
from generators.label_rules import parse_merges
from generators.phantoms import write_phantom_cohort
from generators.plans.planning import Wish, plan_lines, recommend
from generators.privacy import DEFAULT_DELTA, PrivacyBudget
from generators.public.images import licence_counts
from generators.public.sets import PublicRules, build_public_set
from generators.registry import GENERATORS, get_generator
from generators.runner import load_card, sample_generator
from generators.tables import read_counts

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Differentially private generators of images.")


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
    """Name the generators; with --settings also what each can be set to, in which unit (loads them)."""
    rows: list[dict[str, object]] = []
    lines: list[str] = []
    for name, entry in GENERATORS.items():
        known = describe_config(get_generator(name).config_class) if settings else []
        rows.append({"name": name, "summary": entry.summary, **({"settings": known} if settings else {})})
        lines += [f"{name:20} {entry.summary}", *(_setting_line(setting) for setting in known)]
    print_result({"generators": rows}, lines, as_json=as_json)


def _setting_line(setting: Mapping[str, object]) -> str:
    words = (("from", setting["low"]), ("to", setting["high"]))
    limits = "".join(f", {word} {limit:g}" for word, limit in words if limit is not None)
    private = "; enters the guarantee" if setting["changes_privacy"] else ""
    return f"    {setting['name']} = {setting['default']!r}{limits}: {setting['doc']}{private}"


@app.command()
def plan(
    *,
    public_n: Annotated[int, typer.Option("--subjects", "--public-n", help="Declared bound on subjects.")],
    epsilon: Annotated[float, typer.Option(help="Epsilon a subject that a run may spend.")],
    images: Annotated[int | None, typer.Option(help="Images of all subjects together, about.")] = None,
    size: Annotated[int, typer.Option(help="Pixels a side.")] = 64,
    labels: Annotated[int, typer.Option(help="Number of labels.")] = 2,
    minutes: Annotated[float | None, typer.Option(help="The longest that training may take.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    delta: Annotated[float | None, typer.Option(help="Else 1e-5, or 1 / (10 x subjects) where less.")] = None,
    accountant: Accountant = "prv",
    as_json: Json = False,
) -> None:
    """Recommend a generator for a cohort's size and a budget, from public numbers and measured figures alone."""
    budget = PrivacyBudget(
        target_epsilon=epsilon,
        target_delta=min(DEFAULT_DELTA, 1 / (10 * max(1, public_n))) if delta is None else delta,
        public_n_subjects=public_n,
        accountant=accountant,
    )
    wish = Wish(budget=budget, n_images=images, size=size, n_labels=labels, minutes=minutes, device=device)
    found = recommend(wish)
    print_result(asdict(found), plan_lines(found, wish), as_json=as_json)


@app.command()
def public(
    sources: Annotated[list[Path], typer.Argument(help="Folders with images.npz and metadata.csv, or .npz files.")],
    *,
    size: Annotated[int, typer.Option(help="Pixels a side.")],
    permit: Annotated[list[str], typer.Option(help="A licence to keep, every version of it; repeatable.")],
    out: Annotated[Path, typer.Option(help="The .npz to write, for train --public.")],
    licence_column: Annotated[str, typer.Option(help="Column of licences in metadata.csv.")] = "license",
    licence: Annotated[str, typer.Option(help="Licence of .npz sources that state none.")] = "",
    label: Annotated[str | None, typer.Option(help="Column of labels in metadata.csv.")] = None,
    merge: Merge = None,
    as_json: Json = False,
) -> None:
    """Build a public set from sources, keeping only images whose licence is permitted."""
    rules = PublicRules(
        size=size,
        permitted=permit,
        licence_column=licence_column,
        licence=licence,
        label_column=label,
        merged=parse_merges(merge or ()),
    )
    built = build_public_set(sources, rules)
    with replacing(out) as stream:
        built.write(stream)
    counts = licence_counts(built)
    told = ", ".join(f"{n} {word}" for word, n in counts.items())
    found = {"out": str(out), "n_images": len(built), "licences": counts, "digest": built.digest}
    print_result(found, [f"{len(built)} public images in {out}: {told}"], as_json=as_json)


app.command()(base)
app.command()(train)


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
    with progress_bar(shown=not as_json) as progress:
        drawn = sample_generator(folder, wanted, seed=seed, progress=progress)
    with replacing(out) as stream:
        write_synthetic(drawn, stream)
    found = {"out": str(out), "n_images": len(drawn), "seed": seed, "digest": drawn.digest}
    print_result(found, [f"{len(drawn)} synthetic images in {out}"], as_json=as_json)


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
    print_result(found, [f"{len(cohort.images)} images of {subjects} phantoms in {out}"], as_json=as_json)


def write_synthetic(drawn: ImageSet, stream: IO[bytes]) -> None:
    """The contract's synthetic `.npz`: `images`, `labels`, the group columns, and `bits` of 16-bit images."""
    columns = {"labels" if name == "label" else name: column for name, column in drawn.columns()}
    np.savez_compressed(stream, allow_pickle=False, images=drawn.images, **columns, **drawn.bits_entry())
