"""Starting a training run, carrying it out, and what is left of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from generators.base import ConfigError, GeneratorCard, Progress
from generators.config import build_config
from generators.data import ImageSet
from generators.folder import folder_digest
from generators.label_rules import MIN_SUBJECTS_A_LABEL
from generators.plans.drowning import require_signal
from generators.privacy import DEFAULT_DELTA, PrivacyBudget
from generators.registry import get_generator
from generators.runner import DEVICES, train_generator
from generators.tables import read_public, resize_images
from veilmark.accounts.models import User
from veilmark.accounts.permissions import require
from veilmark.cohorts.models import Cohort
from veilmark.cohorts.selectors import cohort_images
from veilmark.core.errors import ApplicationError, NotAllowedError
from veilmark.jobs.services import job_enqueue
from veilmark.jobs.work import WorkState, require_seed, working
from veilmark.ledger.services import event_append
from veilmark.training_runs.models import TrainingRun
from veilmark.training_runs.recorder import LedgerRecorder, require_within_budget


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """What the custodian asks for. `epsilon`, `delta` and `accountant` bound the cost; the rest cannot raise it.

    image_size: pixels a side of what the generator sees and draws. public_data: the name of a public image set that
    the operator put into `var/public`, empty for phantoms.
    """

    generator: str = "latent-statistics"
    epsilon: float = 8.0
    delta: float = DEFAULT_DELTA
    accountant: str = "prv"
    image_size: int = 64
    seed: int = 0
    device: str = "auto"
    public_data: str = ""
    config: Mapping[str, object] = field(default_factory=dict)


def run_folder(run: TrainingRun) -> Path:
    """Where the run's generator folder lies. It holds noised results only, never private data."""
    return Path(settings.VEILMARK_VAR) / "training_runs" / str(run.pk)


def public_path(name: str) -> Path:
    """The file of a public image set: one that the operator put there, never any other file of the server.

    Raises ApplicationError where there is none of that name.
    """
    path = _among_public(name)
    if path is None or not path.is_file():
        raise ApplicationError("no such public set", where=name, remedy="the operator puts an .npz into var/public")
    return path


def public_network_path(name: str) -> Path:
    """The folder of a public network, which `lora` starts from; as `public_path`. Raises ApplicationError."""
    path = _among_public(name)
    if path is None or not path.is_dir():
        raise ApplicationError(
            "no such public network",
            where=f"base {name!r}",
            remedy="the operator puts a folder of diffusers into var/public; name that folder",
        )
    return path


def _among_public(name: str) -> Path | None:
    """What the operator keeps under that name in `var/public`; None for whatever lies elsewhere."""
    folder = (Path(settings.VEILMARK_VAR) / "public").resolve()
    path = (folder / name).resolve()
    return path if folder in path.parents else None


def budget_of(cohort: Cohort, plan: TrainingPlan) -> PrivacyBudget:
    """The budget that a plan asks for. Raises BudgetError where it is none."""
    return PrivacyBudget(
        target_epsilon=plan.epsilon,
        target_delta=plan.delta,
        public_n_subjects=cohort.public_n_subjects,
        accountant=plan.accountant,
        privacy_unit=cohort.privacy_unit,
    )


@transaction.atomic
def training_run_start(*, cohort: Cohort, plan: TrainingPlan, acting_user: User) -> TrainingRun:
    """Check a plan and enqueue it. Nothing is spent yet.

    Raises NotAllowedError, BudgetError (invalid, beyond what the cohort has left, or so small that noise would drown
    the signal), ConfigError (unknown generator, a setting that it does not have), ApplicationError (also for a label
    that too few people of the train split bear).
    """
    require(acting_user, "generator:train")
    if cohort.custodian_id != acting_user.pk:
        raise NotAllowedError("belongs to another custodian", where=f"cohort {cohort.name}", remedy="ask its custodian")
    _require_possible(plan)
    _require_learnable(cohort)
    budget = budget_of(cohort, plan)
    require_within_budget(cohort, wished_epsilon=plan.epsilon)
    _require_signal(cohort, plan, budget)
    run = TrainingRun.objects.create(
        cohort=cohort,
        trainer=acting_user,
        generator=plan.generator,
        config=dict(plan.config),
        image_size=plan.image_size,
        target_epsilon=plan.epsilon,
        target_delta=plan.delta,
        accountant=plan.accountant,
        seed=plan.seed,
        device=plan.device,
        public_data=plan.public_data,
    )
    payload = {name: value for name, value in asdict(plan).items() if name != "config"} | {"cohort": cohort.name}
    event_append(kind="training_run:requested", actor=acting_user, subject=run, payload=payload)
    run.job = job_enqueue(
        task="training_runs:train", arguments={"training_run_id": str(run.pk)}, acting_user=acting_user, subject=run
    )
    run.save(update_fields=["job"])
    return run


