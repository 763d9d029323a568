from pathlib import Path

import numpy as np
import pytest

from generators.base import ConfigError, DataError
from generators.data import ImageSet
from generators.groups import age_group, normal_sex, written_age
from generators.splits import split_by_subject
from generators.tables import read_cohort, read_counts, resize_images

HEADER = "index,finding,person,years,gender\n"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    path = tmp_path / "images.npz"
    np.savez(path, images=np.zeros((3, 8, 8), dtype=np.uint8))
    return path


@pytest.mark.parametrize(
    ("rows", "column", "message"),
    [
        pytest.param("0,a,p,40,F\n", {"label": "label"}, "no column 'label'.*finding, person", id="missing column"),
        pytest.param("0,a,p,NaN,F\n", {"age": "years"}, "age is 'NaN'", id="NaN age"),
        pytest.param("0,a,p,old,F\n", {"age": "years"}, "age is 'old'", id="word for age"),
        pytest.param("0,a,p,200,F\n", {"age": "years"}, "age is '200'", id="age 200"),
        pytest.param("3,a,p,40,F\n", {}, "index '3' names none of 3", id="index out of range"),
        pytest.param("-1,a,p,40,F\n", {}, "index '-1'", id="negative index"),
        pytest.param("0,a,p,40,F\n0,a,p,40,F\n", {}, "line 2 too", id="duplicate index"),
        pytest.param("0,,p,40,F\n", {"label": "finding"}, "finding is empty", id="empty label"),
        pytest.param("0,a,p,40,robot\n", {"sex": "gender"}, "'robot' is no known sex", id="unknown sex"),
        pytest.param("0,a\n", {"subject": "person"}, "cut short", id="short row"),
        pytest.param("", {}, "has no rows", id="no rows"),
    ],
)
def test_bad_metadata_is_named_in_one_line(
    images: Path, tmp_path: Path, rows: str, column: dict[str, str], message: str
) -> None:
    table = tmp_path / "metadata.csv"
    table.write_text(HEADER + rows)
    with pytest.raises(DataError, match=message) as refusal:
        read_cohort(images, table, **column)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty file"),
        pytest.param(b"PK\x03\x04 cut", id="truncated zip"),
        pytest.param(b"not an archive", id="text"),
    ],
)
def test_files_that_hold_no_images_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "images.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a readable"):
        read_cohort(path)


def test_zero_images_and_missing_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "none.npz", images=np.zeros((0, 8, 8), dtype=np.uint8))
    with pytest.raises(DataError, match="no images"):
        read_cohort(tmp_path / "none.npz")
    with pytest.raises(DataError, match="no such file"):
        read_cohort(tmp_path / "absent.npz")


def test_mixed_sizes_are_refused(tmp_path: Path) -> None:
    mixed = np.empty(2, dtype=object)
    mixed[:] = [np.zeros((8, 8)), np.zeros((9, 9))]
    np.savez(tmp_path / "mixed.npz", images=mixed)
    with pytest.raises(DataError):
        read_cohort(tmp_path / "mixed.npz")


def test_columns_go_with_their_images(images: Path, tmp_path: Path) -> None:
    table = tmp_path / "metadata.csv"
    table.write_text(HEADER + "2,a,p,,\n0,b,q,70,female\n")
    read = read_cohort(images, table, label="finding", subject="person", sex="gender", age="years")
    assert [list(column) for _, column in read.columns()] == [["a", "b"], ["p", "q"], ["", "F"], ["", "65+"]]


@pytest.mark.parametrize(
    ("age", "group", "written"),
    [
        (None, "", ""),
        (0, "0-17", "0"),
        (17.9, "0-17", "17"),
        (18, "18-39", "18"),
        (65, "65+", "65"),
        (90, "65+", "90+"),
    ],
)
def test_ages(age: float | None, group: str, written: str) -> None:
    assert (age_group(age), written_age(age)) == (group, written)


def test_vocabularies_are_closed() -> None:
    assert [normal_sex(word) for word in ("male", "F", "", "unknown")] == ["M", "F", "", ""]
    with pytest.raises(DataError):
        age_group(-1)


def test_resizing_is_antialiased_and_keeps_level() -> None:
    stripes = np.zeros((1, 64, 48), dtype=np.uint16)
    stripes[:, :, ::2] = 4000
    small = resize_images(ImageSet(images=stripes), 12).images
    assert small.shape == (1, 12, 12)
    assert small.dtype == np.uint16
    assert np.all(np.abs(small.astype(int) - 2000) < 200)
    with pytest.raises(ConfigError):
        resize_images(ImageSet(images=stripes), 4)


def test_a_split_keeps_people_whole_and_labels_in_proportion() -> None:
    rng = np.random.default_rng(0)
    subjects = rng.integers(0, 200, 500).astype(str)
    labels = np.where(subjects.astype(int) % 5 == 0, "rare", "common")
    split = split_by_subject(subjects, seed=1, labels=labels)
    people = np.unique(subjects)
    part_of = {person: set(split[subjects == person]) for person in people}
    assert all(len(parts) == 1 for parts in part_of.values())
    rare = [person for person in people if int(person) % 5 == 0]
    assert abs(sum("train" in part_of[person] for person in rare) - 0.6 * len(rare)) <= 1
    assert np.array_equal(split, split_by_subject(subjects, seed=1, labels=labels))
    assert not np.array_equal(split, split_by_subject(subjects, seed=2, labels=labels))


def test_a_split_needs_three_people() -> None:
    with pytest.raises(DataError):
        split_by_subject(np.array(["a", "b"]), seed=0)


def test_counts_are_read_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "counts.csv"
    path.write_text("label,n,sex\na,3,F\n")
    assert [(count.label, count.n, count.sex, count.age_group) for count in read_counts(path)] == [("a", 3, "F", "")]
    path.write_text("label,n\na,-3\n")
    with pytest.raises(DataError, match="n is '-3'"):
        read_counts(path)
