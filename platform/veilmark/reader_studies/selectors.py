"""Reading reader studies: progress of each reader, and what the readings say."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, F, Q, QuerySet

from audits.stats import clopper_pearson
from veilmark.accounts.models import Role, User
from veilmark.core.errors import NotAllowedError
from veilmark.reader_studies.models import ReaderItem, ReaderStudy, Reading
from veilmark.synthetic_sets.models import SyntheticSet


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """How often readers told synthetic from real. .5 is guessing. Interval: Clopper-Pearson over readings."""

    accuracy: float
    ci_low: float
    ci_high: float
    n_readings: int
    n_readers: int
    realism_synthetic: float
    realism_real: float


def studies_visible(user: User) -> QuerySet[ReaderStudy]:
    """Every study for clinicians, a custodian's own, all for officers. Raises NotAllowedError."""
    studies = ReaderStudy.objects.select_related("synthetic_set__training_run__cohort").annotate(
        n_items=Count("items", distinct=True),
        n_read=Count("items__readings", filter=Q(items__readings__reader=user), distinct=True),
    )
    if user.role in (Role.CLINICIAN, Role.COMPLIANCE_OFFICER):
        return studies
    if user.role == Role.CUSTODIAN:
        return studies.filter(opened_by=user)
    raise NotAllowedError("may not see reader studies", where=user.get_username(), remedy="ask a clinician")


def next_item(study: ReaderStudy, reader: User) -> ReaderItem | None:
    """The first image that `reader` has not judged yet; None when all are judged."""
    return study.items.exclude(readings__reader=reader).first()


def readers_of(synthetic_set: SyntheticSet) -> set[object]:
    """The ids of everyone who judged an image of the set."""
    readings = Reading.objects.filter(item__study__synthetic_set=synthetic_set)
    return set(readings.values_list("reader_id", flat=True))


def n_complete_readers(synthetic_set: SyntheticSet) -> int:
    """How many readers judged every image of one of the set's studies."""
    complete = 0
    for study in synthetic_set.reader_studies.annotate(n_items=Count("items")):
        readings = Reading.objects.filter(item__study=study)
        complete += readings.values("reader").annotate(n=Count("id")).filter(n=study.n_items).count()
    return complete


def study_result(study: ReaderStudy) -> StudyResult | None:
    """What the readings of a study say; None before the first."""
    readings = Reading.objects.filter(item__study=study)
    total = readings.count()
    if not total:
        return None
    correct = readings.filter(judged_synthetic=F("item__is_synthetic")).count()
    low, high = clopper_pearson(correct, total)
    return StudyResult(
        accuracy=correct / total,
        ci_low=low,
        ci_high=high,
        n_readings=total,
        n_readers=readings.values("reader").distinct().count(),
        realism_synthetic=_mean_realism(readings.filter(item__is_synthetic=True)),
        realism_real=_mean_realism(readings.filter(item__is_synthetic=False)),
    )


def _mean_realism(readings: QuerySet[Reading]) -> float:
    values = list(readings.values_list("realism", flat=True))
    return sum(values) / len(values) if values else float("nan")
