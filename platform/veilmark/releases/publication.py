"""Publishing: the rules once more with the endorsements in hand, then signing, bundle, zip, verification."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from django.conf import settings
from django.db import transaction

from audits.report import Audience
from generators.base import Progress
from veilmark.audit_runs.services import report_page
from veilmark.core.errors import IntegrityError, StateError
from veilmark.core.keys import site_identity
from veilmark.core.transparency import log_append, site_log
from veilmark.decisions.models import Decision, Outcome
from veilmark.decisions.services import decision_make
from veilmark.jobs.services import job_enqueue
from veilmark.ledger.services import event_append
from veilmark.provenance.bundle import Bundle, write_bundle, write_recall
from veilmark.provenance.digests import digest_of
from veilmark.provenance.documents import Evidence, GeneratorInfo, ReleaseInfo
from veilmark.provenance.layout import RECALL_NAME
from veilmark.provenance.log.entries import statement_entry
from veilmark.provenance.parallel import usable_cores
from veilmark.provenance.prepared import PreparedImages
from veilmark.provenance.source import zip_bundle
from veilmark.provenance.timestamp_server import HttpAuthority
from veilmark.provenance.timestamps import stamp_release
from veilmark.provenance.trust import TrustRoot
from veilmark.provenance.verify import verify_path
from veilmark.releases.models import Release
from veilmark.releases.moves import release_lock, release_move
from veilmark.releases.seals import CREATOR, site_sealers
from veilmark.releases.selectors import bundle_folder, bundle_zip, interest_of, trust_root_path
from veilmark.releases.states import ReleaseState
from veilmark.releases.trust_roots import KEEP_TASK, trust_root_current
from veilmark.synthetic_sets.selectors import set_folder
from veilmark.training_runs.models import TrainingRun


def release_publish(*, release: Release, progress: Progress) -> None:
    """APPROVED to RELEASED. Called by the job. Where it raises, no bundle is left.

    Raises StateError (a rule says no, or the release was withdrawn meanwhile), ProvenanceError (files that changed).
    """
    decision = require_publishable(release)
    try:
        bundle = _write(release, decision, progress)
        trust_root_current()
        _stamp(release)
        _zip(release)
        _require_authentic(release)
        _finish(release, decision, bundle)
    except Exception:
        _remove_bundle(release)
        raise


def release_recall(*, release: Release) -> None:
    """Put a signed recall into the bundle of a revoked release, and into the log: whoever verifies it is told."""
    where = f"release {release.name}"
    if release.state != ReleaseState.REVOKED:
        raise StateError(f"is {release.get_state_display()}", where=where, remedy="revoke it first")
    recalled_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    signer = site_identity()
    write_recall(bundle_folder(release), signer=signer, reason=release.state_reason, recalled_at=recalled_at)
    recall = (bundle_folder(release) / RECALL_NAME).read_bytes()
    log_append([statement_entry(release_id=release.synthetic_set.public_id, digest=digest_of(recall))])
    _zip(release)
    with transaction.atomic():
        release.bundle_digest = file_digest(release)
        release.save(update_fields=["bundle_digest", "updated_at"])
        payload = {"bundle_digest": release.bundle_digest, "reason": release.state_reason}
        event_append(kind="release:recalled", actor=None, subject=release, payload=payload)


def require_publishable(release: Release) -> Decision:
    """The rules once more, with the endorsements in hand. Raises StateError unless they say PASS."""
    where = f"release {release.name}"
    if release.audit_run is None:
        raise StateError("was never audited", where=where, remedy="submit it again")
    decision = decision_make(
        audit_run=release.audit_run, profile=release.profile, phase="signing", facts=endorsement_facts(release)
    )
    if decision.outcome != Outcome.PASS:
        raise StateError(decision.reason, where=where, remedy="see the decision")
    return decision


@transaction.atomic
def _finish(release: Release, decision: Decision, bundle: Bundle) -> None:
    release_lock(release)
    release.decision = decision
    release.manifest_digest = bundle.manifest_digest
    release.bundle_digest = file_digest(release)
    release.signer_key_id = site_identity().id
    release.published_at = datetime.now(UTC)
    release.save(
        update_fields=["decision", "manifest_digest", "bundle_digest", "signer_key_id", "published_at", "updated_at"]
    )
    payload = {"manifest_digest": release.manifest_digest, "bundle_digest": release.bundle_digest}
    release_move(release, ReleaseState.RELEASED, acting_user=None, payload=payload)
    job_enqueue(task=KEEP_TASK, arguments={}, acting_user=None, subject=release)


def _require_authentic(release: Release) -> None:
    checked = verify_path(bundle_zip(release), trust_root=TrustRoot.read(trust_root_path()), n_processes=usable_cores())
    if checked.exit_code != 0:
        raise IntegrityError(
            f"verifies as {checked.verdict.word}", where=f"release {release.name}", remedy="publish it anew"
        )


def _zip(release: Release) -> None:
    """Pack the bundle beside its place and move it there: who downloads gets the old zip or the new one, whole."""
    draft = Path(f"{bundle_zip(release)}.part")
    zip_bundle(bundle_folder(release), draft)
    draft.replace(bundle_zip(release))


def _remove_bundle(release: Release) -> None:
    shutil.rmtree(bundle_folder(release), ignore_errors=True)
    bundle_zip(release).unlink(missing_ok=True)


def endorsement_facts(release: Release) -> dict[str, object]:
    """What the officers' signatures say, as facts. Two digests among them leave `endorsed_digest` unknown."""
    endorsements = list(release.endorsements.filter(round=release.round).select_related("officer"))
    digests = {endorsement.digest for endorsement in endorsements}
    facts: dict[str, object] = {
        "n_endorsers": len({endorsement.officer_id for endorsement in endorsements}),
        "signer_key_id": site_identity().id,
    }
    if endorsements:
        ages = [endorsement.created_at - endorsement.reauthenticated_at for endorsement in endorsements]
        facts |= {
            "endorsers_independent": not any(interest_of(release, row.officer) for row in endorsements),
            "endorsement_age_minutes": max(age.total_seconds() for age in ages) / 60,
            "endorsement_meaning_stated": all(row.meaning for row in endorsements),
        }
    if len(digests) == 1:
        facts["endorsed_digest"] = digests.pop()
    return facts


