"""Drawing a synthetic set: sampled from the generator, marked, written as final files, read back, digested."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from django.db import transaction
from django.utils import timezone

from generators.base import CellCount, Progress
from generators.data import ImageSet
from generators.folder import folder_digest
from generators.runner import sample_generator
from veilmark.accounts.models import User
from veilmark.accounts.permissions import require
from veilmark.core.errors import IntegrityError, NotAllowedError, StateError
from veilmark.jobs.services import job_enqueue
from veilmark.jobs.work import WorkState, require_seed, working
from veilmark.ledger.services import event_append
from veilmark.provenance.dicom_files import DicomWriter
from veilmark.provenance.digests import ImageMetadata
from veilmark.provenance.embedded.visible_label import VisibleLabel, check_label
from veilmark.provenance.parallel import usable_cores
from veilmark.provenance.prepared import PreparedImages, prepare_images
from veilmark.synthetic_sets.counts import even_cells, require_size
from veilmark.synthetic_sets.final_files import marks_after_attacks, n_marks_found
from veilmark.synthetic_sets.models import MAX_SERIAL, SyntheticSet
from veilmark.synthetic_sets.selectors import set_folder
from veilmark.training_runs.models import TrainingRun
from veilmark.training_runs.services import run_folder


@transaction.atomic
def synthetic_set_create(
    *,
    training_run: TrainingRun,
    acting_user: User,
    n_images: int = 0,
    cells: Sequence[CellCount] = (),
    seed: int = 0,
    visible_label: VisibleLabel = VisibleLabel.NONE,
) -> SyntheticSet:
    """Ask for `cells`, or for `n_images` spread evenly. Costs no privacy: the generator is already noised.

    Raises NotAllowedError, StateError (run not finished), ApplicationError (nothing or too much asked for), FileError
    (images too small for the visible label).
    """
    require(acting_user, "synthetic_set:create")
    if training_run.cohort.custodian_id != acting_user.pk:
        raise NotAllowedError("belongs to another custodian", where=str(training_run), remedy="ask its custodian")
    if not training_run.is_done:
        raise StateError(f"is {training_run.state}", where=str(training_run), remedy="wait until it is done")
    require_seed(seed)
    check_label((training_run.image_size, training_run.image_size), visible_label)
    wanted = list(cells) or even_cells(training_run.card, n_images)
    synthetic_set = SyntheticSet.objects.create(
        training_run=training_run,
        created_by=acting_user,
        serial=_free_serial(),
        seed=seed,
        counts=[asdict(cell) for cell in wanted],
        n_images=require_size(wanted),
        visible_label=visible_label.value,
        generator_digest=training_run.generator_digest,
    )
    payload = {
        "n_images": synthetic_set.n_images,
        "seed": seed,
        "visible_label": synthetic_set.visible_label,
        "generator_digest": training_run.generator_digest,
    }
    event_append(kind="synthetic_set:requested", actor=acting_user, subject=synthetic_set, payload=payload)
    synthetic_set.job = job_enqueue(
        task="synthetic_sets:draw",
        arguments={"synthetic_set_id": str(synthetic_set.pk)},
        acting_user=acting_user,
        subject=synthetic_set,
    )
    synthetic_set.save(update_fields=["job"])
    return synthetic_set


def _free_serial() -> int:
    """A number that no other set has: random, so that it tells nobody how many sets there are."""
    taken = set(SyntheticSet.objects.values_list("serial", flat=True))
    while (serial := 1 + secrets.randbelow(MAX_SERIAL)) in taken:
        pass
    return serial


def synthetic_set_draw(*, synthetic_set: SyntheticSet, progress: Progress) -> None:
    """Sample, mark, write, read back. Called by the job. Raises GeneratorError, ProvenanceError, IntegrityError."""
    with working(synthetic_set, kind="synthetic_set", acting_user=synthetic_set.created_by):
        folder = run_folder(synthetic_set.training_run)
        _require_unchanged(folder, synthetic_set)
        cells = [CellCount(**cell) for cell in synthetic_set.counts]
        images = sample_generator(folder, cells, seed=synthetic_set.seed, progress=progress)
        # What a killed worker left half written was never digested by anybody.
        shutil.rmtree(set_folder(synthetic_set), ignore_errors=True)
        prepared = prepare_images(
            set_folder(synthetic_set),
            images=images.images,
            metadata=_metadata(synthetic_set, images),
            mark_release=synthetic_set.serial,
            created_at=synthetic_set.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            writers=[_dicom_writer(synthetic_set.training_run, images.used_bits)],
            visible_label=VisibleLabel(synthetic_set.visible_label),
            n_processes=usable_cores(),
            progress=lambda done, total: progress(done, total, "writing marked images"),
        )
        _finish(synthetic_set, prepared)


def _dicom_writer(run: TrainingRun, used_bits: int) -> DicomWriter:
    """Of the modality that the cohort's custodian declared; it stores 8, 12 or 16 bits."""
    return DicomWriter(
        generator=run.generator,
        version=version("veilmark"),
        modality=run.cohort.modality or "OT",
        bits=next(stored for stored in (8, 12, 16) if used_bits <= stored),
    )


def _require_unchanged(folder: Path, synthetic_set: SyntheticSet) -> None:
    where = f"generator of {synthetic_set}"
    try:
        digest = folder_digest(folder)
    except OSError as error:
        raise IntegrityError(f"cannot be read ({error.strerror})", where=where, remedy="train it anew") from error
    if digest != synthetic_set.generator_digest:
        raise IntegrityError("was changed since it was trained", where=where, remedy="train it anew")


def _metadata(synthetic_set: SyntheticSet, images: ImageSet) -> list[ImageMetadata]:
    blank = [""] * len(images)
    columns = dict(images.columns())
    label, sex, age_group = (
        columns[name].tolist() if name in columns else blank for name in ("label", "sex", "age_group")
    )
    return [
        ImageMetadata(
            release_id=synthetic_set.public_id,
            image_id=f"{synthetic_set.public_id}-{row:06d}",
            label=label[row],
            sex=sex[row],
            age_group=age_group[row],
        )
        for row in range(len(images))
    ]


def _finish(synthetic_set: SyntheticSet, prepared: PreparedImages) -> None:
    n_found = n_marks_found(prepared)
    survival = marks_after_attacks(prepared, seed=synthetic_set.seed)
    with transaction.atomic():
        synthetic_set.content_root = prepared.merkle_root
        synthetic_set.n_mark_detected = n_found
        synthetic_set.mark_survival = survival
        synthetic_set.state = WorkState.DONE
        synthetic_set.finished_at = timezone.now()
        synthetic_set.save()
        payload = {
            "content_root": prepared.merkle_root,
            "n_mark_detected": n_found,
            "mark_survives": survival["passes"],
        }
        event_append(
            kind="synthetic_set:finished", actor=synthetic_set.created_by, subject=synthetic_set, payload=payload
        )
