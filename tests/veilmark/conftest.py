"""A release on its way: the stages before it as rows with a good set's figures, every step after it by services."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

CONTENT_ROOT = f"sha256:{'5' * 64}"
GOOD = {"status": "not_detected", "baseline": 0.8, "n": {"train": 600, "holdout": 200, "synthetic_images": 400}}
MEASUREMENTS = [
    GOOD | {"name": "nearest_copies.copy_rate", "value": 0.0, "ci_low": 0.0, "ci_high": 0.01},
    GOOD | {"name": "membership_inference.nearest", "value": 0.5, "ci_low": 0.46, "ci_high": 0.54},
    GOOD | {"name": "train_on_synthetic.auc", "value": 0.75, "ci_low": 0.7, "ci_high": 0.8},
    GOOD | {"name": "train_on_synthetic.auc_difference", "value": -0.05, "ci_low": -0.1, "ci_high": 0.0},
    GOOD | {"name": "group_gaps.sex", "value": 0.01, "ci_low": 0.0, "ci_high": 0.04},
    GOOD | {"name": "group_gaps.age_group", "value": 0.01, "ci_low": 0.0, "ci_high": 0.04},
]


@pytest.fixture
def cohort(people: Any) -> Any:
    from veilmark.cohorts.models import Cohort, ContractResult
    from veilmark.core.storage import data_key_create

    cohort = Cohort.objects.create(
        name="chest",
        custodian=people.custodian,
        legal_basis="GDPR 9(2)(j)",
        purposes=["research", "teaching"],
        licence="CC BY 4.0",
        licence_permits_derivatives=True,
        source_kind="npz",
        privacy_unit="subject",
        public_n_subjects=1000,
        epsilon_budget=10,
        delta_budget=1e-5,
        n_subjects=987,
        n_images=1234,
        image_height=64,
        image_width=64,
        channels=1,
        bit_depth=8,
        labels=["nodule", "normal"],
        data_digest=f"sha256:{'1' * 64}",
        wrapped_key=data_key_create(),
        file_name="cohorts/none/images.npz",
        split_seed=0,
        n_subjects_by_split={"train": 600, "holdout": 200, "control": 187},
    )
    ContractResult.objects.create(
        cohort=cohort, upload_name=cohort.name, custodian=people.custodian, passed=True, suite_digest="sha256:0"
    )
    return cohort


@pytest.fixture
def training_run(people: Any, cohort: Any) -> Any:
    from generators.privacy import GaussianEvent, PrivacySpend
    from veilmark.ledger.services import spend_reserve, spend_settle
    from veilmark.training_runs.models import TrainingRun

    event = GaussianEvent(noise_multiplier=1.1, sample_rate=0.01, steps=500)
    spend = PrivacySpend(spent_epsilon=4.0, delta=1e-5, accountant="prv", events=(event,))
    run = TrainingRun.objects.create(
        cohort=cohort,
        trainer=people.custodian,
        generator="latent-statistics",
        image_size=64,
        target_epsilon=4.0,
        target_delta=1e-5,
        accountant="prv",
        seed=0,
        state="done",
        spent_epsilon=4.0,
        generator_digest=f"sha256:{'2' * 64}",
        card={"spend": asdict(spend), "labels": cohort.labels, "sexes": ["F", "M"], "age_groups": []},
    )
    for record in (spend_reserve, spend_settle):
        arguments = {"planned": spend, "cohort_id": cohort.pk} if record is spend_reserve else {"spent": spend}
        record(run_id=run.pk, acting_user=people.custodian, **arguments)
    return run


@pytest.fixture
def synthetic_set(people: Any, training_run: Any) -> Any:
    """A finished and audited set."""
    from veilmark.audit_runs.models import AuditRun
    from veilmark.synthetic_sets.models import SyntheticSet

    synthetic_set = SyntheticSet.objects.create(
        training_run=training_run,
        created_by=people.custodian,
        serial=1,
        seed=0,
        counts=[{"label": "normal", "sex": "", "age_group": "", "n": 400}],
        n_images=400,
        generator_digest=training_run.generator_digest,
        content_root=CONTENT_ROOT,
        n_mark_detected=400,
        state="done",
    )
    AuditRun.objects.create(
        synthetic_set=synthetic_set,
        requested_by=people.custodian,
        seed=0,
        content_root=CONTENT_ROOT,
        report={"measurements": MEASUREMENTS, "audience": "publishable"},
        report_digest=f"sha256:{'3' * 64}",
        state="done",
    )
    return synthetic_set


@pytest.fixture
def drafted(people: Any, synthetic_set: Any) -> Any:
    from veilmark.releases.services import ReleaseDraft, release_create

    draft = ReleaseDraft(name="chest-1", title="Chest X-rays")
    return release_create(synthetic_set=synthetic_set, draft=draft, acting_user=people.custodian)


@pytest.fixture
def in_review(people: Any, drafted: Any) -> Any:
    """Submitted, assessed by the rules and handed to the officers."""
    from veilmark.releases.services import release_assess, release_send_to_clinicians, release_submit

    release_submit(release=drafted, acting_user=people.custodian)
    release_assess(release=drafted, progress=lambda *_: None)
    release_send_to_clinicians(release=drafted, acting_user=people.custodian)
    return drafted


@pytest.fixture
def released(people: Any, in_review: Any) -> Any:
    """Voted for, signed by two officers, published with a bundle of a megabyte that no zip can make smaller."""
    from veilmark.jobs.models import Job
    from veilmark.releases.moves import release_move
    from veilmark.releases.publication import file_digest
    from veilmark.releases.review import release_endorse, release_vote
    from veilmark.releases.selectors import bundle_zip
    from veilmark.releases.states import ReleaseState

    officers = (people.officer, people.second_officer)
    for officer in officers:
        release_vote(release=in_review, vote="approve", reason="evidence is complete", acting_user=officer)
    for officer in officers:
        signed = {"digest": CONTENT_ROOT, "meaning": "reviewed and approved", "password": people.password}
        release_endorse(release=in_review, acting_user=officer, **signed)
    path = bundle_zip(in_review)
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.bin", np.random.default_rng(0).bytes(2**20))
    in_review.bundle_digest = file_digest(in_review)
    in_review.save()
    release_move(in_review, ReleaseState.RELEASED, acting_user=None)
    Job.objects.all().delete()  # the job that would publish it has nothing left to do
    return in_review


@pytest.fixture
def grant(people: Any, released: Any) -> Any:
    """Leave for the researcher to download `released`, asked for and given through the services."""
    from veilmark.access.services import agreement_accept, request_create, request_decide

    agreement_accept(acting_user=people.researcher)
    asked = request_create(release=released, purpose="research", project="a classifier", acting_user=people.researcher)
    return request_decide(request=asked, approve=True, reason="a permitted purpose", acting_user=people.officer).grant


@pytest.fixture
def bundle_bytes(released: Any) -> bytes:
    from veilmark.releases.selectors import bundle_zip

    content = bundle_zip(released).read_bytes()
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == released.bundle_digest
    return content


@pytest.fixture
def api(client: Any) -> Callable[..., Any]:
    """`api(person, "get", "releases/", {...})`: a call with that person's token; None signs nobody in."""
    from veilmark.accounts.services import api_token_create

    tokens: dict[object, str] = {}

    def call(person: Any, method: str, address: str, body: object = None, **headers: str) -> Any:
        if person is not None:
            token = tokens.get(person.pk) or tokens.setdefault(person.pk, api_token_create(user=person))
            headers["Authorization"] = f"Token {token}"
        content = {} if body is None else {"data": body, "content_type": "application/json"}
        return getattr(client, method)(f"/api/v1/{address}", headers=headers, **content)

    return call
