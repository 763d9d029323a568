"""Two releases on their way, for tests of pages, API and services.

`drafted` .. `grant`: the stages before the release are rows with a good set's figures, every step after it is a
service's; fast, and enough where no file of the set is read. `walked`: the whole path, for real, from phantoms.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CONTENT_ROOT = f"sha256:{'5' * 64}"
GOOD = {"status": "not_detected", "baseline": 0.8, "n": {"train": 600, "holdout": 200, "synthetic_images": 400}}
MEASUREMENTS = [
    GOOD | {"name": "nearest_copies.copy_rate", "value": 0.0, "ci_low": 0.0, "ci_high": 0.01},
    GOOD | {"name": "memorisation.copy_rate", "value": 0.0, "ci_low": 0.0, "ci_high": 0.01},
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
        card={
            "config": {},
            "public_data": [],
            "spend": asdict(spend),
            "labels": cohort.labels,
            "sexes": ["F", "M"],
            "age_groups": [],
        },
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
        mark_survival={"passes": True, "n_tried": 100, "attacks": []},
        state="done",
    )
    AuditRun.objects.create(
        synthetic_set=synthetic_set,
        requested_by=people.custodian,
        seed=0,
        content_root=CONTENT_ROOT,
        report={"measurements": MEASUREMENTS, "audience": "publishable"},
        report_digest=f"sha256:{'3' * 64}",
        n_flagged_copies=0,
        state="done",
    )
    return synthetic_set


# Three pairs: the detectors of plain and of altered copies agree on the first.
FLAGS = {
    "nearest_copies.copy_rate": {1: 4, 3: 0},
    "memorisation.copy_rate": {1: 4, 2: 5},
}


def internal_report_of(flags: dict[str, dict[int, int]]) -> bytes:
    """An internal form as JSON: for each audit the training rows of the synthetic rows that it flagged."""
    rows = [
        {
            "name": name,
            "law": "singling_out",
            "release_mode": "samples",
            "flags": [{"index": index, "p_value": 0.001, "detector": name.partition(".")[0]} for index in nearest],
            "internal": {"nearest_train_index": nearest},
        }
        for name, nearest in flags.items()
    ]
    return json.dumps({"audience": "internal", "measurements": rows}).encode()


@pytest.fixture
def flag(cohort: Any) -> Callable[..., None]:
    """`flag(audit_run, flags)`: an internal report with these flags, stored as the audits store it."""

    def store(audit_run: Any, flags: dict[str, dict[int, int]] = FLAGS) -> None:
        from veilmark.audit_runs.copies import flagged_pairs
        from veilmark.core.storage import file_store

        name = f"audit_runs/{audit_run.pk}/internal.json"
        file_store().put(name, internal_report_of(flags), wrapped_key=bytes(cohort.wrapped_key))
        audit_run.n_flagged_copies = len(flagged_pairs(audit_run))
        audit_run.save()

    return store


@pytest.fixture
def flagged(synthetic_set: Any, flag: Callable[..., None]) -> Any:
    """An audit run with three flagged pairs of real files: six training images at 96 pixels, four synthetic at 64.

    Its figures stay those of a good set.
    """
    from generators.phantoms import draw_phantoms
    from veilmark.core.storage import file_store
    from veilmark.provenance.digests import ImageMetadata
    from veilmark.provenance.prepared import prepare_images
    from veilmark.synthetic_sets.selectors import set_folder

    run, cohort = synthetic_set.audit_runs.get(), synthetic_set.training_run.cohort
    split = np.array(["holdout", "train", "train", "control"] + ["train"] * 4 + ["holdout"])
    images = replace(draw_phantoms(n_subjects=9, size=96, seed=3, max_images=1).images, split=split)
    with io.BytesIO() as buffer:
        np.savez(buffer, images=images.images, **dict(images.columns()))
        file_store().put(cohort.file_name, buffer.getvalue(), wrapped_key=bytes(cohort.wrapped_key))
    cohort.data_digest = images.digest
    cohort.save()
    metadata = [ImageMetadata(release_id="set-1", image_id=f"set-1-{row:06d}", label="normal") for row in range(4)]
    drawn = draw_phantoms(n_subjects=4, size=64, seed=8, max_images=1).images.images
    out = set_folder(synthetic_set)
    prepared = prepare_images(out, images=drawn, metadata=metadata, mark_release=1, created_at="2026-01-01T00:00:00Z")
    synthetic_set.content_root = prepared.merkle_root
    synthetic_set.save()
    run.content_root = prepared.merkle_root
    flag(run)
    return run


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
def approved(people: Any, in_review: Any) -> Any:
    """Voted for and signed by two officers; the job that publishes it waits."""
    from veilmark.releases.review import release_endorse, release_vote

    officers = (people.officer, people.second_officer)
    for officer in officers:
        release_vote(release=in_review, vote="approve", reason="evidence is complete", acting_user=officer)
    signed = {"digest": in_review.synthetic_set.content_root, "password": people.password}
    for officer in officers:
        release_endorse(release=in_review, meaning="reviewed and approved", acting_user=officer, **signed)
    return in_review


@pytest.fixture
def released(approved: Any) -> Any:
    """Released with a zip of a megabyte that stands for a bundle: `test_whole_path.py` publishes a real one."""
    from veilmark.jobs.models import Job
    from veilmark.releases.moves import release_move
    from veilmark.releases.publication import file_digest
    from veilmark.releases.selectors import bundle_zip
    from veilmark.releases.states import ReleaseState

    path = bundle_zip(approved)
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.bin", np.random.default_rng(0).bytes(2**20))
    approved.bundle_digest = file_digest(approved)
    approved.save()
    release_move(approved, ReleaseState.RELEASED, acting_user=None)
    Job.objects.all().delete()  # the job that would publish it has nothing left to do
    return approved


@pytest.fixture
def finish_copies(db: None) -> Callable[[], None]:
    """Every grant's copy is ready at once: the zip that stands for the release stands for it too."""

    def finish() -> None:
        from veilmark.access.models import GrantCopy
        from veilmark.access.selectors import copy_digest, copy_zip
        from veilmark.jobs.models import Job
        from veilmark.releases.selectors import bundle_zip

        for copy in GrantCopy.objects.filter(bundle_digest=""):
            copy_zip(copy).parent.mkdir(parents=True, exist_ok=True)
            copy_zip(copy).write_bytes(bundle_zip(copy.grant.request.release).read_bytes())
            copy.state, copy.bundle_digest = "done", copy_digest(copy)
            copy.save()
        Job.objects.filter(task="access:prepare").delete()

    return finish


