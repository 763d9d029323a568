"""The demo's summary: what was spent, what the audits measured, what the rules said, what was released."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from veilmark.audit_runs.selectors import copy_state
from veilmark.dashboards.demo.display import audit_table, console, decision_table, facts_table
from veilmark.releases.models import Release
from veilmark.releases.selectors import bundle_folder, trust_root_path
from veilmark.releases.states import ReleaseState
from veilmark.synthetic_sets.final_files import contact_sheet


def print_summary(release: Release) -> None:
    """Tables on the console, the contact sheet as a file."""
    synthetic_set = release.synthetic_set
    run = synthetic_set.training_run
    cohort = run.cohort
    spend = run.card["spend"]
    splits = ", ".join(f"{name} {count}" for name, count in sorted(cohort.n_subjects_by_split.items()))
    facts_table(
        "Release",
        {
            "cohort": f"{cohort.name}: {cohort.n_subjects} subjects, {cohort.n_images} images ({splits})",
            "images under two names": "; ".join(" = ".join(names) for names in cohort.duplicates) or "none",
            "generator": run.generator,
            "privacy spent": (
                f"epsilon {spend['spent_epsilon']:.3f} per {spend['privacy_unit']} at delta {spend['delta']:g}, "
                f"accountant {spend['accountant']}, adjacency {spend['adjacency']}"
            ),
            "synthetic images": f"{synthetic_set.n_images}, mark found in {synthetic_set.n_mark_detected}",
            "contact sheet": str(_write_sheet(release)),
            "digest (Merkle root)": synthetic_set.content_root,
            "flagged pairs": _flagged(release),
            "state": release.get_state_display(),
        },
    )
    audit_run = release.audit_run
    if audit_run is not None:
        audit_table(audit_run.report["measurements"])
    if release.decision is not None:
        decision_table(release.decision.body)
    if release.state == ReleaseState.RELEASED:
        facts_table(
            "Published",
            {
                "bundle": str(bundle_folder(release)),
                "manifest digest": release.manifest_digest,
                "trust root": str(trust_root_path()),
                "demo people": str(settings.VEILMARK_VAR / "demo-people.json"),
            },
        )
    else:
        console.print(f"[red]No bundle was made: {release.state_reason}[/]")


def _flagged(release: Release) -> str:
    """No program answers for a person: the demo says what officers have still to look at."""
    if release.audit_run is None:
        return "not audited"
    state = copy_state([release.audit_run])
    said = f"{state.n_flagged}, of which officers have reviewed {state.n_reviewed} and confirmed {state.n_confirmed}"
    return said if state.is_reviewed else f"{said}; they wait at /audit-runs/{release.audit_run.pk}/copies/"


def _write_sheet(release: Release) -> Path:
    path = Path(settings.VEILMARK_VAR) / f"{release.name}.png"
    path.write_bytes(contact_sheet(release.synthetic_set))
    return path
