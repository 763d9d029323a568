"""What a bundle says to catalogues is checked by their own validators, and does not depend on the day."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from veilmark.provenance.bundle import write_bundle
from veilmark.provenance.digests import digest_of
from veilmark.provenance.documents import Evidence, GeneratorInfo
from veilmark.provenance.errors import FormatError

GENERATOR = GeneratorInfo(
    name="mean_embedding",
    version="0.3.0",
    digest=digest_of(b"weights"),
    parameters={"clip": "1.0", "bits": "8"},
    public_data=["phantoms"],
)


@pytest.fixture(scope="module")
def described(published, make_release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release again, with a generator and facts."""
    facts = {"Differential privacy of the generator": "epsilon 3.00 at delta 1e-05 per subject"}
    folder = tmp_path_factory.mktemp("described") / "bundle"
    write_bundle(
        folder,
        prepared=published.prepared,
        endorsed_root=published.prepared.merkle_root,
        release=replace(make_release(), generator=GENERATOR, facts=facts),
        signer=published.signer,
        log=published.log,
        evidence=Evidence(decision={"outcome": "PASS"}, report={"measurements": []}, report_html="<p>report"),
    )
    return folder


@pytest.mark.parametrize("has_generator", [True, False])
def test_the_bill_of_materials_is_valid_cyclonedx(described: Path, published, has_generator: bool) -> None:
    folder = described if has_generator else published.bundle.folder
    text = (folder / "bom.json").read_text()
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(text) is None
    broken = json.loads(text)
    broken["metadata"]["component"]["type"] = "picture"
    assert validator.validate_str(json.dumps(broken)) is not None


def test_the_bill_names_generator_licence_and_the_documents_digests(described: Path) -> None:
    bom = json.loads((described / "bom.json").read_text())
    data_set, model = bom["metadata"]["component"], bom["components"][0]
    assert (data_set["type"], model["type"]) == ("data", "machine-learning-model")
    assert data_set["licenses"][0]["license"]["url"] == "https://creativecommons.org/licenses/by/4.0/"
    assert model["hashes"] == [{"alg": "SHA-256", "content": GENERATOR.digest.removeprefix("sha256:")}]
    assert "epsilon 3.00" in json.dumps(model["modelCard"]["considerations"])
    references = {row["url"]: row["hashes"][0]["content"] for row in data_set["externalReferences"]}
    assert set(references) == {"images/index.csv", "datasheet.md", "report/report.json", "decision.json"}
    for name, digest in references.items():
        assert digest_of((described / name).read_bytes()) == f"sha256:{digest}"


@pytest.mark.slow
def test_croissant_is_valid_and_its_records_are_the_index(described: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own, on Python's deprecations
        import mlcroissant

        dataset = mlcroissant.Dataset(jsonld=described / "croissant.json")
    assert list(dataset.metadata.ctx.issues.errors) == []
    assert list(dataset.metadata.ctx.issues.warnings) == []
    assert dataset.metadata.name == "demo-1"
    assert [record.name for record in dataset.metadata.record_sets] == ["images"]


def signed_or_listing_signatures(name: str) -> bool:
    """The files that hold a signature, or the digest of one that does."""
    return name.startswith(("envelopes/", "timestamps/")) or name in {"log/checkpoint", "manifest.json"}


def test_another_key_changes_only_what_is_signed(published, make_release, make_signer, make_log, tmp_path) -> None:
    """Signatures and stamps aside, the same prepared images and texts give the same bytes, whoever signs."""
    write_bundle(
        tmp_path / "again",
        prepared=published.prepared,
        endorsed_root=published.prepared.merkle_root,
        release=make_release(),
        signer=make_signer(7),
        log=make_log(tmp_path, make_signer(7)),
        evidence=Evidence(
            decision={"outcome": "PASS"},
            report={"schema": "veilmark/report/1", "measurements": []},
            report_html="<!doctype html><title>report</title>",
        ),
    )
    folders = (published.bundle.folder, tmp_path / "again")
    first, again = ({path.relative_to(f).as_posix(): path for path in f.rglob("*") if path.is_file()} for f in folders)
    assert set(first) == set(again)
    different = {name for name in first if first[name].read_bytes() != again[name].read_bytes()}
    assert different
    assert all(signed_or_listing_signatures(name) for name in different)
    ours, theirs = (json.loads((folder / "manifest.json").read_text()) for folder in folders)
    for manifest in (ours, theirs):
        for image in manifest["images"]:
            del image["signature"]
        manifest["files"] = [entry for entry in manifest["files"] if not signed_or_listing_signatures(entry["path"])]
    assert ours == theirs


def test_a_generator_with_no_digest_of_ours_is_refused() -> None:
    with pytest.raises(FormatError, match="sha256"):
        GeneratorInfo(name="x", version="1", digest="md5:00")