@pytest.fixture
def grant(people: Any, released: Any, finish_copies: Callable[[], None]) -> Any:
    """Leave for the researcher to download `released`, asked for and given through the services."""
    from veilmark.access.models import Grant
    from veilmark.access.services import agreement_accept, request_create, request_decide

    agreement_accept(acting_user=people.researcher)
    asked = request_create(release=released, purpose="research", project="a classifier", acting_user=people.researcher)
    decided = request_decide(request=asked, approve=True, reason="a permitted purpose", acting_user=people.officer)
    finish_copies()
    return Grant.objects.get(request=decided)


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


@pytest.fixture
def visit(client: Any) -> Callable[..., Any]:
    """`visit(person, address)`: the page as that person gets it; with `sent`, the form posted there."""

    def open_page(person: Any, address: str, sent: dict[str, Any] | None = None, **options: Any) -> Any:
        client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
        return client.get(address, **options) if sent is None else client.post(address, sent, **options)

    return open_page


def pytest_configure(config: pytest.Config) -> None:
    # great_expectations imports two modules of the standard library that are on their way out.
    config.addinivalue_line("filterwarnings", "ignore:module 'sre_:DeprecationWarning")


@pytest.fixture(scope="session")
def phantom_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """images.npz, metadata.csv and mapping.toml of 420 phantom people at 64 pixels. To be read, never changed.

    Half of them have an opacity so bright that no draw of noise hides it: a test's verdict must not hang on luck.
    """
    from generators.phantoms import write_phantom_cohort

    folder = tmp_path_factory.mktemp("phantoms")
    images = write_phantom_cohort(folder, n_subjects=420, size=64, seed=1).images
    y, x = np.mgrid[:64, :64]
    disc = 60 * (np.hypot(y - 30, x - 20) < 9)
    bright = np.where((images.label == "opacity")[:, None, None], images.images + disc, images.images)
    np.savez_compressed(folder / "images.npz", images=bright.clip(0, 255).astype(np.uint8))
    return folder


@dataclass(frozen=True, kw_only=True)
class Walked:
    """Every stage's row, and the people by username. Passwords are those of `people`."""

    people: dict[str, Any]
    cohort: Any
    training_run: Any
    synthetic_set: Any
    audit_run: Any
    release: Any


def walk_models() -> list[Any]:
    from django.apps import apps

    labels = "accounts.User jobs.Job cohorts.Cohort cohorts.ContractResult training_runs.TrainingRun "
    labels += "ledger.PrivacySpendRecord synthetic_sets.SyntheticSet audit_runs.AuditRun decisions.Decision "
    labels += "releases.Release ledger.Event"
    return [apps.get_model(label) for label in labels.split()]


