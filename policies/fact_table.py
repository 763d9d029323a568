"""The declared table of facts: every name that a rule may ask for, with type, unit, meaning and source.

Statuses are those of a measurement (contracts): only `not_detected` speaks for a set; `no_power` and
`not_assessable` say that the audit could not tell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum


class FactType(StrEnum):
    """The types of facts. COUNT is a whole number, NUMBER a finite real one."""

    FLAG = "flag"
    COUNT = "count"
    NUMBER = "number"
    TEXT = "text"
    TEXTS = "texts"


@dataclass(frozen=True, kw_only=True)
class FactSpec:
    """One declared fact. minimum, maximum: inclusive, for counts and numbers. choices: for texts; empty: any."""

    name: str
    type: FactType
    unit: str
    description: str
    source: str
    minimum: float = -math.inf
    maximum: float = math.inf
    choices: tuple[str, ...] = ()


STATUSES = ("detected", "not_detected", "no_power", "not_assessable")


def _flag(name: str, description: str, source: str) -> FactSpec:
    return FactSpec(name=name, type=FactType.FLAG, unit="yes/no", description=description, source=source)


def _count(name: str, unit: str, description: str, source: str) -> FactSpec:
    return FactSpec(name=name, type=FactType.COUNT, unit=unit, description=description, source=source, minimum=0)


def _amount(name: str, unit: str, description: str, source: str) -> FactSpec:
    return FactSpec(name=name, type=FactType.NUMBER, unit=unit, description=description, source=source, minimum=0)


def _rate(name: str, description: str, source: str) -> FactSpec:
    return FactSpec(
        name=name, type=FactType.NUMBER, unit="rate", description=description, source=source, minimum=0, maximum=1
    )


def _text(name: str, description: str, source: str, *choices: str) -> FactSpec:
    return FactSpec(name=name, type=FactType.TEXT, unit="", description=description, source=source, choices=choices)


def _status(name: str, description: str) -> FactSpec:
    return _text(name, description, "audit run", *STATUSES)


_COHORT = (
    _count("n_subjects_train", "subjects", "subjects that the generator saw", "cohort split"),
    _count("n_subjects_holdout", "subjects", "subjects of the same source that it did not see", "cohort split"),
    _count("public_n_subjects", "subjects", "the custodian's declared, rounded bound", "cohort, privacy contract 3"),
    _flag("contract_passed", "every expectation of the data contract held", "cohort intake"),
    _flag("deidentified", "headers were replaced by codes before storage", "cohort intake, 45 CFR 164.514"),
    _text("legal_basis", "Art. 6 and 9(2) entries, or the US basis, as the custodian states it", "cohort, GDPR 6, 9"),
    FactSpec(
        name="purposes", type=FactType.TEXTS, unit="", description="permitted purposes", source="cohort, GDPR 5(1)(b)"
    ),
    _text("licence", "the cohort's licence as stated", "cohort, licence text"),
    _flag("licence_permits_derivatives", "the licence lets derived images be made and passed on", "custodian"),
    _count("highest_age", "years", "highest stated age; 90 stands for 90 and over", "cohort, 164.514(b)(2)(i)(C)"),
    _count(
        "smallest_cell_k", "subjects", "smallest cell of quasi-identifiers, REAL subjects", "EMA policy 0070 practice"
    ),
    _count("safe_harbor_hits", "hits", "hits of the scan for the 18 identifiers", "45 CFR 164.514(b)(2)"),
    _flag("no_actual_knowledge", "attested: no knowledge that a person could be told", "164.514(b)(2)(ii)"),
    _flag("expert_determination_current", "signed report of an expert, not expired", "45 CFR 164.514(b)(1)"),
    _flag("has_head_images", "the cohort holds head CT or MR", "cohort intake"),
    _flag("defacing_passed", "every head image passed the defacing check", "164.514(b)(2)(i)(Q)"),
    _flag("ethics_approval_current", "IRB or ethics decision, waiver or authorisation, current", "164.512(i)"),
    _flag("dpia_current", "impact assessment approved and not past its review date", "GDPR 35"),
    _flag("processing_register_complete", "the register of processing has a complete row", "GDPR 30"),
    _flag("eu_applies", "the data or a recipient falls under EU law", "custodian"),
    _flag("transfer_basis_present", "processor contract and transfer basis", "GDPR 28, chapter V"),
    _flag("ehds_purpose_listed", "the purpose is one of EHDS Art. 53", "EHDS 53"),
)

_PRIVACY = (
    _text("generator_name", "the generator's registered name", "generator card"),
    _amount("spent_epsilon", "epsilon per subject", "what this generator's run spent", "generator card, ledger"),
    _rate("delta", "the delta that spent_epsilon stands at", "generator card"),
    _text("privacy_unit", "whom the bound protects", "generator card", "subject", "record"),
    _text("adjacency", "neighbouring data sets", "generator card", "add_remove_subject", "replace_one_subject"),
    _text("accountant", "the accountant that reports epsilon", "generator card", "rdp", "prv", "pld"),
    _amount("cohort_spent_epsilon", "epsilon per subject", "composed over ALL runs on the cohort", "ledger"),
    _count("n_training_runs", "runs", "training runs on the cohort, failed ones too", "ledger"),
    _count("n_audit_runs", "runs", "audit runs: selection outside the bound", "ledger"),
)

_AUDITS = (
    _status("copies_status", "are there copies of training images"),
    _rate("copies_rate_upper", "upper bound of the rate of copies", "audit run"),
    _count("copies_n", "images", "synthetic images checked for copies", "audit run"),
    _count("n_flagged_copies", "pairs", "flagged beside a training image, in all audits of the set", "audit run"),
    _count("n_reviewed_copies", "pairs", "flagged pairs that somebody called a copy or not a copy", "officers"),
    _count("confirmed_copies", "pairs", "called a copy by anybody; unknown until all are reviewed", "officers"),
    _count("copies_confirmed_so_far", "pairs", "called a copy by anybody, whether or not all are reviewed", "officers"),
    _status("membership_status", "can membership be told"),
    _rate("membership_auc", "AUC of the strongest membership attack", "audit run"),
    _rate("membership_auc_upper", "upper bound of membership_auc", "audit run"),
    _count("membership_n_members", "subjects", "members attacked", "audit run"),
    _count("membership_n_nonmembers", "subjects", "non-members attacked", "audit run"),
    _rate("singling_out_upper", "upper bound of the advantage of singling out", "audit run, WP216"),
    _rate("linkability_upper", "upper bound of the advantage of linking", "audit run, WP216"),
    _rate("inference_upper", "upper bound of the advantage of inferring an attribute", "audit run, WP216"),
    _status("utility_status", "utility loss against real images"),
    _rate("utility_auc", "AUC: trained on synthetic, tested on real", "audit run"),
    _rate("utility_auc_lower", "lower bound of utility_auc", "audit run"),
    _rate("utility_real_auc", "AUC: trained on real, tested on real", "audit run"),
    FactSpec(
        name="utility_difference",
        type=FactType.NUMBER,
        unit="AUC",
        description="utility_auc minus utility_real_auc",
        source="audit run",
        minimum=-1,
        maximum=1,
    ),
    _status("fairness_sex_status", "utility gap between the sexes"),
    _status("fairness_age_status", "utility gap between age groups"),
    _flag("reader_quorum_met", "enough clinicians have read", "reader study"),
    _rate("reader_accuracy_upper", "upper bound of readers telling real from synthetic", "reader study"),
    _rate("mark_detected_rate", "marked images in which the mark was found", "audit run"),
    _rate("mark_detected_rate_lower", "lower bound of mark_detected_rate", "audit run, EU AI Act 50(2)"),
    _count("mark_n", "images", "images searched for the mark", "audit run"),
    _flag("mark_survives", "marks of a sample survive the built-in attacks", "synthetic set, EU AI Act 50(2)"),
)

_RELEASE = (
    _count("n_endorsers", "people", "distinct officers who endorsed", "release, NIST SP 800-188"),
    _flag("endorsers_independent", "no endorser is custodian, trainer or reader", "release"),
    _amount("endorsement_age_minutes", "minutes", "longest time from a re-authentication to its signature", "release"),
    _flag("endorsement_meaning_stated", "each endorsement has name, time and meaning", "21 CFR 11.50"),
    _text("endorsed_digest", "the digest that the officers endorsed", "release"),
    _text("audited_digest", "the digest of the marked files that were audited", "audit run"),
    _text("signer_key_id", "the key that signs", "key provider"),
    _text("encryption_key_id", "the key that data at rest is encrypted with", "key provider, 164.312(a)(2)(iv)"),
    _flag("manifest_verified", "every file matches the signed manifest", "provenance, 164.312(c)"),
    _flag("ledger_verified", "the hash chain of events is whole", "ledger, 164.312(b)"),
    _flag("purpose_permitted", "the requested purpose is among the permitted ones", "access, GDPR 5(1)(b)"),
    _flag("agreement_accepted", "the agreement with its no re-identification clause", "access, EHDS 61(3)"),
    _amount("idle_sign_out_minutes", "minutes", "idle time after which a session ends", "164.312(a)(2)(iii)"),
    _amount("retention_years", "years", "how long ledger, decisions and evidence are kept", "164.316(b)(2)"),
    _amount("security_test_age_days", "days", "since the last security test", "GDPR 32"),
    _flag("breach_procedure_tested", "procedure for a copy found after release", "GDPR 33, 34"),
)

FACTS = {spec.name: spec for spec in (*_COHORT, *_PRIVACY, *_AUDITS, *_RELEASE)}
