"""A mapping says which column means what; a wrong one is told in one line."""

from __future__ import annotations

import pytest

from veilmark.cohorts.mapping import SHIPPED, MappingError, find_mapping, load_mapping, parse_mapping

GOOD = """
[columns]
index = "row"
label = "finding"
[label]
positive = ["nodule"]
merge = { opacity = ["consolidation", "infiltrate"] }
[dataset]
name = "chest"
licence = "CC0-1.0"
legal_basis = "none needed"
purposes = ["research"]
permits_derivatives = true
public_n_subjects = 700
bits = 12
modality = "CR"
"""


def test_a_good_mapping():
    mapping = parse_mapping(GOOD)
    assert dict(mapping.columns) == {"index": "row", "label": "finding"}
    assert (mapping.name, mapping.purposes, mapping.positive) == ("chest", ("research",), ("nodule",))
    assert (mapping.permits_derivatives, mapping.public_n_subjects, mapping.bits) == (True, 700, 12)
    assert mapping.modality == "CR"


def test_labels_are_taken_in_as_what_they_are_merged_into():
    columns = {"subject": ("p", "q", "r"), "label": ("infiltrate", "nodule", "consolidation")}
    taken = parse_mapping(GOOD).with_merged_labels(columns)
    assert taken == {"subject": ("p", "q", "r"), "label": ("opacity", "nodule", "opacity")}
    assert parse_mapping(GOOD).with_merged_labels({"subject": ("p",)}) == {"subject": ("p",)}


def test_what_is_not_stated_is_unknown():
    text = GOOD
    for line in ("permits_derivatives = true", "public_n_subjects = 700", "bits = 12", 'modality = "CR"'):
        text = text.replace(line, "")
    mapping = parse_mapping(text)
    assert (mapping.permits_derivatives, mapping.public_n_subjects, mapping.bits) == (None, None, None)
    assert mapping.modality == ""


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        pytest.param("[columns]", "[colums]", "has no table [columns]", id="no columns"),
        pytest.param("[dataset]", "[data", "is no TOML", id="no TOML"),
        pytest.param('index = "row"', "index = 3", "index is missing or no text", id="number"),
        pytest.param('index = "row"', 'patient = "row"', "unknown column role 'patient'", id="unknown role"),
        pytest.param('licence = "CC0-1.0"', "", "licence is missing or no text", id="no licence"),
        pytest.param('licence = "CC0-1.0"', 'licence = " "', "licence is missing or no text", id="blank licence"),
        pytest.param("CC0-1.0", "c" * 301, "licence has 301 characters", id="endless licence"),
        pytest.param('["research"]', '"research"', "purposes is no list of texts", id="purposes as text"),
        pytest.param('["research"]', '["r", ""]', "purposes holds an empty or endless text", id="empty purpose"),
        pytest.param('["research"]', f'["{"r" * 101}"]', "purposes holds an empty or endless", id="endless purpose"),
        pytest.param("= true", '= "yes"', "permits_derivatives is neither true nor false", id="flag"),
        pytest.param("= 700", "= 0", "public_n_subjects is no whole number above 0", id="nobody"),
        pytest.param("= 700", "= true", "public_n_subjects is no whole number above 0", id="yes people"),
        pytest.param("bits = 12", "bits = 17", "bits is 17", id="too many bits"),
        pytest.param("bits = 12", 'bits = "12"', "bits is no whole number above 0", id="bits as text"),
        pytest.param('"CR"', '"x-ray"', "modality is 'x-ray'", id="no code of DICOM"),
        pytest.param('"CR"', "3", "modality is missing or no text", id="modality as number"),
        pytest.param('["consolidation", "infiltrate"]', '"all"', "opacity is no list of texts", id="merge as text"),
        pytest.param("merge = {", "merge = 3 #", "has no table [merge]", id="merge as number"),
        pytest.param(
            '"infiltrate"] }', '"b"], other = ["b"] }', "merges 'b' into two labels", id="one label merged twice"
        ),
        pytest.param("opacity =", '"" =', "merge holds an empty or endless text", id="merged into nothing"),
    ],
)
def test_a_bad_mapping_is_one_line(old, new, line):
    assert old in GOOD
    with pytest.raises(MappingError) as refused:
        parse_mapping(GOOD.replace(old, new))
    assert str(refused.value).startswith("mapping: ")
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_mapping_can_be_read(path):
    mapping = load_mapping(path)
    assert mapping.name
    assert mapping.purposes


def test_the_folders_own_mapping_goes_before_a_shipped_one(tmp_path):
    folder = tmp_path / "cxr_nih_1000"
    folder.mkdir()
    assert find_mapping(folder).columns["subject"] == "patient_id"
    (folder / "mapping.toml").write_text(GOOD)
    assert find_mapping(folder).name == "chest"


def test_no_mapping_at_all(tmp_path):
    with pytest.raises(MappingError, match="has no mapping; give one with --mapping"):
        find_mapping(tmp_path)


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "mapping.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(MappingError, match="cannot be read"):
        load_mapping(tmp_path / "mapping.toml")
