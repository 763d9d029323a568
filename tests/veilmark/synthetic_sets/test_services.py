"""A synthetic set holds what was asked for, marked, and every file of it says that it is synthetic."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image

from generators.base import CellCount
from veilmark.cohorts.selectors import cohort_images
from veilmark.core.errors import ApplicationError, NotAllowedError, StateError
from veilmark.provenance.embedded.visible_label import VisibleLabel
from veilmark.provenance.prepared import PreparedImages
from veilmark.provenance.watermark import detect_mark
from veilmark.synthetic_sets.counts import even_cells, parse_cells
from veilmark.synthetic_sets.final_files import contact_sheet, marks_after_attacks, read_final_set
from veilmark.synthetic_sets.models import SyntheticSet
from veilmark.synthetic_sets.selectors import set_folder, synthetic_sets_visible
from veilmark.synthetic_sets.services import synthetic_set_create
from veilmark.training_runs.services import run_folder

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def draw(walked: Any, run_jobs: Any) -> Any:
    def drawn(**wish: Any) -> SyntheticSet:
        wish = {"training_run": walked.training_run, "acting_user": walked.people["custodian"]} | wish
        synthetic_set = synthetic_set_create(**wish)
        run_jobs()
        synthetic_set.refresh_from_db()
        return synthetic_set

    return drawn


def test_counts_are_exact(draw):
    cells = [
        CellCount(label="nodule", sex="F", n=5),
        CellCount(label="normal", sex="M", age_group="18-39", n=3),
        CellCount(label="opacity", n=2),
    ]
    synthetic_set = draw(cells=cells)
    assert synthetic_set.state == "done", synthetic_set.error
    images = read_final_set(synthetic_set).images
    assert Counter(zip(images.label, images.sex, images.age_group, strict=True)) == {
        ("nodule", "F", ""): 5,
        ("normal", "M", "18-39"): 3,
        ("opacity", "", ""): 2,
    }
    assert synthetic_set.n_images == 10


def test_a_border_says_synthetic_below_each_image_and_no_audit_sees_it(draw):
    from veilmark.audit_runs.models import AuditRun
    from veilmark.audit_runs.services import _arms

    cells = [CellCount(label="normal", n=2)]
    plain, bordered = draw(cells=cells), draw(cells=cells, visible_label=VisibleLabel.BORDER)
    size = bordered.training_run.image_size
    images = read_final_set(bordered).images
    assert images.images.shape[1:] == (size + 9, size)
    assert np.array_equal(np.unique(images.images[0, size:]), np.unique(images.images[0, size:])[[0, -1]])
    audited = _arms(AuditRun(synthetic_set=bordered), images).synthetic
    assert audited.images.shape[1:] == (size, size)
    unlabelled = read_final_set(plain).images.images.astype(int)
    assert np.abs(audited.images - unlabelled).mean() < 8, "the mark alone differs"
    assert bordered.n_mark_detected == 2


def test_an_even_set_is_even(walked):
    images = read_final_set(walked.synthetic_set).images
    cells = even_cells(walked.training_run.card, 120)
    counts = Counter(zip(images.label, images.sex, images.age_group, strict=True))
    assert counts == {(cell.label, cell.sex, cell.age_group): cell.n for cell in cells}
    assert max(counts.values()) - min(counts.values()) <= 1


def test_a_seed_repeats_the_images_and_not_their_marks(draw):
    cells = [CellCount(label="normal", n=6)]
    first, again, other = draw(cells=cells, seed=4), draw(cells=cells, seed=4), draw(cells=cells, seed=5)
    pixels = [read_final_set(row).images.images.astype(int) for row in (first, again, other)]
    assert np.abs(pixels[0] - pixels[1]).mean() < 8, "the mark alone differs"
    assert np.abs(pixels[0] - pixels[2]).mean() > 2 * np.abs(pixels[0] - pixels[1]).mean()
    assert len({row.serial for row in (first, again, other)}) == 3
    assert len({row.content_root for row in (first, again, other)}) == 3


def test_the_mark_is_found_in_the_final_files(walked):
    assert walked.synthetic_set.n_mark_detected == walked.synthetic_set.n_images == 120
    prepared = PreparedImages.read(set_folder(walked.synthetic_set))
    with Image.open(prepared.folder / prepared.draft.images[0].files[0].path) as image:
        found = detect_mark(np.asarray(image))
    assert found.id is not None
    assert found.id.hex == prepared.draft.images[0].mark_id
    assert prepared.draft.mark_release == walked.synthetic_set.serial


def test_attacks_were_tried_on_a_hundred_marked_images(walked):
    survival = walked.synthetic_set.mark_survival
    assert survival["passes"] is True
    assert survival["n_tried"] == 100
    assert {"JPEG 50", "flip", "crop 10 %"} <= {row["attack"] for row in survival["attacks"]}
    assert all(row["found"] >= 90 for row in survival["attacks"])


def test_a_set_with_an_image_that_holds_no_mark_survives_nothing(walked):
    prepared = PreparedImages.read(set_folder(walked.synthetic_set))
    bare = [replace(prepared.draft.images[0], mark_id=""), *prepared.draft.images[1:]]
    without = replace(prepared, draft=replace(prepared.draft, images=bare))
    assert marks_after_attacks(without, seed=0) == {"passes": False, "n_tried": 0, "attacks": []}


def test_every_png_says_that_it_is_synthetic(walked):
    paths = sorted((set_folder(walked.synthetic_set) / "images").glob("*.png"))
    assert len(paths) == 120
    for path in paths:
        with Image.open(path) as image:
            assert image.text["Comment"].startswith("SYNTHETIC image: it shows no real person")
            assert "trainedAlgorithmicMedia" in image.text["XML:com.adobe.xmp"]
            assert walked.synthetic_set.public_id in image.text["Comment"]


def test_every_dicom_file_says_that_it_is_synthetic(walked):
    paths = sorted((set_folder(walked.synthetic_set) / "images").glob("*.dcm"))
    assert len(paths) == 120
    people = set()
    for path in paths:
        dataset = pydicom.dcmread(path)
        assert dataset[0x0008, 0x001C].value == "YES", "Synthetic Data, PS3.3 C.12.1"
        assert dataset.ConversionType == "SYN"
        people.add(dataset.PatientID)
        with Image.open(path.with_suffix(".png")) as image:
            np.testing.assert_array_equal(dataset.pixel_array, np.asarray(image))
    assert not people & set(cohort_images(walked.cohort).subject)


def test_dicom_files_are_of_the_declared_modality(walked, draw):
    walked.cohort.modality = "CR"
    walked.cohort.save()
    walked.training_run.refresh_from_db()
    synthetic_set = draw(cells=[CellCount(label="normal", n=2)])
    assert synthetic_set.state == "done", synthetic_set.error
    (dataset, _) = (pydicom.dcmread(path) for path in (set_folder(synthetic_set) / "images").glob("*.dcm"))
    assert (dataset.Modality, dataset.SOPClassUID.keyword) == ("CR", "ComputedRadiographyImageStorage")


def test_the_root_is_that_of_the_bytes_on_disk(walked):
    assert read_final_set(walked.synthetic_set).content_root == walked.synthetic_set.content_root


def test_a_contact_sheet_shows_synthetic_images_alone(walked):
    with Image.open(io.BytesIO(contact_sheet(walked.synthetic_set))) as image:
        sheet = np.asarray(image)
    known = {image.tobytes() for image in read_final_set(walked.synthetic_set).images.images}
    tiles = [
        np.ascontiguousarray(sheet[top : top + 64, left : left + 64]).tobytes()
        for top in range(0, sheet.shape[0], 66)
        for left in range(0, sheet.shape[1], 66)
    ]
    assert len(tiles) == 72
    assert set(tiles) <= known


BAD_WISHES = {
    "nothing": ({"n_images": 0}, "number of images: is 0; ask for 1 to 100,000"),
    "less than nothing": ({"n_images": -12}, "number of images: is -"),
    "too much": ({"n_images": 100_001}, "number of images: is 100001"),
    "a negative cell": ({"cells": [CellCount(label="normal", n=-1), CellCount(label="nodule", n=9)]}, "is 8"),
    "a negative seed": ({"n_images": 3, "seed": -1}, "seed: is -1"),
}


@pytest.mark.parametrize(("wish", "line"), BAD_WISHES.values(), ids=BAD_WISHES.keys())
def test_a_wish_that_cannot_be_is_refused_at_once(draw, wish, line):
    with pytest.raises(ApplicationError) as refused:
        draw(**wish)
    assert line in str(refused.value)
    assert SyntheticSet.objects.count() == 1


def test_a_label_that_the_generator_does_not_know(draw):
    synthetic_set = draw(cells=[CellCount(label="unicorn", n=2)])
    assert synthetic_set.state == "failed"
    assert "unicorn" in synthetic_set.error
    assert not set_folder(synthetic_set).exists()


def test_a_generator_that_changed_since_its_training_draws_nothing(draw, walked):
    card = run_folder(walked.training_run) / "generator.json"
    kept = card.read_bytes()
    try:
        card.write_bytes(kept.replace(b'"normal"', b'"normaI"', 1))
        synthetic_set = draw(n_images=3)
    finally:
        card.write_bytes(kept)
    assert synthetic_set.state == "failed"
    assert not set_folder(synthetic_set).exists()


@pytest.mark.parametrize("rows", [[{}], [{"label": "normal"}], [{"n": "many"}], [3], [{"n": None}]], ids=str)
def test_counts_that_are_none(rows):
    with pytest.raises(ApplicationError, match="counts: a row is no label, sex, age_group and n; correct it"):
        parse_cells(rows)


def test_who_draws_and_who_sees(walked, draw):
    from veilmark.accounts.services import person_create

    other = person_create(username="other", password="a long enough passphrase", role="custodian")
    for person in (other, walked.people["officer"], walked.people["researcher"]):
        with pytest.raises(NotAllowedError):
            draw(n_images=3, acting_user=person)
    assert synthetic_sets_visible(other).count() == 0
    assert synthetic_sets_visible(walked.people["clinician"]).count() == 1
    with pytest.raises(NotAllowedError):
        synthetic_sets_visible(walked.people["researcher"])


def test_a_run_that_is_not_done_draws_nothing(walked, draw):
    walked.training_run.state = "running"
    walked.training_run.save()
    with pytest.raises(StateError, match="is running"):
        draw(n_images=3)


def test_a_missing_generator_is_one_line(walked, draw, tmp_path):
    folder = run_folder(walked.training_run)
    folder.rename(tmp_path / "away")
    try:
        synthetic_set = draw(n_images=3)
    finally:
        (tmp_path / "away").rename(folder)
    assert synthetic_set.state == "failed"
    assert "internal error" not in synthetic_set.error
