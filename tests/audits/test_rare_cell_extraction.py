"""A generator asked for its rarest people: what it memorised of them is found, what it drew of others is not."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from audits.base import AuditInput, Law, Measurement, ReleaseMode
from audits.copies.detector import CopyDetector, learn_detector
from audits.copies.rare_cells import Cell, rarest_cell, rarest_label
from audits.pixels import to_grey
from audits.privacy import rare_cell_extraction as audit_module
from audits.registry import run_audits
from generators.data import ImageSet
from generators.folder import load_card
from generators.privacy import PrivacyBudget
from generators.registry import GENERATORS, Entry
from generators.runner import train_generator
from tests.audits.arms import statuses, with_few_people, without_columns
from tests.audits.rare_families import Copier, Drawer, folder_of

RARE, N_RARE = "nodule", 12
LABEL, CELL = "rare_cell_extraction.label", "rare_cell_extraction.cell"


@pytest.fixture(autouse=True)
def families(monkeypatch: pytest.MonkeyPatch) -> None:
    for family in (Drawer, Copier):
        target = f"{family.__module__}:{family.__name__}"
        monkeypatch.setitem(GENERATORS, family.name, Entry(target=target, summary="for tests"))


@pytest.fixture(scope="module")
def detector(leak_free: AuditInput) -> CopyDetector:
    """Learned once, by as many steps as audits take: fewer leave recall to chance."""
    assert leak_free.control is not None
    grey = to_grey(leak_free.control, white=255)
    return learn_detector(grey, leak_free.control.subjects(), seed=0)


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch, detector: CopyDetector) -> None:
    monkeypatch.setattr(audit_module, "learn_detector", lambda *_, **__: detector)
    monkeypatch.setattr(audit_module, "N_DRAWN", 100)
    monkeypatch.setattr(audit_module, "N_DEALS", 999)
    monkeypatch.setattr("audits.privacy.rare_cell_extraction.N_PLANTED", 6)


@pytest.fixture(scope="module")
def rare(leak_free: AuditInput) -> AuditInput:
    """Twelve training people have the rare label."""
    assert leak_free.train.label is not None
    theirs = np.flatnonzero(leak_free.train.label == RARE)
    kept = np.setdiff1d(np.arange(len(leak_free.train)), theirs[N_RARE:])
    return replace(leak_free, train=leak_free.train.select(kept))


def _measured(data: AuditInput) -> dict[str, Measurement]:
    return {m.name: m for m in run_audits(data, only=["rare_cell_extraction"]).measurements}


@pytest.mark.usefixtures("fast")
def test_a_generator_that_memorised_its_rare_people_is_detected(rare: AuditInput, tmp_path: Path) -> None:
    """Its images of everybody else are of people whom it never saw."""
    assert rare.train.label is not None
    held = _joined(rare.train.select(rare.train.label == RARE), _without(RARE, rare.synthetic))
    found = _measured(replace(rare, generator=folder_of(held, tmp_path / "folder")))
    for name in (LABEL, CELL):
        m = found[name]
        assert (m.status, m.law, m.release_mode) == ("detected", Law.SINGLING_OUT, ReleaseMode.QUERY), m.reason
        assert m.p_value <= audit_module.LEVEL  # type: ignore[operator]
        assert m.ci_low > 0.5  # type: ignore[operator]
        assert m.internal["sheet"]
        nearest = m.internal["nearest_train_index"]
        assert len(nearest) == len(m.internal["flags"]) > 60  # type: ignore[arg-type]
        assert m.internal["cell"]["label"] == RARE  # type: ignore[index]
        assert RARE not in m.reason + str(m.details)


@pytest.mark.usefixtures("fast")
def test_a_generator_of_other_people_is_not_accused(rare: AuditInput, tmp_path: Path) -> None:
    found = _measured(replace(rare, generator=folder_of(rare.synthetic, tmp_path / "folder")))
    for name in (LABEL, CELL):
        assert found[name].status != "detected", found[name].reason
        assert found[name].value <= 0.02  # type: ignore[operator]
        assert found[name].positive_control >= 0.6  # type: ignore[operator]
        assert found[name].details["calibrated_on"].startswith("unseen people of all labels")  # type: ignore[attr-defined]


@pytest.mark.usefixtures("fast")
def test_a_private_release_is_not_accused(rare: AuditInput, tmp_path: Path) -> None:
    train_generator(
        name="latent-statistics",
        images=rare.train,
        budget=PrivacyBudget(target_epsilon=8, public_n_subjects=200),
        config={"detail": "none", "n_components": 16},
        out=tmp_path / "folder",
        even_if_drowned=True,
    )
    found = _measured(replace(rare, generator=tmp_path / "folder"))
    assert {found[name].status.value for name in (LABEL, CELL)} <= {"not_detected", "no_power"}
    assert all(found[name].value <= 0.05 for name in (LABEL, CELL))  # type: ignore[operator]


def test_copies_bit_for_bit_are_detected_even_among_few_people(rare: AuditInput, tmp_path: Path) -> None:
    few = with_few_people(rare, 40)
    copier = replace(few, generator=folder_of(few.train, tmp_path / "copier", name=Copier.name))
    assert statuses(copier, "rare_cell_extraction") == {LABEL: "detected", CELL: "detected"}
    drawer = replace(few, generator=folder_of(rare.synthetic, tmp_path / "drawer"))
    assert statuses(drawer, "rare_cell_extraction") == {LABEL: "no_power", CELL: "no_power"}


@pytest.mark.usefixtures("fast")
def test_flags_stand_where_too_few_people_share_the_cell_for_a_verdict(rare: AuditInput, tmp_path: Path) -> None:
    """One training person alone bears the label: among 120 unseen people chance picks that person too often."""
    assert rare.train.label is not None
    theirs = rare.train.select(np.flatnonzero(rare.train.label == RARE)[:1])
    one = replace(rare, train=_joined(theirs, _without(RARE, rare.train)))
    found = _measured(replace(one, generator=folder_of(one.train, tmp_path / "folder")))[LABEL]
    assert found.status == "no_power"
    assert "too few people share the cell" in found.reason
    assert len(found.internal["flags"]) > 50  # type: ignore[arg-type]


def test_families_that_know_no_groups_are_asked_by_label_alone(rare: AuditInput, tmp_path: Path) -> None:
    few = with_few_people(rare, 40)
    folder = folder_of(rare.synthetic, tmp_path / "folder", by_group=False)
    asked = replace(few, generator=folder)
    assert statuses(asked, "rare_cell_extraction") == {LABEL: "no_power", CELL: "not_assessable"}


def test_without_a_generator_or_labels_nothing_is_assessable(rare: AuditInput, tmp_path: Path) -> None:
    assert set(statuses(rare, "rare_cell_extraction").values()) == {"not_assessable"}
    with_folder = replace(rare, generator=folder_of(rare.synthetic, tmp_path / "folder"))
    assert set(statuses(without_columns(with_folder, "label"), "rare_cell_extraction").values()) == {"not_assessable"}


def test_a_folder_that_cannot_draw_is_not_assessable_and_no_path_is_told(rare: AuditInput, tmp_path: Path) -> None:
    folder = folder_of(rare.synthetic, tmp_path / "folder")
    (folder / "weights.pkl").write_bytes(b"")
    found = _measured(replace(rare, generator=folder))[LABEL]
    assert found.status == "not_assessable"
    assert "pickle" in found.reason
    assert str(tmp_path) not in found.reason


def test_the_rarest_are_counted_in_people_that_the_generator_can_be_asked_for(tmp_path: Path) -> None:
    images = ImageSet(
        images=np.zeros((7, 2, 2), dtype=np.uint8),
        label=np.array(["a", "a", "a", "b", "b", "b", "c"]),
        subject=np.array(["1", "2", "3", "4", "4", "4", "5"]),
        sex=np.array(["F", "F", "M", "F", "F", "F", ""]),
        age_group=np.array(["65+"] * 7),
    )
    card = load_card(folder_of(images, tmp_path / "folder"))
    assert rarest_label(images, card) == Cell(label="b")  # one person, as c, but before it
    assert rarest_label(images, replace(card, labels=("a",))) == Cell(label="a")
    assert rarest_cell(images, card) == Cell(label="a", sex="M", age_group="65+")
    assert rarest_cell(replace(images, sex=None), card) is None
    assert Cell(label="b").rows(images).sum() == 3


def test_one_run_learns_the_detector_once(leak_free: AuditInput, monkeypatch: pytest.MonkeyPatch) -> None:
    assert leak_free.control is not None
    learn = partial(learn_detector, to_grey(leak_free.control, white=255), n_steps=1)
    first = learn(leak_free.control.subjects(), seed=1)
    assert learn(leak_free.control.subjects(), seed=1) is first
    assert learn(leak_free.control.subjects(), seed=2) is not first


def _joined(first: ImageSet, second: ImageSet) -> ImageSet:
    """Both sets, one image a person."""
    columns = [(getattr(first, name), getattr(second, name)) for name in ("label", "sex", "age_group")]
    label, sex, age_group = (np.concatenate(pair) for pair in columns)
    images = np.concatenate([first.images, second.images])
    return ImageSet(images=images, label=label, sex=sex, age_group=age_group)


def _without(label: str, images: ImageSet) -> ImageSet:
    assert images.label is not None
    return images.select(images.label != label)


@pytest.mark.proofs
@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("seed", range(12))
def test_innocence_does_not_depend_on_the_split(rare: AuditInput, tmp_path: Path, seed: int) -> None:
    """Who was trained on, who is unseen and whom the generator draws are dealt anew."""
    everybody = _joined(_joined(rare.train, rare.holdout), rare.synthetic)
    dealt = everybody.select(np.random.default_rng(seed).permutation(len(everybody)))
    ends = np.cumsum([len(rare.train), len(rare.holdout)])
    train, holdout, drawn = (dealt.select(part) for part in np.split(np.arange(len(dealt)), ends))
    data = replace(
        rare,
        train=replace(train, subject=_names("t", train)),
        holdout=replace(holdout, subject=_names("h", holdout)),
        generator=folder_of(drawn, tmp_path / "folder"),
        seed=seed,
    )
    found = _measured(data)
    assert "detected" not in {found[name].status.value for name in (LABEL, CELL)}, [m.reason for m in found.values()]


def _names(letter: str, images: ImageSet) -> NDArray[np.str_]:
    return np.array([f"{letter}{i}" for i in range(len(images))])
