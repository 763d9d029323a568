"""Train, sample, read the card: the three calls that command line and platform make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from generators.base import (
    CellCount,
    ConfigError,
    DataError,
    Generator,
    GeneratorCard,
    GeneratorError,
    Progress,
    Run,
    SpendRecorder,
    no_progress,
)
from generators.conditions import Vocabulary
from generators.config import build_config
from generators.data import ImageSet
from generators.folder import CARD, check_same_run, discard, load_card, open_folder
from generators.plans.drowning import require_signal
from generators.privacy import PrivacyBudget
from generators.registry import get_generator
from generators.steps_log import Recorders, StepsLog, read_log

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
    even_if_drowned: bool = False,
) -> GeneratorCard:
    """Train the generator `name` on the train split of `images` and leave its folder in `out`.

    recorder: told of every spend after it stands in `out/steps.log` and before noise is drawn. resume: go on with the
    killed run in `out`; a finished one returns its card. even_if_drowned: spend although noise will drown the signal.
    Raises GeneratorError, DrownedError where it would; bad input leaves `out` as it was.
    """
    generator = get_generator(name)
    if device not in DEVICES:
        raise ConfigError(f"is {device!r}", where="device", remedy=f"choose one of {', '.join(DEVICES)}")
    train = images.of_split("train")
    _check_images(train, public)
    chosen = build_config(generator.config_class, config or {})
    settings: dict[str, object] = asdict(chosen)  # type: ignore[call-overload]  # every config is a dataclass
    vocabulary = Vocabulary.of(train, str(settings.get("labels", "")))
    vocabulary.numbers(train)
    if not (even_if_drowned or resume):
        require_signal(budget, chosen, n_labels=len(vocabulary.labels))
    log = StepsLog(out)
    run = Run(
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
    return _train_in_folder(generator, run)


def _train_in_folder(generator: Generator, run: Run) -> GeneratorCard:
    """Train in `run.out`, new or of the same run; refused before anything was charged, it is left as it was."""
    fresh = not run.out.exists()
    open_folder(run.out, resume=run.resume)
    check_same_run(run.out, _fingerprint(generator.name, run), resume=run.resume)
    if run.resume and (run.out / CARD).exists():
        return load_card(run.out)
    try:
        return generator.train(run)
    except GeneratorError:
        if not run.resume and read_log(run.out) is None:
            discard(run.out, whole=fresh)
        raise


def _fingerprint(name: str, run: Run) -> dict[str, object]:
    """What a resumed run must have in common with the killed one. Its epsilon may be larger."""
    return {
        "name": name,
        "config": run.config,
        "data": run.images.digest,
        "public": "phantoms" if run.public is None else run.public.digest,
        "seed": run.seed,
        "public_n_subjects": run.budget.public_n_subjects,
        "target_delta": run.budget.target_delta,
        "accountant": run.budget.accountant,
    }


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
    if public is None:
        return
    if not len(public):
        raise DataError("holds no images", where="public", remedy="give at least one, or leave it out for phantoms")
    if public.images.shape[1:] != shape:
        raise DataError(
            f"images are {_shape(public)}, those of the cohort {_shape(images)}",
            where="public",
            remedy="resize one of them" if public.channels == images.channels else "give a set of as many channels",
        )


def _shape(images: ImageSet) -> str:
    return f"{images.images.shape[1]}x{images.images.shape[2]} {'grey' if images.channels == 1 else 'colour'}"
