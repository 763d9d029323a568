"""A cohort is kept encrypted, under random codes, split by subject, once; or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generators.base import no_progress
from veilmark.cohorts.contract import check_contract
from veilmark.cohorts.intake import read_source
from veilmark.cohorts.mapping import load_mapping
from veilmark.cohorts.models import Cohort, ContractResult
from veilmark.cohorts.selectors import cohort_images, cohorts_visible, contract_results_visible
from veilmark.cohorts.services import CohortTerms
from veilmark.core.errors import ApplicationError, ConfigurationError, IntegrityError, NotAllowedError
from veilmark.core.storage import file_store
from veilmark.crypto.base import CryptoError
from veilmark.ledger.models import Event

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def splits_of(cohort: Cohort) -> dict[str, set[str]]:
    images = cohort_images(cohort)
    return {split: set(images.subject[images.split == split]) for split in ("train", "holdout", "control")}


def test_a_cohort_is_what_was_handed_over(take_in, traces, arrays, truth, people):
    cohort = take_in(arrays)
    images = cohort_images(cohort)
    np.testing.assert_array_equal(images.images, truth.images)
    assert list(images.label) == [row["label"] for row in truth.rows]
    assert list(images.sex) == [row["sex"] for row in truth.rows]
    assert (cohort.n_subjects, cohort.n_images, cohort.privacy_unit) == (40, 50, "subject")
    assert (cohort.custodian, cohort.labels, cohort.purposes) == (people.custodian, ["nodule", "normal"], ["research"])
    assert cohort.licence_permits_derivatives is None, "what the mapping does not state stays unknown"
    found = traces()
    assert (found["cohorts"], found["results"], found["events"]) == (1, 1, ["cohort:created"])
    assert len(found["files"]) == 1, "the encrypted images and nothing else"
    assert cohort.contract.passed


def test_the_ledger_names_no_private_count(take_in, arrays):
    payload = Event.objects.get(subject_id=str(take_in(arrays).pk)).payload_text
    assert '"public_n_subjects":100' in payload
    assert not {'"n_subjects"', '"n_images"'} & set(payload.replace(":", ",").split(","))


def test_nothing_of_it_lies_in_the_open(take_in, arrays, truth, var):
    take_in(arrays)
    kept = [path.read_bytes() for path in (var / "files").rglob("*") if path.is_file()]
    for data in kept:
        for plain in (b"PK\x03\x04", b"\x89PNG", b"images.npy", b"Norma", truth.images[0].tobytes()[:64]):
            assert plain not in data
    assert oct((var / "scratch").stat().st_mode & 0o777) == "0o700"


@pytest.mark.parametrize("place", [0, 100, -1])
def test_tampering_is_found(take_in, arrays, var, place):
    cohort = take_in(arrays)
    path = var / "files" / cohort.file_name
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CryptoError):
        cohort_images(cohort)


def test_a_file_put_in_anothers_place_is_found(take_in, arrays, files):
    first, second = take_in(arrays), take_in(files, name="second")
    data = file_store().read(second.file_name, wrapped_key=bytes(second.wrapped_key))
    file_store().put(first.file_name, data, wrapped_key=bytes(first.wrapped_key))
    with pytest.raises(IntegrityError, match="is not the data that was taken in"):
        cohort_images(first)


def test_codes_derive_from_nothing(take_in, arrays):
    first, second = (set(cohort_images(take_in(arrays, name=name)).subject) for name in ("first", "second"))
    assert len(first) == len(second) == 40
    assert not first & second


def test_a_split_repeats_with_its_seed(take_in, arrays):
    first, again, other = (
        cohort_images(take_in(arrays, name=name, split_seed=seed)).split.tolist()
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    assert first == again != other


def test_a_split_parts_no_one(take_in, arrays):
    cohort = take_in(arrays)
    sizes = {name: len(people) for name, people in splits_of(cohort).items()}
    assert sizes == cohort.n_subjects_by_split == {"train": 24, "holdout": 8, "control": 8}
    assert sum(sizes.values()) == len(set.union(*splits_of(cohort).values())), "nobody is in two parts"


def test_people_of_a_label_are_counted_as_training_sees_them(take_in, arrays):
    cohort = take_in(arrays)
    train = cohort_images(cohort).of_split("train")
    counted = {label: len(set(train.subject[train.label == label].tolist())) for label in cohort.labels}
    assert cohort.n_train_subjects_by_label == counted
    assert sum(counted.values()) >= 24


def test_a_record_without_subject_is_called_one(take_in, arrays):
    mapping = (arrays / "mapping.toml").read_text()
    (arrays / "mapping.toml").write_text(mapping.replace('subject = "subject"', ""))
    assert take_in(arrays).privacy_unit == "record"


def test_equal_pixels_under_two_names_are_told_with_both(take_in, files):
    first, second = files / "pictures" / "3.png", files / "pictures" / "17.png"
    second.write_bytes(first.read_bytes())
    cohort = take_in(files)
    assert cohort.duplicates == [["pictures/3.png", "pictures/17.png"]]
    (check,) = [check for check in cohort.contract.checks if check["column"] == "pixels"]
    assert (check["passed"], check["severity"]) == (False, "warn")


def test_the_contract_reports_home_to_nobody(arrays, monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("the contract opened a connection")

    monkeypatch.setattr("socket.socket.connect", refuse)
    source = read_source(arrays, load_mapping(arrays / "mapping.toml"), scratch=arrays, progress=no_progress)
    assert check_contract(source).passed
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"


@pytest.mark.parametrize(
    ("terms", "line"),
    [
        pytest.param({"name": " "}, "name: is empty or too long", id="no name"),
        pytest.param({"name": "n" * 201}, "name: is empty or too long", id="endless name"),
        pytest.param({"public_n_subjects": 0}, "public number of subjects: is 0", id="nobody"),
        pytest.param({"public_n_subjects": 10**12}, "public number of subjects: is 1000000000000", id="everybody"),
        pytest.param({"epsilon_budget": 0}, "privacy budget: is out of range", id="no budget"),
        pytest.param({"epsilon_budget": float("inf")}, "privacy budget: is out of range", id="endless budget"),
        pytest.param({"epsilon_budget": float("nan")}, "privacy budget: is out of range", id="budget of NaN"),
        pytest.param({"delta_budget": 1}, "privacy budget: is out of range", id="certain failure"),
        pytest.param({"split_seed": -1}, "seed: is -1", id="negative seed"),
        pytest.param({"split_seed": 2**63}, "seed: is 9223372036854775808", id="endless seed"),
    ],
)
def test_bad_terms_are_one_line(terms, line):
    with pytest.raises(ApplicationError) as refused:
        CohortTerms(**{"name": "chest", "public_n_subjects": 100} | terms)
    assert str(refused.value).startswith(line)


def test_a_name_is_given_once(take_in, arrays):
    take_in(arrays)
    with pytest.raises(ApplicationError, match="cohort name 'uploaded': is taken; choose another"):
        take_in(arrays)


@pytest.mark.parametrize("role", ["officer", "clinician", "researcher", "operator"])
def test_only_a_custodian_uploads(take_in, traces, people, arrays, role):
    with pytest.raises(NotAllowedError):
        take_in(arrays, acting_user=getattr(people, role))
    assert traces()["events"] == []


def test_a_custodian_sees_their_own_cohorts_alone(take_in, arrays, people):
    from veilmark.accounts.services import person_create

    other = person_create(username="other", password=people.password, role="custodian")
    take_in(arrays)
    for visible in (cohorts_visible, contract_results_visible):
        assert [visible(person).count() for person in (people.custodian, other, people.officer)] == [1, 0, 1]
        for person in (people.researcher, people.clinician):
            with pytest.raises(NotAllowedError):
                visible(person)


@pytest.mark.parametrize("blocked", ["scratch", "files"])
def test_a_place_that_cannot_be_written_is_one_line(take_in, arrays, settings, tmp_path, blocked):
    settings.VEILMARK_VAR = tmp_path / "var"
    settings.VEILMARK_VAR.mkdir()
    (settings.VEILMARK_VAR / blocked).write_text("a file in the folder's place")
    with pytest.raises(ConfigurationError, match=r"var: cannot be written \(.+\); check its owner and the free space"):
        take_in(arrays)
    assert not Cohort.objects.exists()
    assert not ContractResult.objects.exists()


def test_the_reference_cohort(people: Any, shared_data: Path):
    """682 people of ChestX-ray14, one image of whom lies there under two names."""
    from veilmark.cohorts.mapping import find_mapping
    from veilmark.cohorts.services import cohort_create

    source = shared_data / "cxr_nih_1000"
    mapping = find_mapping(source)
    cohort = cohort_create(
        source=source,
        mapping=mapping,
        terms=CohortTerms(name="nih", public_n_subjects=mapping.public_n_subjects),
        acting_user=people.custodian,
        progress=no_progress,
    )
    (pair,) = cohort.duplicates
    assert [Path(name).stem for name in pair] == ["00002658_001", "00002658_002"]
    assert (cohort.n_subjects, cohort.n_images, cohort.labels) == (682, 1000, ["No_findings", "Pneumonia"])
    parts = splits_of(cohort)
    assert len(set.union(*parts.values())) == sum(map(len, parts.values())) == 682
    assert {name: round(len(part) / 682, 2) for name, part in parts.items()} == {
        "train": 0.6,
        "holdout": 0.2,
        "control": 0.2,
    }
