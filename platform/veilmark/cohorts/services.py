"""Taking a cohort in: read, check, split, encrypt, record. All of it happens, or none."""

from __future__ import annotations

import io
import math
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from django.conf import settings
from django.db import transaction

from generators.data import ImageSet
from generators.groups import age_groups, normal_sex
from generators.splits import split_by_subject
from veilmark.accounts.models import User
from veilmark.accounts.permissions import require
from veilmark.cohorts.contract import ContractOutcome, check_contract, pixel_digests
from veilmark.cohorts.intake import read_source
from veilmark.cohorts.mapping import CohortMapping
from veilmark.cohorts.models import Cohort, ContractResult
from veilmark.cohorts.source import Progress, SourceCohort
from veilmark.core.errors import ApplicationError, ConfigurationError
from veilmark.core.storage import data_key_create, file_store
from veilmark.jobs.work import require_seed
from veilmark.ledger.services import event_append

SITE_ROLES = ("site", "view")  # the first that the source has tells images of different origin apart
MAX_NAME = 200
MAX_PUBLIC_N = 100_000_000


class ContractError(ApplicationError):
    """A cohort that its data contract refused; `result` holds every check."""

    result: ContractResult


@dataclass(frozen=True, kw_only=True)
class CohortTerms:
    """What the custodian declares, none of it read from the private data.

    public_n_subjects: rounded bound on the number of subjects. epsilon_budget, delta_budget: the most that all runs
    on this cohort may spend per subject.
    """

    name: str
    public_n_subjects: int
    epsilon_budget: float = 10.0
    delta_budget: float = 1e-5
    split_seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < len(self.name.strip()) <= MAX_NAME:
            raise ApplicationError("is empty or too long", where="name", remedy=f"give 1 to {MAX_NAME} characters")
        if not 1 <= self.public_n_subjects <= MAX_PUBLIC_N:
            raise ApplicationError(
                f"is {self.public_n_subjects}", where="public number of subjects", remedy="declare a rounded bound"
            )
        if not (math.isfinite(self.epsilon_budget) and self.epsilon_budget > 0 and 0 < self.delta_budget < 1):
            raise ApplicationError("is out of range", where="privacy budget", remedy="epsilon > 0 and delta in (0, 1)")
        require_seed(self.split_seed)


def cohort_create(
    *, source: Path, mapping: CohortMapping, terms: CohortTerms, acting_user: User, progress: Progress
) -> Cohort:
    """Read `source` and keep it encrypted as a new cohort of `acting_user`.

    Raises NotAllowedError, IntakeError (unreadable), ContractError (readable, refused: its result is kept as a page).
    """
    require(acting_user, "cohort:create")
    if Cohort.objects.filter(name=terms.name).exists():
        raise ApplicationError("is taken", where=f"cohort name {terms.name!r}", remedy="choose another")
    read = read_source(source, mapping, scratch=scratch_folder(), progress=progress)
    progress(0, 0, "checking the data contract")
    outcome = check_contract(read)
    if not outcome.passed:
        raise _refusal(outcome, terms=terms, acting_user=acting_user)
    return _keep(read, outcome, mapping=mapping, terms=terms, acting_user=acting_user)


def scratch_folder() -> Path:
    """Where an upload may lie unencrypted while it is read: this site's own, closed to others, emptied at once."""
    folder = Path(settings.VEILMARK_VAR) / "scratch"
    with _writing():
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    return folder


