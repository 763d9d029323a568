"""The whole path, once, by the people whose acts it needs: from a cohort to a download."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings

from generators.phantoms import write_phantom_cohort
from veilmark.access.models import AccessRequest
from veilmark.access.services import request_decide
from veilmark.client.api import VeilmarkClient
from veilmark.cohorts.mapping import CohortMapping, find_mapping, load_mapping
from veilmark.cohorts.models import Cohort
from veilmark.cohorts.services import CohortTerms, cohort_create, scratch_folder
from veilmark.dashboards.demo.display import bar, wait_for
from veilmark.dashboards.demo.people import DemoPerson
from veilmark.provenance.embedded.visible_label import VisibleLabel
from veilmark.releases.models import Release, Vote
from veilmark.releases.review import release_endorse, release_vote
from veilmark.releases.services import ReleaseDraft, release_create, release_send_to_clinicians, release_submit
from veilmark.releases.states import ReleaseState
from veilmark.synthetic_sets.models import SyntheticSet
from veilmark.synthetic_sets.services import synthetic_set_create
from veilmark.training_runs.models import TrainingRun
from veilmark.training_runs.services import TrainingPlan, training_run_start

N_PHANTOM_SUBJECTS = 1000
PHANTOM_SEED = 1
DEFAULT_PUBLIC_N = 1000
MEANING = "I reviewed the audits and the decision and answer for this release."
OFFICERS = ("demo-officer-a", "demo-officer-b")

People = dict[str, DemoPerson]


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """cohort: a folder or zip, None for phantoms. mapping: None to find it by itself."""

    cohort: Path | None
    mapping: Path | None
    profile: str
    generator: str
    epsilon: float
    n_images: int
    image_size: int
    visible_label: VisibleLabel


def take_in_cohort(people: People, options: DemoOptions) -> Cohort:
    """The custodian uploads: phantoms drawn for the occasion, or the folder that was named."""
    if options.cohort is not None:
        mapping = load_mapping(options.mapping) if options.mapping else find_mapping(options.cohort)
        return _upload(options.cohort, mapping, custodian=people["demo-custodian"])
    folder = Path(tempfile.mkdtemp(prefix="phantoms-", dir=scratch_folder()))
    try:
        with bar("drawing phantoms") as move:
            write_phantom_cohort(folder, n_subjects=N_PHANTOM_SUBJECTS, size=options.image_size, seed=PHANTOM_SEED)
            move(1, 1)
        return _upload(folder, load_mapping(folder / "mapping.toml"), custodian=people["demo-custodian"])
    finally:
        shutil.rmtree(folder)


def _upload(source: Path, mapping: CohortMapping, *, custodian: DemoPerson) -> Cohort:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    public_n = mapping.public_n_subjects or (N_PHANTOM_SUBJECTS if "phantom" in mapping.name else DEFAULT_PUBLIC_N)
    terms = CohortTerms(name=f"{mapping.name} {stamp}", public_n_subjects=public_n)
    with bar("taking the cohort in") as move:
        return cohort_create(source=source, mapping=mapping, terms=terms, acting_user=custodian.user, progress=move)


def train(people: People, cohort: Cohort, options: DemoOptions) -> TrainingRun:
    """The custodian trains; the job runs in the worker."""
    plan = TrainingPlan(generator=options.generator, epsilon=options.epsilon, image_size=options.image_size)
    run = training_run_start(cohort=cohort, plan=plan, acting_user=people["demo-custodian"].user)
    wait_for(run.job, f"training {options.generator}")
    run.refresh_from_db()
    return run


def draw(people: People, run: TrainingRun, options: DemoOptions) -> SyntheticSet:
    """The custodian asks for images; they are marked and written as final files."""
    synthetic_set = synthetic_set_create(
        training_run=run,
        n_images=options.n_images,
        visible_label=options.visible_label,
        acting_user=people["demo-custodian"].user,
    )
    wait_for(synthetic_set.job, "drawing and marking images")
    synthetic_set.refresh_from_db()
    return synthetic_set


def assess(people: People, synthetic_set: SyntheticSet, options: DemoOptions) -> Release:
    """The custodian drafts a release and submits it: audits, then rules."""
    cohort = synthetic_set.training_run.cohort
    draft = ReleaseDraft(
        name=f"demo-{synthetic_set.public_id}",
        title=f"Synthetic images after {cohort.name.rpartition(' ')[0]}",
        profile=options.profile,
    )
    custodian = people["demo-custodian"].user
    release = release_create(synthetic_set=synthetic_set, draft=draft, acting_user=custodian)
    release_submit(release=release, acting_user=custodian)
    wait_for(release.job, "auditing and deciding")
    release.refresh_from_db()
    return release


def endorse_and_publish(people: People, release: Release) -> Release:
    """Two officers vote blind, then sign the audited digest with their passwords; the worker publishes."""
    release_send_to_clinicians(release=release, acting_user=people["demo-custodian"].user)
    for name in OFFICERS:
        release_vote(
            release=release, vote=Vote.APPROVE, reason="the audits and the decision hold", acting_user=people[name].user
        )
    digest = release.audit_run.content_root if release.audit_run else ""
    for name in OFFICERS:
        person = people[name]
        release_endorse(
            release=release, digest=digest, meaning=MEANING, password=person.password, acting_user=person.user
        )
    wait_for(release.job, "signing and publishing")
    release.refresh_from_db()
    return release


def is_ready(release: Release) -> bool:
    """Whether the rules let the release go on to people."""
    return release.state == ReleaseState.READY


def download(people: People, release: Release, address: str) -> Path:
    """The researcher, over the API alone: signs in, accepts the agreement, asks, downloads. An officer decides."""
    researcher = people["demo-researcher"]
    with VeilmarkClient(address) as client:
        client.sign_in(researcher.user.username, researcher.password)
        client.accept(client.agreement())
        purpose = release.synthetic_set.training_run.cohort.purposes[0]
        asked = client.request(release.name, purpose=purpose, project="to show the whole path")
        decided = request_decide(
            request=AccessRequest.objects.get(pk=asked.id),
            approve=True,
            reason="within the permitted purposes",
            acting_user=people[OFFICERS[0]].user,
        )
        wait_for(decided.grant.copy.job, "preparing the researcher's copy")
        with bar("downloading") as move:
            folder = Path(settings.VEILMARK_VAR) / "downloads"
            folder.mkdir(parents=True, exist_ok=True)
            return client.download(release.name, folder, progress=move).path
