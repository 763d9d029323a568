from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from generators.base import ConfigError, DataError, GeneratorError
from generators.data import ImageSet
from generators.groups import age_group, normal_sex, written_age
from generators.label_rules import merge_labels, parse_merges, require_subjects
from generators.public.images import public_entry
from generators.public.sets import PublicRules, build_public_set, is_permitted
from generators.splits import split_by_subject
from generators.tables import read_cohort, read_counts, read_public, resize_images

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


def test_one_resize_cuts_the_centre_and_keeps_columns_and_declared_bits() -> None:
    rng = np.random.default_rng(0)
    images = ImageSet(
        images=rng.integers(0, 4096, (3, 40, 64), dtype=np.uint16), label=np.array(["a", "b", "c"]), bits=12
    )
    small = resize_images(images, 16)
    assert (small.images.shape, small.bits, small.label.tolist()) == ((3, 16, 16), 12, ["a", "b", "c"])
    centre = replace(images, images=images.images[:, :, 12:52])
    assert np.array_equal(small.images, resize_images(centre, 16).images)
    assert resize_images(images.select(np.zeros(3, bool)), 16).images.shape == (0, 16, 16)
    assert resize_images(ImageSet(images=np.zeros((0, 40, 64, 3), np.uint8)), 16).images.shape == (0, 16, 16, 3)


def test_declared_bits_go_with_the_images(tmp_path: Path) -> None:
    dark = np.full((2, 8, 8), 7, np.uint16)
    declared, silent = ImageSet(images=dark, bits=12), ImageSet(images=dark)
    assert (declared.max_value, silent.max_value, declared.bit_depth) == (4095, 65535, 16), "never read from the pixels"
    assert declared.select(np.array([True, False])).bits == 12
    assert declared.digest != silent.digest == ImageSet(images=dark, bits=16).digest
    declared.save(tmp_path / "x.npz")
    assert ImageSet.load(tmp_path / "x.npz").digest == declared.digest
    assert read_cohort(tmp_path / "x.npz", bits=10).max_value == 1023


def test_a_label_of_few_subjects_is_refused_on_site_and_merging_is_the_way_out() -> None:
    label = np.array(["mass"] * 3 + ["nodule"] * 3 + ["normal"] * 9)
    images = ImageSet(images=np.zeros((15, 8, 8), np.uint8), label=label, subject=np.arange(15).astype(str))
    with pytest.raises(DataError, match="'mass' is borne by 3 subjects, fewer than 5; merge it"):
        require_subjects(images, minimum=5)
    merged = merge_labels(images, parse_merges(["mass+nodule=lesion"]))
    require_subjects(merged, minimum=5)
    assert merged.label.tolist() == ["lesion"] * 6 + ["normal"] * 9
    one_person = replace(images, subject=np.array(["p"] * 15))
    with pytest.raises(DataError, match="borne by 1 subjects"):
        require_subjects(one_person, minimum=5)


@pytest.mark.parametrize(
    ("licence", "permitted"),
    [
        ("CC BY", True),
        ("CC BY 4.0", True),
        ("cc-by-4.0", True),
        (" CC0 1.0 ", True),
        ("CC BY-NC-SA 4.0", False),
        ("CC BY-SA", False),
        ("CC BY-ND 4.0", False),
        ("CC BYE", False),
        ("not CC BY", False),
        ("", False),
        (" ", False),
    ],
)
def test_a_permitted_licence_is_no_prefix_of_another(licence: str, permitted: bool) -> None:
    assert is_permitted(licence, ["CC BY", "CC0"]) == permitted


def test_a_public_set_keeps_permitted_images_of_all_its_sources(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (4, 20, 16), dtype=np.uint8)
    (tmp_path / "folder").mkdir()
    np.savez(tmp_path / "folder" / "images.npz", images=pixels)
    rows = "2,CC BY 4.0,ill\n0,,ill\n1,CC BY-NC 4.0,\n3,CC0,\n"
    (tmp_path / "folder" / "metadata.csv").write_text("index,license,finding\n" + rows)
    np.savez(tmp_path / "mnist.npz", train_images=pixels[:2, :16], train_labels=np.array([[0], [1]]))
    sources = [tmp_path / "folder", tmp_path / "mnist.npz"]
    rules = PublicRules(
        size=16, permitted=["CC BY", "CC0"], licence="CC BY 3.0", label_column="finding", merged={"0": "normal"}
    )
    built = build_public_set(sources, rules)
    assert built.licence.tolist() == ["CC BY 4.0", "CC0", "CC BY 3.0", "CC BY 3.0"]
    assert built.label.tolist() == ["ill", "", "normal", "1"]
    assert np.array_equal(built.images, np.concatenate([pixels[[2, 3], 2:18], pixels[:2, :16]]))
    built.save(tmp_path / "public.npz")
    read = read_public(tmp_path / "public.npz")
    assert public_entry(read, "basis") == {
        "name": "operator's public set",
        "use": "basis",
        "licence": "CC BY 3.0 (2 images), CC BY 4.0 (1 images), CC0 (1 images)",
        "digest": built.digest,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"permitted": ["MIT"]}, "no image has a permitted licence; found: CC BY", id="none permitted"),
        pytest.param({"permitted": []}, "nothing to build from", id="no licence named"),
        pytest.param({"permitted": ["  "]}, "no image has a permitted licence", id="a blank licence permits nothing"),
        pytest.param({"licence_column": "rights"}, "no column 'rights'; it has index, license", id="no such column"),
        pytest.param({"size": 4}, "size: is 4", id="size"),
    ],
)
def test_a_public_set_that_cannot_be_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    np.savez(tmp_path / "images.npz", images=np.zeros((1, 16, 16), np.uint8))
    (tmp_path / "metadata.csv").write_text("index,license\n0,CC BY\n")
    rules = PublicRules(**{"size": 16, "permitted": ["CC BY"], "merged": {}} | change)
    with pytest.raises(GeneratorError, match=message) as refusal:
        build_public_set([tmp_path], rules)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        pytest.param({"images": np.zeros((1, 16, 16, 3), np.uint8)}, "8-bit colour images, .* 8-bit grey", id="colour"),
        pytest.param({"images": np.zeros((1, 16, 16), np.uint16), "bits": np.array(12)}, "12-bit grey", id="depth"),
        pytest.param({"images": np.zeros((1, 16, 16), np.uint8)}, "has labels; label both or neither", id="labels"),
    ],
)
def test_sources_that_do_not_fit_together_are_refused(
    tmp_path: Path, other: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((1, 16, 16), np.uint8), label=np.array(["x"]))
    labels = {} if message.startswith("has") else {"label": np.array(["x"])}
    np.savez(tmp_path / "b.npz", **other, **labels)
    rules = PublicRules(size=16, permitted=["CC0"], licence="CC0", merged={})
    with pytest.raises(DataError, match=message):
        build_public_set([tmp_path / "a.npz", tmp_path / "b.npz"], rules)


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