def _require_possible(plan: TrainingPlan) -> None:
    _config_here(plan.generator, plan.config)
    require_seed(plan.seed)
    if plan.public_data:
        public_path(plan.public_data)
    if plan.device not in DEVICES:
        raise ConfigError(f"is {plan.device!r}", where="device", remedy=f"choose one of {', '.join(DEVICES)}")
    if not 16 <= plan.image_size <= 512:
        raise ApplicationError(f"is {plan.image_size}", where="image size", remedy="choose 16 to 512 pixels")


def _require_learnable(cohort: Cohort) -> None:
    """The contract counts a label's people over all splits; training sees those of one. Said on site alone.

    Cohorts taken in before these counts were kept pass as they did.
    """
    for label, n in cohort.n_train_subjects_by_label.items():
        if n < MIN_SUBJECTS_A_LABEL:
            raise ApplicationError(
                f"{label!r} is borne by {n} subjects of the train split, fewer than {MIN_SUBJECTS_A_LABEL}",
                where=f"cohort {cohort.name}",
                remedy="take it in again with that label merged into another or its images left out",
            )


def _config_here(generator: str, config: Mapping[str, object]) -> dict[str, object]:
    """The settings with the path of the public network that they name. Raises ConfigError, ApplicationError."""
    chosen = build_config(get_generator(generator).config_class, config)
    base = getattr(chosen, "base", None)
    return dict(config) if base is None else {**config, "base": str(public_network_path(base))}


def _require_signal(cohort: Cohort, plan: TrainingPlan, budget: PrivacyBudget) -> None:
    """Said at once and not by the job: the runner would refuse it as well."""
    declared = str(plan.config.get("labels", ""))
    chosen = build_config(get_generator(plan.generator).config_class, plan.config)
    require_signal(budget, chosen, n_labels=len(declared.split(",") if declared else cohort.labels))


def training_run_carry_out(*, run: TrainingRun, progress: Progress) -> None:
    """Train, or resume what a killed worker left. Called by the job. Raises GeneratorError."""
    with working(run, kind="training_run", acting_user=run.trainer):
        card = train_generator(
            name=run.generator,
            images=resize_images(cohort_images(run.cohort).of_split("train"), run.image_size),
            budget=budget_of(run.cohort, _plan_of(run)),
            config=_config_here(run.generator, run.config),
            out=run_folder(run),
            seed=run.seed,
            public=_public_images(run),
            device=run.device,
            recorder=LedgerRecorder(run=run),
            progress=progress,
            resume=run_folder(run).is_dir(),  # a killed worker left it, perhaps before anything was charged
        )
        _finish(run, card)


def _plan_of(run: TrainingRun) -> TrainingPlan:
    return TrainingPlan(epsilon=run.target_epsilon, delta=run.target_delta, accountant=run.accountant)


def _public_images(run: TrainingRun) -> ImageSet | None:
    if not run.public_data:
        return None
    return resize_images(read_public(public_path(run.public_data)), run.image_size)


@transaction.atomic
def _finish(run: TrainingRun, card: GeneratorCard) -> None:
    run.card = json.loads(json.dumps(asdict(card)))
    run.spent_epsilon = card.spend.spent_epsilon
    run.generator_digest = folder_digest(run_folder(run))
    run.state = WorkState.DONE
    run.finished_at = timezone.now()
    run.save()
    payload = {"generator_digest": run.generator_digest, "spent_epsilon": run.spent_epsilon}
    event_append(kind="training_run:finished", actor=run.trainer, subject=run, payload=payload)
