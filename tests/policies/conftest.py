"""A set of facts under which profile `internal` passes at every phase."""

from __future__ import annotations

import pytest

GOOD: dict[str, object] = {
    "n_subjects_train": 400,
    "n_subjects_holdout": 130,
    "public_n_subjects": 700,
    "spent_epsilon": 7.9,
    "delta": 1e-5,
    "privacy_unit": "subject",
    "adjacency": "add_remove_subject",
    "accountant": "prv",
    "cohort_spent_epsilon": 7.9,
    "copies_status": "not_detected",
    "copies_rate_upper": 0.02,
    "copies_n": 300,
    "n_flagged_copies": 2,
    "n_reviewed_copies": 2,
    "confirmed_copies": 0,
    "copies_confirmed_so_far": 0,
    "membership_status": "not_detected",
    "membership_auc": 0.5,
    "membership_auc_upper": 0.58,
    "membership_n_members": 130,
    "membership_n_nonmembers": 130,
    "utility_status": "not_detected",
    "utility_auc": 0.7,
    "utility_auc_lower": 0.62,
    "utility_real_auc": 0.75,
    "utility_difference": -0.05,
    "fairness_sex_status": "no_power",
    "fairness_age_status": "no_power",
    "contract_passed": True,
    "legal_basis": "GDPR 6(1)(e), 9(2)(j)",
    "purposes": ["research"],
    "licence": "CC0-1.0",
    "licence_permits_derivatives": True,
    "deidentified": True,
    "generator_name": "latent-statistics",
    "mark_detected_rate": 1.0,
    "mark_detected_rate_lower": 0.98,
    "mark_n": 300,
    "mark_survives": True,
    "n_endorsers": 2,
    "endorsers_independent": True,
    "endorsement_age_minutes": 1.5,
    "endorsed_digest": "sha256:aa",
    "audited_digest": "sha256:aa",
    "signer_key_id": "sha256:bb",
    "manifest_verified": True,
    "ledger_verified": True,
    "encryption_key_id": "sha256:cc",
    "n_training_runs": 1,
    "n_audit_runs": 1,
    "highest_age": 90,
    "purpose_permitted": True,
    "agreement_accepted": True,
    "reader_quorum_met": None,
    "reader_accuracy_upper": None,
    "smallest_cell_k": None,
}


@pytest.fixture
def good_facts() -> dict[str, object]:
    return dict(GOOD)