def walk_to_ready(folder: Path) -> str:
    """A custodian's part of the path, through the services and the code that a worker runs; why it is not READY."""
    from generators.base import no_progress
    from veilmark.accounts.models import Role
    from veilmark.accounts.services import person_create
    from veilmark.cohorts.mapping import find_mapping
    from veilmark.cohorts.services import CohortTerms, cohort_create
    from veilmark.jobs.execution import job_execute
    from veilmark.releases.services import ReleaseDraft, release_create, release_submit
    from veilmark.synthetic_sets.services import synthetic_set_create
    from veilmark.training_runs.services import TrainingPlan, training_run_start

    def carried_out(row: Any) -> Any:
        assert job_execute(row.job_id) == "done", row.job.error
        row.refresh_from_db()
        return row

    password = "a long enough passphrase"
    roles = {"officer": Role.COMPLIANCE_OFFICER, "second_officer": Role.COMPLIANCE_OFFICER}
    roles |= {name: Role(name) for name in ("custodian", "clinician", "researcher", "operator")}
    people = {name: person_create(username=name, password=password, role=role) for name, role in roles.items()}
    custodian = people["custodian"]
    terms = CohortTerms(name="walked", public_n_subjects=300)
    cohort = cohort_create(
        source=folder, mapping=find_mapping(folder), terms=terms, acting_user=custodian, progress=no_progress
    )
    run = carried_out(training_run_start(cohort=cohort, plan=TrainingPlan(), acting_user=custodian))
    synthetic_set = carried_out(synthetic_set_create(training_run=run, n_images=120, acting_user=custodian))
    draft = ReleaseDraft(name="walked", title="Phantom chests")
    release = release_create(synthetic_set=synthetic_set, draft=draft, acting_user=custodian)
    release_submit(release=release, acting_user=custodian)
    return "" if carried_out(release).state == "ready" else release.state_reason


@pytest.fixture(scope="session")
def walk(django_db_setup: None, django_db_blocker: Any, var: Path, phantom_folder: Path) -> str:
    """The path walked once a session: its rows as JSON. Its files stay in `var`."""
    from django.core.serializers import serialize
    from django.db import transaction

    # The audits accuse about one innocent set in a hundred, by their stated level: three in a row are no accident.
    for _ in range(3):
        with django_db_blocker.unblock(), transaction.atomic():
            refused = walk_to_ready(phantom_folder)
            rows = serialize("json", [row for model in walk_models() for row in model.objects.order_by("pk")])
            transaction.set_rollback(True)
        if not refused:
            return rows
    pytest.fail(f"three walks in a row were refused: {refused}")


@pytest.fixture
def walked(db: None, walk: str) -> Walked:
    """The walked path in this test's database, up to a release that is READY."""
    from django.core.serializers import deserialize

    from veilmark.ledger.chain import Head, head_write
    from veilmark.ledger.models import Event

    for row in deserialize("json", walk):
        row.save()
    last = Event.objects.latest("sequence")
    head_write(Head(sequence=last.sequence, digest=last.digest))
    users, _, cohorts, _, runs, _, sets, audits, _, releases, _ = (model.objects for model in walk_models())
    return Walked(
        people={user.username: user for user in users.all()},
        cohort=cohorts.get(),
        training_run=runs.get(),
        synthetic_set=sets.get(),
        audit_run=audits.get(),
        release=releases.get(),
    )


@pytest.fixture
def site(people: Any, grant: Any, cohort: Any, flag: Callable[..., None]) -> dict[str, Any]:
    """The ids of one row of every stage, all of them on the way of one release that the researcher was granted."""
    from veilmark.access.services import request_create
    from veilmark.cohorts.models import ContractResult
    from veilmark.jobs.services import job_enqueue
    from veilmark.reader_studies.models import ReaderItem, ReaderStudy

    release = grant.request.release
    synthetic_set = release.synthetic_set
    audit_run = release.audit_run
    described = {"unit": "share", "method": "a test", "source": "a paper"}
    audit_run.report["measurements"] = [row | described for row in audit_run.report["measurements"]]
    flag(audit_run)
    study = ReaderStudy.objects.create(synthetic_set=synthetic_set, opened_by=people.custodian)
    ReaderItem.objects.create(study=study, position=0, is_synthetic=True, source_index=0)
    waiting = request_create(release=release, purpose="teaching", project="a course", acting_user=people.researcher)
    refused = ContractResult.objects.create(
        upload_name="ward 7", custodian=people.custodian, passed=False, suite_digest="sha256:0"
    )
    job = job_enqueue(task="training_runs:train", arguments={}, acting_user=people.custodian)
    return {
        "cohort": cohort.pk,
        "contract": cohort.contract.pk,
        "refused": refused.pk,
        "run": synthetic_set.training_run_id,
        "set": synthetic_set.pk,
        "audit": audit_run.pk,
        "study": study.pk,
        "decision": release.decision_id,
        "release": release.pk,
        "request": waiting.pk,
        "grant": grant.pk,
        "job": job.pk,
    }
