"""The facts of a synthetic set: gathered from its cohort, its generator's card, its mark and its audit report.

A figure that an audit could not give is left out: the rule that needs it then says UNKNOWN. Nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audits.report import rounded
from audits.stats import clopper_pearson
from generators.groups import AGE_GROUPS
from veilmark.audit_runs.models import AuditRun
from veilmark.audit_runs.selectors import set_copy_state
from veilmark.cohorts.models import Cohort
from veilmark.core.keys import key_provider
from veilmark.reader_studies.selectors import study_result
from veilmark.synthetic_sets.models import SyntheticSet
from veilmark.training_runs.models import TrainingRun
from veilmark.training_runs.recorder import cohort_spend

# One detector for plain copies; one for those that were turned, cropped, bent or toned, which takes more people.
PLAIN_COPIES, ALTERED_COPIES = "nearest_copies.copy_rate", "memorisation.copy_rate"
UTILITY, UTILITY_LOSS = "train_on_synthetic.auc", "train_on_synthetic.auc_difference"
MEMBERSHIP = "membership_inference."
SMALLEST_K = "quasi_identifiers.smallest_k"
# Each risk of the law by the attacks whose figure is an advantage: a share of people or guesses beyond unseen people.
RISKS = {
    "singling_out_upper": ("singling_out.univariate", "singling_out.multivariate"),
    "linkability_upper": ("linkability.metadata",),
    "inference_upper": ("attribute_inference.label", "attribute_inference.sex", "attribute_inference.age_group"),
}
# Another visit of a person can be told only where people have several images and visits can be matched at all.
VISITS = "re_identification.linked_rate"
FINDINGS = ("detected", "not_detected")

Facts = dict[str, object]
Row = Mapping[str, Any]


def gather_facts(audit_run: AuditRun) -> Facts:
    """Every fact that stands before people decide. Facts of endorsing and downloading are the caller's to add."""
    synthetic_set = audit_run.synthetic_set
    training_run = synthetic_set.training_run
    rows = {row["name"]: row for row in audit_run.report.get("measurements", [])}
    facts = {
        **_cohort_facts(training_run.cohort),
        **_privacy_facts(training_run),
        **_mark_facts(synthetic_set),
        **_copy_facts(rows.get(PLAIN_COPIES), rows.get(ALTERED_COPIES)),
        **(_review_facts(synthetic_set) if {PLAIN_COPIES, ALTERED_COPIES} <= rows.keys() else {}),
        **_membership_facts([row for name, row in rows.items() if name.startswith(MEMBERSHIP)]),
        **_risk_facts(rows),
        "smallest_cell_k": _smallest_k(rows.get(SMALLEST_K)),
        **_utility_facts(rows.get(UTILITY), rows.get(UTILITY_LOSS)),
        **_fairness_facts(rows),
        **_reading_facts(synthetic_set),
        "audited_digest": audit_run.content_root,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _cohort_facts(cohort: Cohort) -> Facts:
    # Rounded down as in the publishable report: the decision leaves the site with the bundle (privacy.md 3).
    n_subjects = rounded(cohort.n_subjects_by_split)
    return {
        "n_subjects_train": n_subjects.get("train", 0),
        "n_subjects_holdout": n_subjects.get("holdout", 0),
        "public_n_subjects": cohort.public_n_subjects,
        "contract_passed": cohort.contract.passed,
        # Intake keeps pixels, labels and groups under random codes; headers and names are not stored.
        "deidentified": True,
        "legal_basis": cohort.legal_basis,
        "purposes": cohort.purposes,
        "licence": cohort.licence,
        "licence_permits_derivatives": cohort.licence_permits_derivatives,
        # Ages are stated as groups only, so the highest stated age is the oldest group's lower bound.
        "highest_age": int(AGE_GROUPS[-1].rstrip("+")),
        "encryption_key_id": key_provider().encryption_key_id,
    }


def _privacy_facts(run: TrainingRun) -> Facts:
    spend, total = run.card["spend"], cohort_spend(run.cohort)
    return {
        "generator_name": run.generator,
        "spent_epsilon": spend["spent_epsilon"],
        "delta": spend["delta"],
        "privacy_unit": spend["privacy_unit"],
        "adjacency": spend["adjacency"],
        "accountant": spend["accountant"],
        "cohort_spent_epsilon": total.spent_epsilon if total else None,
        "n_training_runs": run.cohort.training_runs.count(),
        "n_audit_runs": AuditRun.objects.filter(synthetic_set__training_run__cohort=run.cohort).count(),
    }


def _mark_facts(synthetic_set: SyntheticSet) -> Facts:
    found, n = synthetic_set.n_mark_detected, synthetic_set.n_images
    if found is None:
        return {}
    return {
        "mark_detected_rate": found / n,
        "mark_detected_rate_lower": clopper_pearson(found, n)[0],
        "mark_n": n,
        "mark_survives": synthetic_set.mark_survival.get("passes"),
    }


def _copy_facts(plain: Row | None, altered: Row | None) -> Facts:
    """The detector that found most speaks. Both must have run, and the plain one must have power; that of altered
    copies takes a hundred unseen people, and in a smaller cohort the report alone says that it had none."""
    if plain is None or altered is None:
        return {}
    found = [plain, altered] if altered["status"] in FINDINGS else [plain]
    uppers = [row["ci_high"] for row in found if row["ci_high"] is not None]
    return {
        "copies_status": _worst_status(found),
        # The audit's figure is an excess over innocent images, so its bound may lie below nothing.
        "copies_rate_upper": max(0.0, *uppers) if len(uppers) == len(found) else None,
        "copies_n": min(row["n"]["synthetic_images"] for row in found),
    }


def _review_facts(synthetic_set: SyntheticSet) -> Facts:
    """What people say of the flags of every audit of the set. While one flag is unreviewed nobody knows the count."""
    state = set_copy_state(synthetic_set)
    return {
        "n_flagged_copies": state.n_flagged,
        "n_reviewed_copies": state.n_reviewed,
        "copies_confirmed_so_far": state.n_confirmed,
        "confirmed_copies": state.n_confirmed if state.is_reviewed else None,
    }


def _worst_status(rows: list[Row]) -> str:
    statuses = [row["status"] for row in rows]
    return next((name for name in ("detected", "no_power", "not_assessable") if name in statuses), statuses[0])


def _membership_facts(rows: list[Row]) -> Facts:
    """The strongest attack speaks. One attack without power leaves the bound unknown, not to the others."""
    if not rows:
        return {}
    status = _worst_status(rows)
    if any(row["ci_high"] is None for row in rows):
        return {"membership_status": status}
    worst = max(rows, key=lambda row: row["ci_high"])
    return {
        "membership_status": status,
        "membership_auc": worst["value"],
        "membership_auc_upper": worst["ci_high"],
        "membership_n_members": worst["n"]["train"],
        "membership_n_nonmembers": worst["n"]["holdout"],
    }


def _risk_facts(rows: Mapping[str, Row]) -> Facts:
    bounds = {fact: _upper_bound([rows.get(name) for name in names]) for fact, names in RISKS.items()}
    linked = _with_visits(bounds["linkability_upper"], rows.get(VISITS))
    return {**bounds, "linkability_upper": linked}


def _with_visits(metadata: float | None, visits: Row | None) -> float | None:
    """The bound on being linked by metadata or as another visit. Where visits could not be told metadata speaks alone.

    Two attacks that each link somebody are worse than either: a detected excess is added (the union of both), one
    that was looked for and not found only counts where it is the larger bound.
    """
    if metadata is None or visits is None or visits["status"] not in FINDINGS:
        return metadata
    if visits["ci_high"] is None:
        return None
    excess: float = max(0.0, visits["ci_high"])
    return min(1.0, metadata + excess) if visits["status"] == "detected" else max(metadata, excess)


def _upper_bound(rows: list[Row | None]) -> float | None:
    """The strongest attack speaks. One without power, or one not run, leaves the bound unknown, not to the others."""
    bounds: list[float] = []
    for row in rows:
        if row is None or row["status"] not in FINDINGS or row["ci_high"] is None:
            return None
        bounds.append(row["ci_high"])
    return min(1.0, max(0.0, *bounds))


def _smallest_k(row: Row | None) -> int | None:
    """Rounded down to a band by the audit, so that no count of few people leaves the site."""
    return None if row is None or row["status"] not in FINDINGS else int(row["value"])


def _utility_facts(row: Row | None, loss: Row | None) -> Facts:
    if row is None or loss is None:
        return {}
    return {
        "utility_status": row["status"],
        "utility_auc": row["value"],
        "utility_auc_lower": row["ci_low"],
        "utility_real_auc": row["baseline"],
        "utility_difference": loss["value"],
    }


def _fairness_facts(rows: Mapping[str, Row]) -> Facts:
    columns = {"fairness_sex_status": "group_gaps.sex", "fairness_age_status": "group_gaps.age_group"}
    return {fact: rows[name]["status"] for fact, name in columns.items() if name in rows}


def _reading_facts(synthetic_set: SyntheticSet) -> Facts:
    results = [result for study in synthetic_set.reader_studies.all() if (result := study_result(study))]
    return {"reader_accuracy_upper": max(result.ci_high for result in results)} if results else {}
