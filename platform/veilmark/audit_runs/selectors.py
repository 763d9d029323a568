"""Reading audit runs: a custodian's own, every one for officers; and what people say of their flagged pairs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import QuerySet

from veilmark.accounts.models import Role, User
from veilmark.accounts.permissions import allowed, require
from veilmark.audit_runs.copies import flagged_pairs
from veilmark.audit_runs.models import AuditRun, CopyAnswer, CopyReview
from veilmark.jobs.work import WorkState
from veilmark.synthetic_sets.models import SyntheticSet

JUDGED = (CopyAnswer.COPY, CopyAnswer.NOT_COPY)


@dataclass(frozen=True, kw_only=True)
class CopyState:
    """How far people are with flagged pairs. Counts of pairs.

    n_reviewed: somebody says "a copy" or "not a copy"; whoever cannot tell has not reviewed. n_confirmed: somebody
    says "a copy", whatever others say.
    """

    n_flagged: int
    n_reviewed: int
    n_confirmed: int

    @property
    def is_reviewed(self) -> bool:
        return self.n_reviewed == self.n_flagged


def audit_runs_visible(user: User) -> QuerySet[AuditRun]:
    """Raises NotAllowedError."""
    require(user, "audit:view")
    runs = AuditRun.objects.select_related("synthetic_set__training_run__cohort", "requested_by", "job")
    if user.role == Role.CUSTODIAN:
        return runs.filter(synthetic_set__training_run__cohort__custodian=user)
    return runs


def copy_state(runs: Iterable[AuditRun]) -> CopyState:
    """Of all flagged pairs of these finished audit runs together."""
    n_flagged = n_reviewed = n_confirmed = 0
    for run in runs:
        said: dict[int, set[str]] = {}
        for review in standing_reviews(run):
            said.setdefault(review.pair, set()).add(review.answer)
        n_flagged += n_flagged_pairs(run)
        n_reviewed += sum(bool(answers & set(JUDGED)) for answers in said.values())
        n_confirmed += sum(CopyAnswer.COPY in answers for answers in said.values())
    return CopyState(n_flagged=n_flagged, n_reviewed=n_reviewed, n_confirmed=n_confirmed)


def set_copy_state(synthetic_set: SyntheticSet) -> CopyState:
    """Of every finished audit of the set: auditing it again forgets neither a flag nor a confirmed copy."""
    return copy_state(synthetic_set.audit_runs.filter(state=WorkState.DONE))


def n_flagged_pairs(run: AuditRun) -> int:
    """Runs that finished before pairs were counted have them in their report."""
    return len(flagged_pairs(run)) if run.n_flagged_copies is None else run.n_flagged_copies


def standing_reviews(run: AuditRun) -> list[CopyReview]:
    """The last answer of each person to each pair; earlier ones are superseded."""
    last = {(review.pair, review.reviewer_id): review for review in run.copy_reviews.select_related("reviewer")}
    return list(last.values())


def reviews_visible(run: AuditRun, user: User) -> dict[int, list[CopyReview]]:
    """Standing answers by pair. Those of others show once `user` has answered: nobody's eye is led."""
    standing = standing_reviews(run)
    answered = {review.pair for review in standing if review.reviewer_id == user.pk}
    found: dict[int, list[CopyReview]] = {}
    for review in standing:
        if review.pair in answered:
            found.setdefault(review.pair, []).append(review)
    return found


def maker_of(run: AuditRun, person: User) -> str:
    """In what part `person` made the set that was audited; empty where in none."""
    synthetic_set = run.synthetic_set
    training = synthetic_set.training_run
    makers = {
        "its custodian": training.cohort.custodian_id,
        "its trainer": training.trainer_id,
        "who drew it": synthetic_set.created_by_id,
    }
    return next((part for part, maker in makers.items() if maker == person.pk), "")


def may_review(run: AuditRun, user: User) -> bool:
    """Whoever answers for flagged pairs has no part in what was flagged."""
    return run.is_done and allowed(user, "copies:review") and not maker_of(run, user)


def runs_to_review(user: User) -> list[tuple[AuditRun, CopyState]]:
    """Audit runs with a flagged pair that nobody has reviewed, the newest first."""
    flagged = audit_runs_visible(user).filter(state=WorkState.DONE, n_flagged_copies__gt=0)
    states = [(run, copy_state([run])) for run in flagged if may_review(run, user)]
    return [(run, state) for run, state in states if not state.is_reviewed]