def _write(release: Release, decision: Decision, progress: Progress) -> Bundle:
    audit_run = decision.audit_run
    out = bundle_folder(release)
    out.parent.mkdir(parents=True, exist_ok=True)
    # What a killed worker left was never published: the state says APPROVED until all is done.
    shutil.rmtree(out, ignore_errors=True)
    return write_bundle(
        out,
        prepared=PreparedImages.read(set_folder(release.synthetic_set)),
        endorsed_root=audit_run.content_root,
        release=_info(release),
        signer=site_identity(),
        log=site_log(),
        evidence=Evidence(
            decision=decision.body, report=audit_run.report, report_html=report_page(audit_run, Audience.PUBLISHABLE)
        ),
        sealers=site_sealers(generator=release.synthetic_set.training_run.generator, signed_at=datetime.now(UTC)),
        n_processes=usable_cores(),
        progress=lambda done, total: progress(done, total, "signing images"),
    )


def _info(release: Release) -> ReleaseInfo:
    run = release.synthetic_set.training_run
    spend = run.card["spend"]
    claim = (
        f"epsilon {spend['spent_epsilon']:.2f} at delta {spend['delta']:g} per {spend['privacy_unit']} "
        f"({spend['adjacency'].replace('_', ' ')}; accountant {spend['accountant']})"
    )
    return ReleaseInfo(
        release_id=release.synthetic_set.public_id,
        created_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        title=release.title,
        description=release.description or f"Synthetic images drawn by {run.generator}.",
        licence=run.cohort.licence,
        creator=CREATOR,
        facts={
            "Differential privacy of the generator": claim,
            "What the claim leaves out": (
                f"each run is differentially private; the choice among {run.cohort.training_runs.count()} runs "
                f"by audits is not included"
            ),
            "Permitted purposes": ", ".join(run.cohort.purposes),
            "Visible label": release.synthetic_set.get_visible_label_display(),
        },
        generator=_generator(run),
    )


def _generator(run: TrainingRun) -> GeneratorInfo:
    """From the card, without what stays on site (the digest of the private data)."""
    card = run.card
    return GeneratorInfo(
        name=run.generator,
        version=version("veilmark"),
        digest=run.generator_digest,
        parameters={name: json.dumps(value, sort_keys=True) for name, value in card["config"].items()},
        public_data=[str(row.get("name", "unnamed")) for row in card["public_data"]],
    )


def _stamp(release: Release) -> None:
    """Where an authority is set, no release goes out without its stamp. Raises StampError."""
    if settings.VEILMARK_STAMP_URL:
        roots = trust_root_current().timestamp_roots
        stamp_release(bundle_folder(release), HttpAuthority(url=settings.VEILMARK_STAMP_URL), roots=roots)


def file_digest(release: Release) -> str:
    """`sha256:<hex>` of the zip as it lies on disk."""
    with bundle_zip(release).open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
