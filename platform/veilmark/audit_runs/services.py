"""Auditing the final files of a synthetic set: the bytes that would leave, not the arrays they came from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from django.db import transaction
from django.utils import timezone

from audits.base import AuditInput
from audits.registry import list_audits, run_audits
from audits.report import Audience, AuditReport
from generators.base import Progress
from generators.data import ImageSet
from generators.tables import resize_images
from veilmark.accounts.models import User
from veilmark.accounts.permissions import require
from veilmark.audit_runs.copies import flagged_pairs
from veilmark.audit_runs.marks import mark_counts
from veilmark.audit_runs.models import AuditRun
from veilmark.audit_runs.reports import report_store, stored_page
from veilmark.cohorts.selectors import cohort_images
from veilmark.core.errors import IntegrityError, NotAllowedError, StateError
from veilmark.jobs.services import job_enqueue
from veilmark.jobs.work import WorkState, require_seed, working
from veilmark.ledger.services import event_append
from veilmark.synthetic_sets.final_files import read_final_set
from veilmark.synthetic_sets.models import SyntheticSet
from veilmark.training_runs.services import run_folder

OF_WEIGHTS = frozenset({"weights_membership"})


@transaction.atomic
def audit_run_create(
    *, synthetic_set: SyntheticSet, acting_user: User, seed: int = 0, enqueue: bool = True
) -> AuditRun:
    """Record the wish for an audit; `enqueue` False where the caller's own job carries it out.

    Raises NotAllowedError, StateError where the set is not finished.
    """
    require(acting_user, "audit:run")
    cohort = synthetic_set.training_run.cohort
    if acting_user.role == "custodian" and cohort.custodian_id != acting_user.pk:
        raise NotAllowedError("belongs to another custodian", where=str(synthetic_set), remedy="ask its custodian")
    require_seed(seed)
    if not synthetic_set.is_done:
        raise StateError(f"is {synthetic_set.state}", where=str(synthetic_set), remedy="wait until it is done")
    run = AuditRun.objects.create(synthetic_set=synthetic_set, requested_by=acting_user, seed=seed)
    event_append(kind="audit_run:requested", actor=acting_user, subject=run, payload={"set": str(synthetic_set.pk)})
    if enqueue:
        run.job = job_enqueue(
            task="audit_runs:audit", arguments={"audit_run_id": str(run.pk)}, acting_user=acting_user, subject=run
        )
        run.save(update_fields=["job"])
    return run


def audit_run_carry_out(*, run: AuditRun, progress: Progress) -> None:
    """Audit the files as they lie on disk. Called by a job.

    Raises AuditError, and IntegrityError where the files are not those that the set was finished with.
    """
    with working(run, kind="audit_run", acting_user=run.requested_by):
        final = read_final_set(run.synthetic_set)
        if final.content_root != run.synthetic_set.content_root:
            raise IntegrityError("files differ from those written", where=str(run.synthetic_set), remedy="draw it anew")
        report = run_audits(_arms(run, final.images), only=_audits(), progress=progress)
        _finish(run, report, final.content_root)


def _arms(run: AuditRun, synthetic: ImageSet) -> AuditInput:
    training = run.synthetic_set.training_run
    images = resize_images(cohort_images(training.cohort), training.image_size)
    holdout = images.of_split("holdout")
    return AuditInput(
        train=images.of_split("train"),
        holdout=holdout,
        control=images.of_split("control"),
        # A label on a strip below the image is no part of it.
        synthetic=replace(synthetic, images=synthetic.images[:, : training.image_size]),
        generator=run_folder(training),
        marks=mark_counts(run.synthetic_set, holdout, seed=run.seed),
        seed=run.seed,
    )


def _audits() -> list[str]:
    """All but those of the weights, which no release gives away: they train generators anew, for minutes and hours."""
    return [name for name in list_audits() if name not in OF_WEIGHTS]


def _finish(run: AuditRun, report: AuditReport, content_root: str) -> None:
    """The publishable form goes to the database, the internal one into the cohort's encrypted files."""
    report_store(run, report)
    with transaction.atomic():
        run.n_flagged_copies = len(flagged_pairs(run))
        run.report = report.to_json(Audience.PUBLISHABLE)
        text = json.dumps(run.report, sort_keys=True)
        run.report_digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
        run.content_root = content_root
        run.state = WorkState.DONE
        run.finished_at = timezone.now()
        run.save()
        payload = {"content_root": content_root, "report_digest": run.report_digest}
        event_append(kind="audit_run:finished", actor=run.requested_by, subject=run, payload=payload)


@transaction.atomic
def internal_page_show(*, run: AuditRun, acting_user: User) -> str:
    """The internal form for this one look: it shows flagged people's images. Raises as `report_page`."""
    require(acting_user, "audit:view")
    page = report_page(run, Audience.INTERNAL)
    event_append(kind="audit_run:report_seen", actor=acting_user, subject=run)
    return page


def report_page(run: AuditRun, audience: Audience) -> str:
    """The report as one self-contained page. Raises StateError before the run is done."""
    if not run.is_done:
        raise StateError(f"is {run.state}", where=str(run), remedy="wait until it is done")
    return stored_page(run, audience)
