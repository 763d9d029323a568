"""Reading releases: who may see which, and what stands in the way of the next step."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db.models import Q, QuerySet

from veilmark.accounts.models import Role, User
from veilmark.accounts.permissions import require
from veilmark.reader_studies.selectors import readers_of
from veilmark.releases.models import Release, Review
from veilmark.releases.states import ReleaseState

PUBLIC_STATES = (ReleaseState.RELEASED,)


def releases_visible(user: User) -> QuerySet[Release]:
    """Released ones for everyone; a custodian's own; all of them for officers and operators. Raises NotAllowedError."""
    require(user, "release:view")
    releases = Release.objects.select_related("synthetic_set__training_run__cohort", "custodian", "decision", "job")
    if user.role in (Role.COMPLIANCE_OFFICER, Role.OPERATOR):
        return releases
    if user.role == Role.CUSTODIAN:
        return releases.filter(Q(custodian=user) | Q(state__in=PUBLIC_STATES))
    return releases.filter(state__in=PUBLIC_STATES)


def bundle_folder(release: Release) -> Path:
    return Path(settings.VEILMARK_VAR) / "releases" / release.name


def bundle_zip(release: Release) -> Path:
    return bundle_folder(release).with_suffix(".zip")


def trust_root_path() -> Path:
    return Path(settings.VEILMARK_VAR) / "trust-root.json"


def certificate_root_path() -> Path:
    """The root certificate of what is signed inside the image files: for `dcmsign`, C2PA readers and their like."""
    return Path(settings.VEILMARK_VAR) / "certificate-root.pem"


def people_with_interest(release: Release) -> dict[str, set[object]]:
    """Who may not endorse, by reason: the custodian, who trained the generator, who read its images."""
    run = release.synthetic_set.training_run
    return {
        "its custodian": {release.custodian_id, run.cohort.custodian_id},
        "its trainer": {run.trainer_id, release.synthetic_set.created_by_id},
        "one of its readers": readers_of(release.synthetic_set),
    }


def interest_of(release: Release, officer: User) -> str:
    """Why `officer` is not independent of the release; empty where independent."""
    return next((reason for reason, people in people_with_interest(release).items() if officer.pk in people), "")


def reviews_visible(release: Release, user: User) -> QuerySet[Review]:
    """The votes of this round: blind until both are in, so before that an officer sees only their own."""
    reviews = release.reviews.filter(round=release.round).select_related("officer")
    is_blind = release.state == ReleaseState.IN_REVIEW
    return reviews.filter(officer=user) if is_blind else reviews