@contextmanager
def _writing() -> Iterator[None]:
    """A full disk or a folder that cannot be written is one line for the person, not a defect."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"cannot be written ({error.strerror})",
            where=str(settings.VEILMARK_VAR),
            remedy="check its owner and the free space",
        ) from error


@transaction.atomic
def _refusal(outcome: ContractOutcome, *, terms: CohortTerms, acting_user: User) -> ContractError:
    result = ContractResult.objects.create(
        upload_name=terms.name,
        custodian=acting_user,
        passed=False,
        checks=outcome.as_json(),
        suite_digest=outcome.suite_digest,
    )
    event_append(kind="cohort:refused", actor=acting_user, subject=result, payload={"name": terms.name})
    failure = outcome.first_failure
    error = ContractError(
        f"refused by its data contract: {failure.column}: {failure.found}",
        where=terms.name,
        remedy=f"wanted {failure.wanted}; correct the source and upload it again",
    )
    error.result = result
    return error


def image_set_of(read: SourceCohort, *, split_seed: int) -> ImageSet:
    """The source as an image set: pseudonyms for subjects, groups for ages, one split for each subject."""
    subject = _pseudonyms(read.columns["subject"]) if "subject" in read.columns else None
    label = np.array(read.columns["label"])
    site = next((read.columns[role] for role in SITE_ROLES if role in read.columns), None)
    sex = read.columns.get("sex")
    age = read.columns.get("age")
    return ImageSet(
        images=read.images,
        bits=read.bits,
        label=label,
        subject=subject,
        sex=None if sex is None else np.array([normal_sex(value) for value in sex], dtype=np.str_),
        age_group=None if age is None else age_groups(float(value) if value else None for value in age),
        site=None if site is None else np.array(site),
        split=split_by_subject(_order_of_people(read), seed=split_seed, labels=label),
    )


def _order_of_people(read: SourceCohort) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    """Each image's person by number, in the source's order: codes are new with every upload, a split is not."""
    numbers: dict[object, int] = {}
    people = read.columns.get("subject", range(len(read.names)))
    return np.array([f"{numbers.setdefault(person, len(numbers)):09d}" for person in people])


def _pseudonyms(subjects: tuple[str, ...]) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    """A random code for each subject: nothing in it derives from the source's identifier (45 CFR 164.514(c))."""
    codes: dict[str, str] = {}
    for subject in subjects:
        codes.setdefault(subject, f"s-{secrets.token_hex(8)}")
    return np.array([codes[subject] for subject in subjects])


def duplicate_names(read: SourceCohort) -> list[list[str]]:
    """Names of images with identical pixels, each group once, in the source's order."""
    groups: dict[str, list[str]] = {}
    for name, digest in zip(read.names, pixel_digests(read), strict=True):
        groups.setdefault(digest, []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def _keep(
    read: SourceCohort, outcome: ContractOutcome, *, mapping: CohortMapping, terms: CohortTerms, acting_user: User
) -> Cohort:
    images = image_set_of(read, split_seed=terms.split_seed)
    wrapped_key = data_key_create()
    buffer = io.BytesIO()
    images.write(buffer)
    with transaction.atomic():
        cohort = Cohort.objects.create(
            **_description(read, images),
            name=terms.name,
            custodian=acting_user,
            legal_basis=mapping.legal_basis,
            purposes=list(mapping.purposes),
            licence=mapping.licence,
            licence_permits_derivatives=mapping.permits_derivatives,
            modality=mapping.modality,
            public_n_subjects=terms.public_n_subjects,
            epsilon_budget=terms.epsilon_budget,
            delta_budget=terms.delta_budget,
            split_seed=terms.split_seed,
            wrapped_key=wrapped_key,
        )
        cohort.file_name = f"cohorts/{cohort.id}/images.npz"
        cohort.save(update_fields=["file_name"])
        ContractResult.objects.create(
            cohort=cohort,
            upload_name=terms.name,
            custodian=acting_user,
            passed=True,
            checks=outcome.as_json(),
            suite_digest=outcome.suite_digest,
        )
        payload = {"name": cohort.name, "data_digest": cohort.data_digest, "public_n_subjects": terms.public_n_subjects}
        event_append(kind="cohort:created", actor=acting_user, subject=cohort, payload=payload)
        # Last, so that a row without its file cannot be: a full disk takes the row back with it.
        with _writing():
            file_store().put(cohort.file_name, buffer.getvalue(), wrapped_key=wrapped_key)
    return cohort


def _description(read: SourceCohort, images: ImageSet) -> dict[str, object]:
    splits = images.split
    if splits is None or images.label is None:
        raise ApplicationError("has no split or no label", where="cohort", remedy="split it first")
    people = images.subjects()
    return {
        "source_kind": read.kind,
        "privacy_unit": images.privacy_unit,
        "n_subjects": images.n_subjects,
        "n_images": len(images),
        "image_height": images.images.shape[1],
        "image_width": images.images.shape[2],
        "channels": images.channels,
        "bit_depth": images.used_bits,
        "labels": sorted(set(images.label.tolist())),
        "data_digest": images.digest,
        "duplicates": duplicate_names(read),
        "n_subjects_by_split": {name: len(set(people[splits == name])) for name in np.unique(splits).tolist()},
        "n_train_subjects_by_label": {
            label: len(set(people[(images.label == label) & (splits == "train")]))
            for label in np.unique(images.label).tolist()
        },
    }
