"""`python -m generators train`: a cohort's files in, a generator folder out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from generators.base import ConfigError, GeneratorCard
from generators.cli_options import (
    Accountant,
    Delta,
    Device,
    Json,
    Merge,
    Seed,
    key_and_value,
    print_result,
    progress_bar,
)
from generators.data import ImageSet
from generators.label_rules import (
    MIN_SUBJECTS_A_LABEL,
    merge_labels,
    parse_merges,
    require_merged_words,
    require_subjects,
)
from generators.plans.drowning import DrownedError
from generators.privacy import DEFAULT_DELTA, NON_PRIVATE_NOTE, PrivacyBudget
from generators.runner import train_generator
from generators.tables import read_cohort, read_public, resize_images


def train(  # noqa: PLR0913 (a command's options are its arguments)
    name: str,
    *,
    images: Annotated[Path, typer.Option(help="images.npz of the cohort.")],
    out: Annotated[Path, typer.Option(help="A new folder for the generator.")],
    epsilon: Annotated[float | None, typer.Option(help="Epsilon a subject that the run may spend.")] = None,
    non_private: Annotated[
        bool, typer.Option("--non-private", help="Instead of --epsilon: an upper reference WITHOUT privacy.")
    ] = False,
    metadata: Annotated[Path | None, typer.Option(help="csv with a column `index`.")] = None,
    label: Annotated[str | None, typer.Option(help="Column of labels.")] = None,
    subject: Annotated[str | None, typer.Option(help="Column of subjects.")] = None,
    sex: Annotated[str | None, typer.Option(help="Column of sex.")] = None,
    age: Annotated[str | None, typer.Option(help="Column of ages in years.")] = None,
    split: Annotated[str | None, typer.Option(help="Column of train, holdout, control.")] = None,
    labels: Annotated[str | None, typer.Option(help="The public label vocabulary: a,b,c.")] = None,
    merge: Merge = None,
    min_subjects: Annotated[
        int, typer.Option(min=1, help="Refuse, on site, a label with fewer subjects.")
    ] = MIN_SUBJECTS_A_LABEL,
    bits: Annotated[int | None, typer.Option(help="Used bits of 16-bit images, 9 to 16; or as stored.")] = None,
    delta: Delta = DEFAULT_DELTA,
    public_n: Annotated[int | None, typer.Option(help="Declared, rounded bound on the number of subjects.")] = None,
    accountant: Accountant = "prv",
    public: Annotated[Path | None, typer.Option(help="Public images for bases and pretraining.")] = None,
    size: Annotated[int | None, typer.Option(help="Resize to this many pixels a side.")] = None,
    device: Device = "auto",
    seed: Seed = 0,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, repeatable.")] = None,
    even_if_drowned: Annotated[
        bool, typer.Option("--even-if-drowned", help="Spend although noise will drown the signal.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the killed run in --out.")] = False,
    as_json: Json = False,
) -> None:
    """Train the generator NAME on the cohort's train split and leave its folder in --out."""
    budget = _budget(epsilon, non_private=non_private, delta=delta, public_n=public_n, accountant=accountant)
    merged = parse_merges(merge or ())
    columns = {"label": label, "subject": subject, "sex": sex, "age": age, "split": split}
    cohort = _on_site(read_cohort(images, metadata, bits=bits, **columns), merged, min_subjects)
    cohort = resize_images(cohort, size) if size else cohort
    if not budget.is_private:
        sys.stderr.write(f"{NON_PRIVATE_NOTE}\n")
    with _naming_the_override(), progress_bar(shown=not as_json) as progress:
        card = train_generator(
            name=name,
            images=cohort,
            budget=budget,
            config=_config(settings or (), labels),
            out=out,
            seed=seed,
            public=None if public is None else _public(public, merged, cohort),
            device=device,
            progress=progress,
            resume=resume,
            even_if_drowned=even_if_drowned,
        )
    print_result(asdict(card), [_line(card, out)], as_json=as_json)


@contextmanager
def _naming_the_override() -> Iterator[None]:
    try:
        yield
    except DrownedError as error:
        remedy = f"{error.remedy}; --even-if-drowned spends it all the same"
        raise DrownedError(error.what, where=error.where, remedy=remedy) from error


def _budget(
    epsilon: float | None, *, non_private: bool, delta: float, public_n: int | None, accountant: str
) -> PrivacyBudget:
    if (epsilon is None) != non_private:
        raise ConfigError(
            "one of the two is needed", where="--epsilon, --non-private", remedy="give --epsilon E, or --non-private"
        )
    if public_n is None:
        raise ConfigError("no public number of subjects", where="--public-n", remedy="declare a rounded upper bound")
    if epsilon is None:
        return PrivacyBudget.without_privacy(public_n_subjects=public_n)
    return PrivacyBudget(target_epsilon=epsilon, target_delta=delta, public_n_subjects=public_n, accountant=accountant)


def _on_site(cohort: ImageSet, merged: Mapping[str, str], min_subjects: int) -> ImageSet:
    """The cohort with labels merged; refuses, to the custodian alone, labels with too few subjects to train on."""
    require_merged_words(cohort, merged)
    cohort = merge_labels(cohort, merged)
    require_subjects(cohort.of_split("train"), minimum=min_subjects)
    return cohort


def _public(path: Path, merged: Mapping[str, str], cohort: ImageSet) -> ImageSet:
    return resize_images(merge_labels(read_public(path), merged), cohort.images.shape[1])


def _config(settings: Sequence[str], labels: str | None) -> dict[str, object]:
    config: dict[str, object] = dict(key_and_value(text) for text in settings)
    if labels is not None:
        if "labels" in config:
            raise ConfigError("given twice", where="--labels, --set labels", remedy="give one of them")
        config["labels"] = labels
    return config


def _line(card: GeneratorCard, out: Path) -> str:
    spend = card.spend
    if not card.budget.is_private:
        return f"{card.name}: NOT PRIVATE, in {out}"
    return (
        f"{card.name}: epsilon {spend.spent_epsilon:.4g} per {spend.privacy_unit} at delta {spend.delta:g} "
        f"({spend.accountant}, {spend.adjacency}), in {out}"
    )
