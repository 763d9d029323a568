"""What each role finds on its first page: what waits for them, and what they look after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.db.models import Q

from veilmark.access.models import RequestState
from veilmark.access.selectors import has_accepted, requests_visible
from veilmark.accounts.models import Role, User
from veilmark.audit_runs.selectors import runs_to_review
from veilmark.cohorts.models import Cohort
from veilmark.cohorts.selectors import cohorts_visible, contract_results_visible
from veilmark.decisions.selectors import decisions_visible
from veilmark.jobs.models import Job
from veilmark.ledger.models import Event
from veilmark.reader_studies.selectors import studies_visible
from veilmark.releases.actions import actions_for
from veilmark.releases.models import Release
from veilmark.releases.selectors import releases_visible
from veilmark.releases.states import ReleaseState
from veilmark.releases.trust_roots import roots_line
from veilmark.synthetic_sets.selectors import synthetic_sets_visible
from veilmark.training_runs.recorder import cohort_spend
from veilmark.training_runs.selectors import training_runs_visible

N_SHOWN = 8
Context = dict[str, Any]
CLOSED = (ReleaseState.REVOKED, ReleaseState.REJECTED, ReleaseState.WITHDRAWN)


def cohort_rows(cohorts: list[Cohort]) -> list[Context]:
    """Each cohort with what its runs spent together."""
    return [{"cohort": cohort, "spend": cohort_spend(cohort)} for cohort in cohorts]


def release_rows(releases: list[Release], user: User) -> list[Context]:
    """Each release with the next thing that `user` can do about it."""
    return [
        {"release": release, "next": next((step for step in actions_for(release, user) if step.is_next), None)}
        for release in releases
    ]


def custodian(user: User) -> Context:
    mine = releases_visible(user).filter(custodian=user).exclude(state__in=CLOSED)
    runs = list(training_runs_visible(user)[:N_SHOWN])
    return {
        "cohorts": cohort_rows(list(cohorts_visible(user)[:N_SHOWN])),
        "uploads": contract_results_visible(user)[:5],
        "runs": runs,
        "running": [run for run in runs if run.job and not run.job.is_finished],
        "sets": synthetic_sets_visible(user)[:N_SHOWN],
        "releases": release_rows(list(mine[:N_SHOWN]), user),
    }


def compliance_officer(user: User) -> Context:
    under_review = releases_visible(user).filter(state__in=(ReleaseState.IN_REVIEW, ReleaseState.REVIEWED))
    published = releases_visible(user).filter(state__in=(ReleaseState.RELEASED, ReleaseState.SUSPENDED))
    return {
        "under_review": release_rows(list(under_review), user),
        "requests": requests_visible(user).filter(state=RequestState.SUBMITTED),
        "flagged": runs_to_review(user),
        "motions": published.filter(motions__is_open=True).distinct(),
        "published": published[:N_SHOWN],
        "decisions": decisions_visible(user)[:N_SHOWN],
        "last_event": Event.objects.last(),
    }


def clinician(user: User) -> Context:
    return {"studies": studies_visible(user).filter(closed_at=None).order_by("-created_at")}


def researcher(user: User) -> Context:
    return {
        "accepted": has_accepted(user),
        "requests": requests_visible(user),
        "released": releases_visible(user).filter(state=ReleaseState.RELEASED)[:N_SHOWN],
    }


def operator(_: User) -> Context:
    jobs = Job.objects.select_related("created_by")
    open_jobs = Q(state__in=(Job.State.ENQUEUED, Job.State.RUNNING))
    return {
        "open_jobs": jobs.filter(open_jobs),
        "failed_jobs": jobs.filter(state=Job.State.FAILED)[:5],
        "last_event": Event.objects.last(),
        "roots": roots_line(),
        "n_people": User.objects.filter(is_active=True).count(),
        "people_by_role": [(role.label, User.objects.filter(role=role, is_active=True).count()) for role in Role],
    }


WORKSPACES: Mapping[str, Callable[[User], Context]] = {
    Role.CUSTODIAN: custodian,
    Role.COMPLIANCE_OFFICER: compliance_officer,
    Role.CLINICIAN: clinician,
    Role.RESEARCHER: researcher,
    Role.OPERATOR: operator,
}
