"""A release from draft to the officers' table: created, submitted, audited, decided, opened for review."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.core.validators import validate_slug
from django.db import transaction

from generators.base import Progress
from policies.profile import load_profile
from veilmark.accounts.models import User
from veilmark.accounts.permissions import require
from veilmark.audit_runs.services import audit_run_carry_out, audit_run_create
from veilmark.core.errors import ApplicationError, NotAllowedError, StateError
from veilmark.decisions.models import Outcome
from veilmark.decisions.services import decision_make
from veilmark.jobs.services import job_enqueue
from veilmark.ledger.services import event_append
from veilmark.reader_studies.selectors import n_complete_readers
from veilmark.releases.models import Release
from veilmark.releases.moves import release_move, require_reason
from veilmark.releases.states import ReleaseState
from veilmark.synthetic_sets.models import SyntheticSet

READER_QUORUM = 3


@dataclass(frozen=True, kw_only=True)
class ReleaseDraft:
    """What the custodian writes about a release. name: letters, digits and hyphens; it names the bundle."""

    name: str
    title: str
    description: str = ""
    profile: str = "internal"


@transaction.atomic
def release_create(*, synthetic_set: SyntheticSet, draft: ReleaseDraft, acting_user: User) -> Release:
    """Raises NotAllowedError, StateError (set not finished), PolicyError (unknown profile), ApplicationError."""
    require(acting_user, "release:create")
    if synthetic_set.training_run.cohort.custodian_id != acting_user.pk:
        raise NotAllowedError("belongs to another custodian", where=str(synthetic_set), remedy="ask its custodian")
    if not synthetic_set.is_done:
        raise StateError(f"is {synthetic_set.state}", where=str(synthetic_set), remedy="wait until it is done")
    load_profile(draft.profile)
    release = Release(
        synthetic_set=synthetic_set,
        custodian=acting_user,
        name=draft.name,
        title=draft.title.strip() or draft.name,
        description=draft.description,
        profile=draft.profile,
    )
    try:
        validate_slug(draft.name)
        release.full_clean(exclude=["audit_run", "decision", "job", "published_at", "expires_at"])
    except ValidationError as error:
        raise ApplicationError(
            " ".join(error.messages), where=f"release {draft.name!r}", remedy="correct it"
        ) from error
    release.save()
    event_append(
        kind="release:drafted",
        actor=acting_user,
        subject=release,
        payload={"name": release.name, "profile": release.profile, "content_root": synthetic_set.content_root},
    )
    return release


@transaction.atomic
def release_submit(*, release: Release, acting_user: User) -> None:
    """Hand the draft to the audits and the rules: a job does both. A finished audit of the same set is used again."""
    _require_own(release, acting_user)
    finished = release.synthetic_set.audit_runs.filter(state="done").first()
    release.audit_run = finished or audit_run_create(
        synthetic_set=release.synthetic_set, acting_user=acting_user, enqueue=False
    )
    release.job = job_enqueue(
        task="releases:assess", arguments={"release_id": str(release.pk)}, acting_user=acting_user, subject=release
    )
    release.save(update_fields=["audit_run", "job", "updated_at"])
    release_move(release, ReleaseState.AUDITING, acting_user=acting_user)


def release_assess(*, release: Release, progress: Progress) -> None:
    """Audit the final files where that is still to do, decide, and move to READY or FAILED. Called by the job."""
    audit_run = release.audit_run
    if audit_run is None:
        raise StateError("has no audit run", where=f"release {release.name}", remedy="submit it again")
    if not audit_run.is_done:
        audit_run_carry_out(run=audit_run, progress=progress)
    with transaction.atomic():
        release.decision = decision_make(audit_run=audit_run, profile=release.profile, phase="endorsement")
        release.save(update_fields=["decision", "updated_at"])
        passed = release.decision.outcome == Outcome.PASS
        target = ReleaseState.READY if passed else ReleaseState.FAILED
        release_move(
            release,
            target,
            acting_user=None,
            reason=release.decision.reason,
            payload={"decision": str(release.decision.pk)},
        )


@transaction.atomic
def release_send_to_clinicians(*, release: Release, acting_user: User) -> None:
    """READY to CLINICAL, and on to IN_REVIEW at once where the profile asks for no readers."""
    _require_own(release, acting_user)
    release_move(release, ReleaseState.CLINICAL, acting_user=acting_user)
    if reader_quorum(release) == 0:
        release_move(release, ReleaseState.IN_REVIEW, acting_user=None, reason="the profile asks for no readers")


@transaction.atomic
def release_open_review(*, release: Release, acting_user: User) -> None:
    """CLINICAL to IN_REVIEW once enough clinicians have read the whole study. Raises StateError before."""
    _require_own(release, acting_user)
    wanted, found = reader_quorum(release), n_complete_readers(release.synthetic_set)
    if found < wanted:
        raise StateError(
            f"{found} of {wanted} readers have finished", where=f"release {release.name}", remedy="wait for them"
        )
    release_move(release, ReleaseState.IN_REVIEW, acting_user=None, reason=f"{found} readers have finished")


def reader_quorum(release: Release) -> int:
    """How many clinicians must have read: none where the profile has no rule on readers."""
    asks = any("reader_quorum_met" in rule.check.needs for rule in load_profile(release.profile).rules)
    return READER_QUORUM if asks else 0


@transaction.atomic
def release_reopen(*, release: Release, acting_user: User) -> None:
    """FAILED or RETURNED back to DRAFT: earlier votes are void."""
    _require_own(release, acting_user)
    release.round += 1
    release.save(update_fields=["round"])
    release_move(release, ReleaseState.DRAFT, acting_user=acting_user)


@transaction.atomic
def release_withdraw(*, release: Release, reason: str, acting_user: User) -> None:
    """The custodian takes an unreleased set back."""
    _require_own(release, acting_user)
    release_move(release, ReleaseState.WITHDRAWN, acting_user=acting_user, reason=require_reason(reason, release))


def _require_own(release: Release, user: User) -> None:
    require(user, "release:create")
    if release.custodian_id != user.pk:
        raise NotAllowedError(
            "belongs to another custodian", where=f"release {release.name}", remedy="ask its custodian"
        )
