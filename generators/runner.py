"""Train, sample, read the card: the three calls that command line and platform make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from generators.base import (
    CellCount,
    ConfigError,
    DataError,
    GeneratorCard,
    Progress,
    Run,
    SpendRecorder,
    no_progress,
)
from generators.config import build_config
from generators.data import ImageSet
from generators.folder import CARD, check_same_run, load_card, open_folder
from generators.privacy import PrivacyBudget
from generators.registry import get_generator
from generators.steps_log import Recorders, StepsLog

DEVICES = ("auto", "cpu", "cuda")

__all__ = ["load_card", "sample_generator", "train_generator"]


def train_generator(  # noqa: PLR0913 (every one a named choice of the caller)
    *,
    name: str,
    images: ImageSet,
    budget: PrivacyBudget,
    config: Mapping[str, object] | None = None,
    out: Path,
    seed: int = 0,
    public: ImageSet | None = None,
    device: str = "auto",
    recorder: SpendRecorder | None = None,
    progress: Progress = no_progress,
    resume: bool = False,
) -> GeneratorCard:
    """Train the generator `name` on the train split of `images` and leave its folder in `out`.

    recorder: told of every spend after it stands in `out/steps.log` and before noise is drawn. resume: go on with the
    killed run in `out`; a finished one returns its card. Raises GeneratorError; bad input leaves `out` as it was.
    """
    generator = get_generator(name)
    if device not in DEVICES:
        raise ConfigError(f"is {device!r}", where="device", remedy=f"choose one of {', '.join(DEVICES)}")
    train = images.of_split("train")
    _check_images(train, public)
    settings = asdict(build_config(generator.config_class, config or {}))  # type: ignore[call-overload]  # a dataclass
    open_folder(out, resume=resume)
    fingerprint = {
        "name": name,
        "config": settings,
        "data": train.digest,
        "public": "phantoms" if public is None else public.digest,
        "seed": seed,
        "public_n_subjects": budget.public_n_subjects,
        "target_delta": budget.target_delta,
        "accountant": budget.accountant,
    }
    check_same_run(out, fingerprint, resume=resume)
    if resume and (out / CARD).exists():
        return load_card(out)
    log = StepsLog(out)
    return generator.train(
        Run(
            images=train,
            budget=budget,
            config=settings,
            out=out,
            seed=seed,
            public=public,
            device=device,
            recorder=log if recorder is None else Recorders((log, recorder)),
            progress=progress,
            resume=resume,
        )
    )


def sample_generator(
    folder: Path, counts: Sequence[CellCount], *, seed: int = 0, progress: Progress = no_progress
) -> ImageSet:
    """Draw synthetic images with columns label, sex and age_group; deterministic in `seed`, free of privacy cost."""
    return get_generator(load_card(folder).name).sample(folder, counts, seed=seed, progress=progress)


def _check_images(images: ImageSet, public: ImageSet | None) -> None:
    if not len(images):
        raise DataError("no images to train on", where="images", remedy="give a cohort with a train split")
    shape = images.images.shape[1:]
    if shape[0] != shape[1]:
        raise DataError(f"images are {shape[0]}x{shape[1]}", where="images", remedy="make them square, as with --size")
    if public is not None and public.images.shape[1:] != shape:
        raise DataError(
            f"images are {public.images.shape[1:]}, not {shape}", where="public", remedy="resize one of them"
        )
