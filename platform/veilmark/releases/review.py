"""The officers' part: blind votes, signatures under a digest, suspension, motions of two."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.utils import timezone

from veilmark.accounts.models import User
from veilmark.accounts.permissions import require
from veilmark.accounts.services import reauthenticate
from veilmark.core.errors import ApplicationError, NotAllowedError, StateError
from veilmark.jobs.services import job_enqueue
from veilmark.ledger.services import event_append
from veilmark.releases.models import Endorsement, Motion, Release, Review, Vote
from veilmark.releases.moves import release_lock, release_move, require_move, require_reason
from veilmark.releases.publication import require_publishable
from veilmark.releases.selectors import interest_of
from veilmark.releases.states import ReleaseState
from veilmark.releases.trust_roots import KEEP_TASK

N_OFFICERS = 2
MOTION_TARGETS = (ReleaseState.REVOKED, ReleaseState.RELEASED)


@transaction.atomic
def release_vote(*, release: Release, vote: str, reason: str, acting_user: User) -> Review:
    """An officer's blind vote. The second one ends the review; a vote against it returns or rejects the release.

    Raises NotAllowedError (role, or not independent), StateError, ApplicationError (no reason, voted already).
    """
    release_lock(release)
    _require_independent(release, acting_user)
    _require_state(release, ReleaseState.IN_REVIEW)
    if vote not in Vote.values:
        raise ApplicationError(f"is {vote!r}", where="vote", remedy=f"choose one of {', '.join(Vote.values)}")
    review = Review(
        release=release, officer=acting_user, round=release.round, vote=vote, reason=require_reason(reason, release)
    )
    _save_once(review, "voted already in this round", release)
    event_append(kind="release:voted", actor=acting_user, subject=release, payload={"round": release.round})
    votes = list(release.reviews.filter(round=release.round).values_list("vote", flat=True))
    if len(votes) == N_OFFICERS:
        release_move(release, ReleaseState.REVIEWED, acting_user=acting_user, payload={"votes": sorted(votes)})
        _turn_down(release, votes, reason, acting_user)
    return review


def _turn_down(release: Release, votes: list[str], reason: str, acting_user: User) -> None:
    for vote, target in ((Vote.REJECT, ReleaseState.REJECTED), (Vote.RETURN, ReleaseState.RETURNED)):
        if vote in votes:
            release_move(release, target, acting_user=acting_user, reason=reason)
            return


def release_endorse(*, release: Release, digest: str, meaning: str, password: str, acting_user: User) -> Endorsement:
    """An officer signs the digest of the audited files: password anew, meaning stated (21 CFR 11.50, 11.200).

    The second signature approves the release and enqueues its publication.
    Raises NotAllowedError (role, not independent, has not voted for it, wrong password), StateError, ApplicationError.
    """
    _require_endorsable(release, digest, meaning, acting_user)
    # Outside the transaction: a wrong password must be counted, not rolled back with the rest.
    reauthenticate(user=acting_user, password=password)
    return _sign(release, digest, meaning.strip(), acting_user)


def _require_endorsable(release: Release, digest: str, meaning: str, officer: User) -> None:
    _require_independent(release, officer)
    _require_state(release, ReleaseState.REVIEWED)
    if not release.reviews.filter(round=release.round, officer=officer, vote=Vote.APPROVE).exists():
        raise NotAllowedError("has not voted for it", where=f"release {release.name}", remedy="only its reviewers sign")
    audited = release.audit_run.content_root if release.audit_run else ""
    if not digest or digest != audited:
        raise ApplicationError(
            "is not the digest of the audited files", where=f"release {release.name}", remedy=f"sign {audited}"
        )
    if not meaning.strip():
        raise ApplicationError("is empty", where="meaning", remedy="say what the signature stands for")


@transaction.atomic
def _sign(release: Release, digest: str, meaning: str, officer: User) -> Endorsement:
    release_lock(release)
    _require_endorsable(release, digest, meaning, officer)
    endorsement = Endorsement(
        release=release,
        officer=officer,
        round=release.round,
        digest=digest,
        meaning=meaning,
        reauthenticated_at=officer.reauthenticated_at or timezone.now(),
    )
    _save_once(endorsement, "has signed already", release)
    event_append(
        kind="release:endorsed", actor=officer, subject=release, payload={"digest": digest, "meaning": meaning}
    )
    if release.endorsements.filter(round=release.round, digest=digest).count() == N_OFFICERS:
        _approve(release, officer)
    return endorsement


def _approve(release: Release, acting_user: User) -> None:
    release_move(release, ReleaseState.APPROVED, acting_user=acting_user)
    release.job = job_enqueue(
        task="releases:publish", arguments={"release_id": str(release.pk)}, acting_user=acting_user, subject=release
    )
    release.save(update_fields=["job"])


@transaction.atomic
def release_suspend(*, release: Release, reason: str, acting_user: User) -> None:
    """Any officer, at once: downloads stop."""
    require(acting_user, "release:suspend")
    release_move(release, ReleaseState.SUSPENDED, acting_user=acting_user, reason=require_reason(reason, release))


@transaction.atomic
def release_propose(*, release: Release, target: str, reason: str, acting_user: User) -> Motion:
    """Move to revoke a release, or to reinstate a suspended one. The second officer's motion carries it.

    Raises NotAllowedError, StateError (no such move from here, or a rule says no to reinstating), ApplicationError.
    """
    require(acting_user, "release:suspend")
    if target not in MOTION_TARGETS:
        raise ApplicationError(f"is {target!r}", where="motion", remedy=f"choose one of {', '.join(MOTION_TARGETS)}")
    release_lock(release)
    require_move(release, ReleaseState(target), acting_user=acting_user)
    motion = Motion(release=release, officer=acting_user, target=target, reason=require_reason(reason, release))
    _save_once(motion, "has moved this already", release)
    event_append(
        kind="release:motion", actor=acting_user, subject=release, payload={"target": target, "reason": reason}
    )
    if release.motions.filter(target=target, is_open=True).count() == N_OFFICERS:
        _carry(release, ReleaseState(target), reason, acting_user)
    return motion


def _carry(release: Release, target: ReleaseState, reason: str, acting_user: User) -> None:
    """What two officers moved. Every open motion ends with it: the next one starts from what is then known."""
    if target == ReleaseState.RELEASED:
        require_publishable(release)
    release_move(release, target, acting_user=acting_user, reason=reason)
    release.motions.filter(is_open=True).update(is_open=False)
    if target == ReleaseState.REVOKED:
        # Whom receivers ask first is told even where the bundle on disk is damaged and cannot be signed a recall.
        job_enqueue(task=KEEP_TASK, arguments={}, acting_user=acting_user, subject=release)
        job_enqueue(
            task="releases:recall", arguments={"release_id": str(release.pk)}, acting_user=acting_user, subject=release
        )


def _require_independent(release: Release, officer: User) -> None:
    require(officer, "release:endorse")
    interest = interest_of(release, officer)
    if interest:
        raise NotAllowedError(f"is {interest}", where=officer.get_username(), remedy="another officer must do this")


def _require_state(release: Release, state: ReleaseState) -> None:
    if release.state != state:
        raise StateError(
            f"is {release.get_state_display()}",
            where=f"release {release.name}",
            remedy=f"wait until it is {state.label}",
        )


def _save_once(row: Review | Endorsement | Motion, refusal: str, release: Release) -> None:
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise ApplicationError(
            refusal, where=row.officer.get_username(), remedy=f"see release {release.name}"
        ) from error
