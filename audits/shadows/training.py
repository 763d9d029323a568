"""Shadow generators: as the card's, but trained on people of the control arm, so that they never saw who is asked for.

Each has a folder of its own, named by all that it depends on: a killed run goes on there, and a finished one is read
again. Settings, budget and seed are those of the card, privacy included: a receiver knows them, and what noise does to
a score is part of what the score of a stranger looks like.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from audits.base import AuditError
from audits.stats import rows_by_subject
from generators.base import GeneratorCard, ResumeError
from generators.data import ImageSet
from generators.folder import CARD, strict_json
from generators.networks.diffusers_folder import read_public_network
from generators.runner import train_generator

COMMAND = "python -m audits weights"
FEWEST = 3


@dataclass(frozen=True, kw_only=True)
class Shadow:
    """One generator to train, as a worker is given it. images: of the people that it learns from.

    public, base: the images and the network (`lora`) that the card's generator began with, where it names them.
    """

    card: GeneratorCard
    images: ImageSet
    public: ImageSet | None
    base: Path | None
    folder: Path


Spread = Callable[[Callable[[Shadow], Path], Sequence[Shadow]], Iterable[Path]]
"""spread(train, shadows) -> folders: as `map` does it, wherever the work is done."""


def in_processes(n_workers: int) -> Spread:
    """Trained by that many processes at once."""

    def spread(train: Callable[[Shadow], Path], shadows: Sequence[Shadow]) -> list[Path]:
        with ProcessPoolExecutor(n_workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            return list(pool.map(train, shadows))

    return spread


def plan_shadows(
    card: GeneratorCard,
    people: ImageSet,
    place: Path,
    *,
    n: int,
    seed: int,
    public: ImageSet | None = None,
    base: Path | None = None,
) -> list[Shadow]:
    """n shadows of the card, each of another half of the people; folders lie in `place`.

    public, base: the images and the folder of the network that the operator has; used where the card names them.
    Raises AuditError for too few, and where the card names public data that is not given; ConfigError for a base that
    cannot be read.
    """
    if n < FEWEST:
        raise AuditError(f"{n} shadow generators", remedy=f"train at least {FEWEST}")
    public, base = _begun_with(card, public, base)
    rows = rows_by_subject(people.subjects())
    shadows = []
    for number in range(n):
        drawn = np.random.default_rng((seed, number)).permutation(len(rows))[: len(rows) // 2]
        # All of them are learned from, whatever part of the cohort they were kept out of.
        half = replace(people.select(np.sort(np.concatenate([rows[i] for i in drawn]))), split=None)
        folder = place / f"shadow-{_key(card, half, number)}"
        shadows.append(Shadow(card=card, images=half, public=public, base=base, folder=folder))
    return shadows


def train_shadows(shadows: Sequence[Shadow], *, spread: Spread = map, most_seconds: float | None = None) -> list[Path]:
    """The folders of all, trained where they are not yet. Raises AuditError, GeneratorError.

    most_seconds: for all together; the first is trained alone and given up where the rest would take too long.
    """
    if most_seconds is None:
        return list(spread(train_shadow, shadows))
    first = train_shadow(shadows[0], most_seconds=most_seconds / len(shadows))
    return [first, *spread(train_shadow, shadows[1:])]


def train_shadow(shadow: Shadow, *, most_seconds: float | None = None) -> Path:
    """The folder of one, trained, resumed or as it was. Raises AuditError where it takes longer, GeneratorError."""
    if (shadow.folder / CARD).exists():
        return shadow.folder
    if shadow.folder.exists():
        try:
            _train(shadow, resume=True, most_seconds=most_seconds)
        except ResumeError:
            shutil.rmtree(shadow.folder)  # killed where its family cannot go on
        else:
            return shadow.folder
    shadow.folder.parent.mkdir(parents=True, exist_ok=True)
    _train(shadow, resume=False, most_seconds=most_seconds)
    return shadow.folder


@dataclass(frozen=True, kw_only=True)
class _Clock:
    """A progress callback that ends a training which takes too long."""

    end: float

    def __call__(self, done: int, total: int, message: str = "") -> None:  # noqa: ARG002 - the protocol's
        if time.monotonic() > self.end:
            raise AuditError("training the shadow generators would take too long", remedy=f"give them time: {COMMAND}")


def _train(shadow: Shadow, *, resume: bool, most_seconds: float | None) -> None:
    card = shadow.card
    # Half of the people may lack a word; a card has the base's name where the run had its folder.
    labels = {"labels": ",".join(card.labels)} if any(card.labels) and "labels" in card.config else {}
    base = {"base": str(shadow.base)} if shadow.base else {}
    train_generator(
        name=card.name,
        images=shadow.images,
        budget=card.budget,
        config={**card.config, **labels, **base},
        out=shadow.folder,
        seed=card.seed,
        public=shadow.public,
        progress=_Clock(end=float("inf") if most_seconds is None else time.monotonic() + most_seconds),
        resume=resume,
        even_if_drowned=True,
    )


def _begun_with(card: GeneratorCard, public: ImageSet | None, base: Path | None) -> tuple[ImageSet | None, Path | None]:
    """Of the images and the network that the operator has, those that the card names. Raises as `plan_shadows`."""
    named = {entry["digest"] for entry in card.public_data if "digest" in entry}
    if public is not None and public.digest not in named:
        public = None
    network = "" if base is None else _digest(base, card)
    if network not in named:
        base = None
    if named - {network, "" if public is None else public.digest}:
        raise AuditError(
            "the card's generator began with public data that was not given",
            where="shadow generators",
            remedy=f"give what the card names: {COMMAND} with --public FILE or --base FOLDER",
        )
    return public, base


def _digest(base: Path, card: GeneratorCard) -> str:
    return read_public_network(str(base), size=card.image_size, channels=card.channels).digest


def _key(card: GeneratorCard, images: ImageSet, number: int) -> str:
    """Names everything that a shadow depends on."""
    depends = [asdict(card), images.digest, number]
    return hashlib.sha256(json.dumps(strict_json(depends), sort_keys=True).encode()).hexdigest()[:16]
