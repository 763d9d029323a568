"""A detector that leaves the site knows spoilt images, holds nothing private, and is refused once it was changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from audits.base import AuditError, AuditInput
from audits.detectors.detector import CARD, WEIGHTS, Detector
from audits.detectors.private import Frame, taught_privately
from audits.detectors.teaching import taught_on_public, tried
from audits.registry import run_audits
from audits.report import Audience
from generators.data import ImageSet
from generators.phantoms import draw_phantoms
from generators.privacy import PrivacyBudget, PrivacySpend, StepRecord
from generators.steps_log import read_log

BUDGET = PrivacyBudget(target_epsilon=8.0, target_delta=1e-5, public_n_subjects=1000)


@pytest.fixture(scope="module")
def blurry(leak_free: AuditInput) -> ImageSet:
    """Other people's images, blurred as a weak generator blurs."""
    soft = ndimage.gaussian_filter(leak_free.synthetic.images.astype(float), (0, 0.7, 0.7))
    return replace(leak_free.synthetic, images=np.rint(soft).astype(np.uint8))


@pytest.fixture(scope="module")
def public() -> ImageSet:
    return draw_phantoms(n_subjects=300, size=32, seed=99, max_images=1).images


@pytest.fixture(scope="module")
def detector(blurry: ImageSet, public: ImageSet) -> Detector:
    return taught_on_public(blurry, public, seed=0)


def test_what_was_taught_on_public_images_knows_the_synthetic_ones_beside_people_it_never_saw(
    detector: Detector, blurry: ImageSet, leak_free: AuditInput
) -> None:
    found = tried(detector, blurry, leak_free.train)
    assert found["ci_low"] > 0.9  # type: ignore[operator]
    assert found["n_real_people"] == leak_free.train.n_subjects
    assert detector.card.unseen is not None
    assert detector.card.unseen["auc"] > 0.9  # type: ignore[operator]
    assert (detector.scores(leak_free.train) > detector.card.threshold).mean() < 0.05  # type: ignore[operator]


def test_images_of_other_people_are_not_told_from_real_ones(leak_free: AuditInput, public: ImageSet) -> None:
    found = taught_on_public(leak_free.synthetic, public, seed=0).card.unseen
    assert found is not None
    assert found["ci_low"] < 0.5 < found["ci_high"]  # type: ignore[operator]


def test_a_saved_detector_scores_as_before_and_its_folder_holds_two_files(
    detector: Detector, tmp_path: Path, public: ImageSet
) -> None:
    detector.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [CARD, WEIGHTS]
    np.testing.assert_allclose(Detector.load(tmp_path).scores(public), detector.scores(public), rtol=1e-12)


def test_the_card_names_public_images_alone(detector: Detector, tmp_path: Path, public: ImageSet) -> None:
    detector.save(tmp_path)
    card = json.loads((tmp_path / CARD).read_text())
    assert (card["taught_on"], card["spend"]) == ("public", None)
    assert card["public"] == {"digest": public.digest, "n_images": len(public)}


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / CARD).unlink(),
        lambda folder: (folder / CARD).write_text("{}"),
        lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-1] + b"\x01"),
        lambda folder: (folder / WEIGHTS).unlink(),
        lambda folder: (folder / CARD).write_text((folder / CARD).read_text().replace("detector/1", "detector/2")),
    ],
    ids=["no card", "an empty card", "changed weights", "no weights", "another schema"],
)
def test_a_damaged_folder_is_refused(detector: Detector, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    detector.save(tmp_path)
    damage(tmp_path)
    with pytest.raises(AuditError, match="holds no detector"):
        Detector.load(tmp_path)


def test_images_of_another_form_are_refused(detector: Detector, blurry: ImageSet, public: ImageSet) -> None:
    smaller = ImageSet(images=public.images[:, :16, :16])
    with pytest.raises(AuditError, match="the detector knows"):
        detector.scores(smaller)
    with pytest.raises(AuditError, match="synthetic ones"):
        taught_on_public(blurry, smaller, seed=0)
    with pytest.raises(AuditError, match="too few"):
        taught_on_public(blurry, public.select(np.arange(20)), seed=0)


class _Told:
    """A recorder that remembers what it was told, in order."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def reserve(self, planned: PrivacySpend) -> None:
        self.words.append(f"reserve {planned.privacy_unit} {planned.spent_epsilon <= BUDGET.target_epsilon}")

    def step(self, record: StepRecord) -> None:
        self.words.append(f"step {record.step} {record.sample_rate}")

    def settle(self, spent: PrivacySpend) -> None:
        self.words.append("settle")


def test_a_private_detector_is_charged_and_knows_the_synthetic_images(
    blurry: ImageSet, leak_free: AuditInput, tmp_path: Path
) -> None:
    recorder = _Told()
    found = taught_privately(blurry, leak_free.train, budget=BUDGET, out=tmp_path, seed=0, recorder=recorder)
    assert recorder.words == ["reserve subject True", "step 0 1.0", "settle"]
    log = read_log(tmp_path)
    assert log is not None
    assert log.settled
    assert found.card.spend is not None
    assert 7.9 < found.card.spend["spent_epsilon"] <= 8.0  # type: ignore[operator]
    assert tried(found, blurry, leak_free.holdout)["auc"] > 0.8  # type: ignore[operator]


def test_nobody_moves_the_private_sum_by_more_than_the_sensitivity() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(0, 1, (200, 40)).astype(np.float32)
    far = np.concatenate([features, 1e6 * features])
    assert np.linalg.norm(Frame.of(features).deviations(far), axis=1).max() <= 1 + 1e-9


def test_private_images_without_subjects_budget_or_an_empty_folder_are_refused(
    blurry: ImageSet, leak_free: AuditInput, tmp_path: Path
) -> None:
    with pytest.raises(AuditError, match="subjects are unknown"):
        taught_privately(blurry, replace(leak_free.train, subject=None), budget=BUDGET, out=tmp_path, seed=0)
    free = PrivacyBudget.without_privacy(public_n_subjects=1000)
    with pytest.raises(AuditError, match="needs noise"):
        taught_privately(blurry, leak_free.train, budget=free, out=tmp_path, seed=0)
    (tmp_path / "steps.log").write_text("")
    with pytest.raises(AuditError, match="is not empty"):
        taught_privately(blurry, leak_free.train, budget=BUDGET, out=tmp_path, seed=0)


def test_the_audit_learns_from_the_public_images_that_are_given(leak_free: AuditInput, public: ImageSet) -> None:
    data = replace(leak_free, public=public, embedding="histograms")
    report = run_audits(data, only=["detectability"])
    found = next(m for m in report.measurements if m.name == "detectability.receiver")
    assert (found.status, found.details["taught_on"]) == ("not_detected", "the public images that were given")
    shown = report.to_json(Audience.PUBLISHABLE)["inputs"]
    assert shown.keys() == {"synthetic", "public"}  # type: ignore[attr-defined]
    with pytest.raises(AuditError, match="public"):
        run_audits(replace(data, public=ImageSet(images=public.images[:, :16, :16])), only=["detectability"])
