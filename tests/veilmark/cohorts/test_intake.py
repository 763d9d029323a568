"""What a custodian hands over becomes the same images and words, whatever its kind; what cannot is one clear line."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image

from generators.base import no_progress
from veilmark.cohorts.intake import read_image, read_source
from veilmark.cohorts.mapping import load_mapping
from veilmark.cohorts.source import IntakeError, SourceCohort
from veilmark.dicom.synthetic import SyntheticInstance, write_synthetic


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., SourceCohort]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def read(source: Path, mapped: Path | None = None) -> SourceCohort:
        mapping = load_mapping((mapped or source) / "mapping.toml")
        found = read_source(source, mapping, scratch=scratch, progress=no_progress)
        assert not list(scratch.iterdir()), "nothing may stay unencrypted"
        return found

    return read


def assert_true(found: SourceCohort, truth: SimpleNamespace, images: Any = None) -> None:
    expected = truth.images if images is None else images
    assert found.images.dtype == expected.dtype
    np.testing.assert_array_equal(found.images, expected)
    for role in ("subject", "label", "sex", "age"):
        assert found.columns[role] == tuple(row[role] for row in truth.rows)


def test_arrays_are_put_into_the_order_of_the_table(read, arrays, truth):
    found = read(arrays)
    assert_true(found, truth)
    assert (found.kind, found.names[0].split()[0]) == ("npz", "row")


def test_files_of_8_bits(read, files, truth):
    found = read(files)
    assert_true(found, truth)
    assert (found.kind, found.names[0]) == ("images", "pictures/0.png")


def test_files_of_16_bits_keep_their_depth(read, write_files, truth):
    deep = truth.images.astype(np.uint16) * 257
    assert_true(read(write_files(deep)), truth, deep)


def test_declared_bits_of_16_bit_images_are_kept(read, write_files, arrays, truth):
    folder = write_files(truth.images.astype(np.uint16) * 16)
    mapping = folder / "mapping.toml"
    assert read(folder).bits is None
    mapping.write_text(mapping.read_text() + "bits = 12\n")
    assert read(folder).bits == 12
    np.savez(arrays / "images.npz", images=np.load(arrays / "images.npz")["images"].astype(np.uint16), bits=10)
    assert read(arrays).bits == 10


def test_a_jpeg_is_read_as_what_it_shows(read, write_files, truth):
    smooth = np.broadcast_to(np.linspace(0, 255, 20, dtype=np.uint8), truth.images.shape)
    found = read(write_files(smooth, ".jpg", quality=95))
    np.testing.assert_allclose(found.images.astype(int), smooth.astype(int), atol=3)


def test_colour_stays_colour(read, write_files, truth):
    colour = np.stack([truth.images, truth.images // 2, 255 - truth.images], axis=3)
    assert_true(read(write_files(colour)), truth, colour)


@pytest.mark.parametrize(("mode", "shape"), [("RGBA", (4, 4, 3)), ("P", (4, 4, 3)), ("LA", (4, 4)), ("1", (4, 4))])
def test_a_mode_of_8_bits_loses_nothing_that_counts(tmp_path, mode, shape):
    colours = np.zeros((4, 4, 3), np.uint8)
    colours[:2] = (255, 255, 255) if len(shape) == 2 else (204, 0, 51)
    Image.fromarray(colours).convert(mode).save(tmp_path / "a.png")
    pixels = read_image(tmp_path, "a.png")
    assert pixels.shape == shape
    np.testing.assert_allclose(pixels[0, 0], colours[0, 0] if len(shape) == 3 else 255, atol=3)


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_pixels_of_32_bits_are_refused_and_never_clipped(tmp_path, kind):
    Image.fromarray(np.full((4, 4), 70_000, kind)).save(tmp_path / "a.tif")
    with pytest.raises(IntakeError, match=r"a\.tif: holds [IF] pixels; store 8 or 16 bits"):
        read_image(tmp_path, "a.tif")


@pytest.mark.parametrize("inside", ["", "top/"], ids=["flat", "one top folder"])
@pytest.mark.parametrize("kind", ["arrays", "files"])
def test_a_zip_holds_the_same_as_its_folder(read, request, pack, truth, kind, inside):
    folder = request.getfixturevalue(kind)
    assert_true(read(pack(folder, inside), mapped=folder), truth)


def write_dicom(path: Path, number: int, **elements: str) -> None:
    """A radiograph that says of whom it is, as a scanner writes it: what `write_synthetic` makes says nothing."""
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8) + number
    instance = SyntheticInstance(release="r", index=number, generator="g", version="1")
    write_synthetic(path, pixels.astype(np.uint8), instance)
    dataset = pydicom.dcmread(path)
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)


def test_dicom_files_say_themselves_who_and_what(read, tmp_path):
    folder = tmp_path / "dicom"
    folder.mkdir()
    for i in range(6):
        person = {"PatientID": f"P-{i % 3}", "PatientSex": "FM"[i % 2], "PatientAge": f"0{30 + i}Y"}
        write_dicom(folder / f"{i}.dcm", i, BodyPartExamined="CHEST", **person)
    (folder / "mapping.toml").write_text(
        '[columns]\nsubject = "subject"\nlabel = "body_part"\nsex = "sex"\nage = "age"\n'
        '[dataset]\nname = "d"\nlicence = "l"\nlegal_basis = "b"\npurposes = ["research"]\n'
    )
    found = read(folder)
    assert (found.kind, found.images.shape) == ("dicom", (6, 8, 8))
    assert len(set(found.columns["subject"])) == 3
    assert "P-0" not in str(found.columns) + str(found.names), "a code, not the identifier"
    assert found.columns["sex"] == tuple("FM" * 3)
    assert [float(age) for age in found.columns["age"]] == [30, 31, 32, 33, 34, 35]
    assert len(found.left_out) == 1, "the mapping is no DICOM file"


def change_cell(folder: Path, column: str, value: str, row: int = 0) -> None:
    with (folder / "metadata.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    rows[row][column] = value
    rewrite(folder, rows)


def rewrite(folder: Path, rows: list[dict[str, str]]) -> None:
    with (folder / "metadata.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def drop_column(folder):
    with (folder / "metadata.csv").open(newline="") as stream:
        rewrite(folder, [{k: v for k, v in row.items() if k != "label"} for row in csv.DictReader(stream)])


def unknown_role(folder):
    text = (folder / "mapping.toml").read_text()
    (folder / "mapping.toml").write_text(text.replace('label = "label"', 'label = "label"\ndiagnosis = "label"'))


def zero_images(folder):
    (folder / "metadata.csv").write_text("index,image,subject,label,sex,age\n")


def not_utf8(folder):
    (folder / "metadata.csv").write_bytes(b"index,image,subject,label,sex,age\n0,0,\xff,a,F,30\n")


def mixed_sizes(folder):
    Image.fromarray(np.zeros((30, 20), np.uint8)).save(folder / "pictures" / "3.png")


def mixed_depths(folder):
    Image.fromarray(np.zeros((24, 20), np.uint16)).save(folder / "pictures" / "3.png")


def no_image(folder):
    (folder / "pictures" / "3.png").write_text("I am a letter")


def cut_image(folder):
    path = folder / "pictures" / "3.png"
    path.write_bytes(path.read_bytes()[:100])


def missing_image(folder):
    (folder / "pictures" / "3.png").unlink()


def way_out(folder):
    shutil.copy(folder / "pictures" / "3.png", folder.parent / "3.png")
    change_cell(folder, "image", "../3.png")


def no_images_key(folder):
    np.savez(folder / "images.npz", pixels=np.zeros((50, 24, 20), np.uint8))


def pickled(folder):
    np.savez(folder / "images.npz", images=np.array([{"a": 1}] * 50, dtype=object))


def cut_arrays(folder):
    path = folder / "images.npz"
    path.write_bytes(path.read_bytes()[:-2000])


def floats(folder):
    np.savez(folder / "images.npz", images=np.zeros((50, 24, 20)))


def no_place(folder):
    text = (folder / "mapping.toml").read_text()
    (folder / "mapping.toml").write_text(text.replace('index = "index"', ""))


def no_label_role(folder):
    text = (folder / "mapping.toml").read_text()
    (folder / "mapping.toml").write_text(text.replace('label = "label"', ""))


def set_index(value):
    return lambda folder: change_cell(folder, "index", value)


def twice(folder):
    with (folder / "metadata.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    change_cell(folder, "index", rows[1]["index"])


def emptied(folder):
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "mapping.toml":
            path.unlink()


UNREADABLE = {
    "missing column": ("arrays", drop_column, ["metadata.csv: has no column 'label' for label; columns there: index"]),
    "unknown role": ("arrays", unknown_role, ["unknown column role 'diagnosis'; roles are image, index"]),
    "no place": ("arrays", no_place, ["mapping: names neither image nor index"]),
    "no label role": ("arrays", no_label_role, ["mapping: names no label column"]),
    "zero images": ("arrays", zero_images, ["metadata.csv: holds zero images"]),
    "not UTF-8": ("arrays", not_utf8, ["metadata.csv: is no CSV in UTF-8"]),
    "mixed sizes": ("files", mixed_sizes, ["pictures/3.png: is 20 x 30 grey 8 bit, but pictures/0.png is 20 x 24"]),
    "mixed depths": ("files", mixed_depths, ["pictures/3.png: is 20 x 24 grey 16 bit, but pictures/0.png is"]),
    "no image": ("files", no_image, ["pictures/3.png: is no readable image"]),
    "cut image": ("files", cut_image, ["pictures/3.png: is no readable image"]),
    "missing image": ("files", missing_image, ["pictures/3.png: no such image in the folder"]),
    "image outside": ("files", way_out, ["../3.png: no such image in the folder"]),
    "no array of images": ("arrays", no_images_key, ["images.npz: has no array `images`"]),
    "a pickle": ("arrays", pickled, ["images.npz: not a readable .npz"]),
    "cut arrays": ("arrays", cut_arrays, ["images.npz: not a readable .npz"]),
    "floating point": ("arrays", floats, ["pixel type is float64; store uint8 or uint16"]),
    "index beyond": ("arrays", set_index("50"), ["metadata.csv: index '50' names no image", "holds 50"]),
    "index below": ("arrays", set_index("-1"), ["metadata.csv: index '-1' names no image"]),
    "index no number": ("arrays", set_index("²"), ["metadata.csv: index '²' names no image"]),
    "index endless": ("arrays", set_index("1" * 5000), ["metadata.csv: index '11111"]),
    "index twice": ("arrays", twice, ["metadata.csv: column 'index' names a row twice"]),
    "empty folder": ("files", emptied, ["metadata.csv: is missing; put it beside the images"]),
}


def set_cells(column, value, rows=range(1)):
    def change(folder):
        for row in rows:
            change_cell(folder, column, value, row)

    return change


def keep(n):
    def change(folder):
        with (folder / "metadata.csv").open(newline="") as stream:
            rewrite(folder, list(csv.DictReader(stream))[:n])

    return change


def constant(folder):
    Image.fromarray(np.full((24, 20), 9, np.uint8)).save(folder / "pictures" / "3.png")


REFUSED = {
    "label of one subject": (set_cells("label", "rare"), ["label_subjects: 1 of 50 otherwise", "at least 5 subjects"]),
    "age that is no number": (set_cells("age", "NaN"), ["age_text: 1 of 50 otherwise, such as NaN"]),
    "age of 200": (set_cells("age", "200"), ["age: 1 of 50 otherwise, such as 200", "an age of 0 to 120 years"]),
    "sex banana": (set_cells("sex", "banana"), ["sex: 1 of 50 otherwise, such as banana", "F, M or empty"]),
    "no label": (set_cells("label", " "), ["label: 1 of 50 otherwise", "a label for every image"]),
    "no subject": (set_cells("subject", ""), ["subject: 1 of 50 otherwise", "a subject for every image"]),
    "too few subjects": (keep(20), ["subject: 20", "at least 30 subjects"]),
    "constant image": (constant, ["contrast: 1 of 50 otherwise", "no image of one single value"]),
}


@pytest.mark.django_db
@pytest.mark.parametrize(("kind", "change", "parts"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_cannot_be_read_is_one_line_and_leaves_nothing(request, take_in, traces, pack, kind, change, parts):
    folder = request.getfixturevalue(kind)
    change(folder)
    for source in (folder, pack(folder)):
        with pytest.raises(Exception) as refused:  # noqa: PT011 - of several trees; the line is what counts
            take_in(source, mapped=folder)
        line = str(refused.value)
        assert all(part in line for part in parts), line
        assert "\n" not in line
    assert traces() == {"cohorts": 0, "results": 0, "events": [], "files": []}


@pytest.mark.django_db
@pytest.mark.parametrize(("change", "parts"), REFUSED.values(), ids=REFUSED.keys())
def test_what_breaks_the_contract_leaves_its_result_alone(files, take_in, traces, change, parts):
    change(files)
    with pytest.raises(Exception, match="refused by its data contract") as refused:
        take_in(files)
    assert all(part in str(refused.value) for part in parts), str(refused.value)
    assert traces() == {"cohorts": 0, "results": 1, "events": ["cohort:refused"], "files": []}
    assert refused.value.result.passed is False
    assert [check["passed"] for check in refused.value.result.checks].count(False) >= 1
