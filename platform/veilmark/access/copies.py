"""Each grant's own copy of the release: asked for, prepared by a job, deleted when the grant ends.

Preparing it again gives the same images: what was leaked from a copy that is gone still names its grant.
"""

from __future__ import annotations

import shutil
from datetime import UTC
from pathlib import Path

from django.db import transaction
from django.utils import timezone

from generators.base import Progress
from veilmark.access.models import Grant, GrantCopy
from veilmark.access.selectors import copy_digest, copy_zip, is_open, require_own_open
from veilmark.accounts.models import User
from veilmark.accounts.permissions import require
from veilmark.core.errors import IntegrityError, StateError
from veilmark.core.keys import secret_of, site_identity
from veilmark.core.transparency import site_log
from veilmark.jobs.services import job_enqueue
from veilmark.jobs.work import WorkState, working
from veilmark.ledger.services import event_append
from veilmark.provenance.source import zip_bundle
from veilmark.provenance.tracing.copies import GrantCopy as WrittenCopy
from veilmark.provenance.tracing.copies import GrantTerms, write_grant_copy
from veilmark.provenance.trust import TrustRoot
from veilmark.provenance.verify import verify_path
from veilmark.releases.seals import site_sealers
from veilmark.releases.selectors import bundle_folder, trust_root_path
from veilmark.releases.states import ReleaseState

TRACING_SECRET = "tracing"  # noqa: S105 - the name of the secret, not the secret


@transaction.atomic
def copy_ask(*, grant: Grant, acting_user: User | None) -> GrantCopy:
    """Have the copy of `grant` prepared, unless it is ready or on its way."""
    copy, created = GrantCopy.objects.select_for_update().get_or_create(grant=grant)
    if not created and (copy.is_ready or copy.state in {WorkState.ENQUEUED, WorkState.RUNNING}):
        return copy
    copy.state, copy.error, copy.finished_at = WorkState.ENQUEUED, "", None
    event_append(kind="grant_copy:requested", actor=acting_user, subject=copy, payload={"grant": str(grant.pk)})
    copy.job = job_enqueue(
        task="access:prepare", arguments={"copy_id": str(copy.pk)}, acting_user=acting_user, subject=copy
    )
    copy.save()
    return copy


def copy_require(*, grant: Grant, acting_user: User) -> GrantCopy:
    """A researcher asks for the copy of their own grant. Raises NotAllowedError, StateError."""
    require(acting_user, "download")
    require_own_open(grant, acting_user)
    return copy_ask(grant=grant, acting_user=acting_user)


def copy_prepare(*, copy: GrantCopy, progress: Progress) -> None:
    """Mark, sign, log, pack, verify. Called by the job. Where it raises, no zip is left.

    Raises StateError (the grant or the release has ended), ProvenanceError (files of the release that changed).
    """
    with working(copy, kind="grant_copy", acting_user=None):
        _require_open(copy.grant)
        folder = copy_zip(copy).with_suffix("")
        draft = Path(f"{copy_zip(copy)}.part")
        shutil.rmtree(folder, ignore_errors=True)  # what a killed worker left
        try:
            written = _write(copy, folder, progress)
            zip_bundle(folder, draft)
            _require_authentic(copy, draft)
            draft.replace(copy_zip(copy))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            draft.unlink(missing_ok=True)
        _finish(copy, written)


def _require_open(grant: Grant) -> None:
    release = grant.request.release
    where = f"release {release.name}"
    if not is_open(grant):
        raise StateError("the grant has ended", where=where, remedy="ask for access")
    if release.state != ReleaseState.RELEASED:
        raise StateError(f"is {release.get_state_display()}", where=where, remedy="its officers can say why")


def _write(copy: GrantCopy, folder: Path, progress: Progress) -> WrittenCopy:
    release = copy.grant.request.release
    made_at = copy.created_at.astimezone(UTC)  # of the row, so that a copy which is made again says the same
    return write_grant_copy(
        folder,
        release=bundle_folder(release),
        terms=GrantTerms(
            grant_id=str(copy.public_id),
            created_at=made_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            secret=secret_of(TRACING_SECRET),
        ),
        signer=site_identity(),
        log=site_log(),
        sealers=site_sealers(generator=release.synthetic_set.training_run.generator, signed_at=made_at),
        progress=lambda done, total: progress(done, total, "marking the grant's images"),
    )


def _require_authentic(copy: GrantCopy, path: Path) -> None:
    checked = verify_path(path, trust_root=TrustRoot.read(trust_root_path()))
    if checked.exit_code != 0 or checked.grant_id != str(copy.public_id):
        raise IntegrityError(
            f"verifies as {checked.verdict.word}", where=f"copy {copy.public_id}", remedy="prepare it anew"
        )


@transaction.atomic
def _finish(copy: GrantCopy, written: WrittenCopy) -> None:
    grant = Grant.objects.select_for_update().get(pk=copy.grant_id)
    if not is_open(grant):
        copy_zip(copy).unlink(missing_ok=True)
        raise StateError("the grant has ended", where=f"copy {copy.public_id}", remedy="ask for access")
    copy.state, copy.finished_at = WorkState.DONE, timezone.now()
    copy.manifest_digest, copy.bundle_digest = written.manifest_digest, copy_digest(copy)
    copy.save()
    release = grant.request.release
    payload = {
        "release": release.name,
        "release_manifest": release.manifest_digest,
        "grant_id": str(copy.public_id),
        "manifest_digest": copy.manifest_digest,
        "bundle_digest": copy.bundle_digest,
    }
    event_append(kind="grant_copy:finished", actor=None, subject=copy, payload=payload)
