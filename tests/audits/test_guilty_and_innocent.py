"""Every registered audit, fed a generator that is guilty of what it asks and one that is not: both verdicts are right.

An audit that is added without a row here fails. What each audit sees beyond that is tested in a file of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from audits.base import AuditInput, Measurement, Status
from audits.copies.detector import CopyDetector, learn_detector
from audits.pixels import to_grey
from audits.registry import list_audits, run_audits
from generators.data import ImageSet
from tests.audits import known_truths as truth
from tests.audits.known_truths import Given, Made

# Where a trainer draws anew each time, an innocent one is accused by so small a chance alone.
CHANCE = 1e-4


@dataclass(frozen=True, kw_only=True)
class Case:
    """figures: those that see the guilt and clear the innocent, without the audit's name.

    by_chance: whether the innocent is judged by p-values, since nothing repeats the draws of a trainer.
    """

    guilty: Made
    innocent: Made
    figures: tuple[str, ...]
    by_chance: bool = False


CASES: Mapping[str, Case] = {
    "attribute_inference": Case(guilty=truth.copying, innocent=truth.of_others, figures=("label", "age_group")),
    "dp_claim": Case(
        guilty=partial(truth.claiming, guilty=True),
        innocent=partial(truth.claiming, guilty=False),
        figures=("empirical_epsilon_lower_bound",),
        by_chance=True,
    ),
    "linkability": Case(guilty=partial(truth.tables, leaks=True), innocent=truth.tables, figures=("metadata",)),
    "membership_inference": Case(guilty=truth.copying, innocent=truth.of_others, figures=("nearest", "density_ratio")),
    "memorisation": Case(guilty=truth.copying, innocent=truth.of_others, figures=("copy_rate",)),
    "nearest_copies": Case(guilty=truth.copying, innocent=truth.of_others, figures=("copy_rate",)),
    "quasi_identifiers": Case(
        guilty=partial(truth.cells, smallest=3),
        innocent=partial(truth.cells, smallest=30),
        figures=("smallest_k",),
    ),
    "rare_cell_extraction": Case(
        guilty=partial(truth.drawing, guilty=True),
        innocent=partial(truth.drawing, guilty=False),
        figures=("label", "cell"),
    ),
    "re_identification": Case(
        guilty=partial(truth.visiting, n_given_away=50), innocent=truth.visiting, figures=("linked_rate",)
    ),
    "singling_out": Case(guilty=partial(truth.tables, leaks=True), innocent=truth.tables, figures=("multivariate",)),
    "weights_membership": Case(
        guilty=partial(truth.with_weights, guilty=True),
        innocent=partial(truth.with_weights, guilty=False),
        figures=("loss", "lira"),
    ),
    "detectability": Case(
        guilty=truth.by_histograms(truth.blurred),
        innocent=truth.by_histograms(truth.of_others),
        figures=("auditor", "receiver"),
    ),
    "diversity": Case(guilty=truth.repeated, innocent=truth.of_others, figures=("ms_ssim",)),
    "frechet_distance": Case(guilty=truth.blurred, innocent=truth.of_others, figures=("squared",)),
    "kernel_distance": Case(guilty=truth.blurred, innocent=truth.of_others, figures=("mmd",)),
    "manifold": Case(guilty=truth.blurred, innocent=truth.of_others, figures=("coverage",)),
    "spectrum_distance": Case(guilty=truth.blurred, innocent=truth.of_others, figures=("decibels",)),
    "texture_distance": Case(guilty=truth.blurred, innocent=truth.of_others, figures=("local_patterns",)),
    "vendi_score": Case(guilty=truth.repeated, innocent=truth.of_others, figures=("kinds",)),
    "mark_detection": Case(
        guilty=partial(truth.marked, found=60), innocent=partial(truth.marked, found=100), figures=("as_released",)
    ),
    "mix_curve": Case(
        guilty=lambda given: truth.meaning_nothing(truth.mixing(given)),
        innocent=truth.mixing,
        figures=("auc_difference",),
    ),
    "train_on_synthetic": Case(
        guilty=lambda given: truth.meaning_nothing(given.leak_free),
        innocent=truth.of_others,
        figures=("auc_difference",),
    ),
    "cell_fidelity": Case(guilty=truth.faint_women, innocent=truth.even, figures=("coverage.sex",)),
    "group_gaps": Case(guilty=truth.failing_women, innocent=truth.dealt_sexes, figures=("sex", "tpr.sex")),
    "label_shares": Case(guilty=truth.healthy_women, innocent=truth.even, figures=("sex",)),
}


@pytest.fixture(scope="module")
def detector(leak_free: AuditInput) -> CopyDetector:
    assert leak_free.control is not None
    return learn_detector(to_grey(leak_free.control, white=255), leak_free.control.subjects(), seed=0)


@pytest.fixture
def given(
    leak_free: AuditInput,
    copier: AuditInput,
    people: ImageSet,
    detector: CopyDetector,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Given:
    """With copy detectors that learned once, and fewer draws of rare cells."""
    for name in ("memorisation", "rare_cell_extraction"):
        monkeypatch.setattr(f"audits.privacy.{name}.learn_detector", lambda *_, **__: detector)
    monkeypatch.setattr("audits.privacy.rare_cell_extraction.N_DRAWN", 100)
    monkeypatch.setattr("audits.privacy.rare_cell_extraction.N_PLANTED", 6)
    monkeypatch.setattr("audits.privacy.re_identification.N_PLANTED", 20)
    return Given(leak_free=leak_free, copier=copier, people=people, place=tmp_path, patch=monkeypatch)


def figures(name: str, data: AuditInput) -> dict[str, Measurement]:
    measured = run_audits(data, only=[name]).measurements
    return {m.name.removeprefix(f"{name}."): m for m in measured if m.name.startswith(f"{name}.")}


def test_every_registered_audit_has_a_guilty_and_an_innocent_case() -> None:
    assert CASES.keys() == list_audits().keys()


@pytest.mark.parametrize("name", CASES)
def test_the_guilty_is_found(name: str, given: Given) -> None:
    found = figures(name, CASES[name].guilty(given))
    for figure in CASES[name].figures:
        assert found[figure].status is Status.DETECTED, found[figure].reason


@pytest.mark.parametrize("name", CASES)
def test_the_innocent_is_cleared(name: str, given: Given) -> None:
    case = CASES[name]
    found = figures(name, case.innocent(given))
    for figure, measured in found.items():
        if case.by_chance:
            assert measured.p_value is None or measured.p_value > CHANCE, measured.reason
        elif figure in case.figures:
            assert measured.status is Status.NOT_DETECTED, measured.reason
        else:
            assert measured.status is not Status.DETECTED, measured.reason
