"""Publishing: only what was endorsed is signed, and a bundle appears whole or not at all."""

from __future__ import annotations

import csv
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from veilmark.provenance.bundle import write_bundle
from veilmark.provenance.dicom_files import DicomWriter
from veilmark.provenance.digests import ImageMetadata
from veilmark.provenance.documents import Evidence
from veilmark.provenance.errors import BundleError, FileError
from veilmark.provenance.layout import RELEASE_ENVELOPE
from veilmark.provenance.prepared import PreparedImages, prepare_images
from veilmark.provenance.source import zip_bundle
from veilmark.provenance.verdict import Verdict
from veilmark.provenance.verify import verify_path

AT = "2026-11-21T09:30:00Z"


def test_a_bundle_holds_what_the_contract_lists(published) -> None:
    names = {path.relative_to(published.bundle.folder).parts[0] for path in published.bundle.folder.rglob("*")}
    expected = {
        "manifest.json",
        "images",
        "envelopes",
        "proofs",
        "log",
        "bom.json",
        "decision.json",
        "report",
        "croissant.json",
    }
    assert names == expected | {"datasheet.md"}


def test_the_manifest_binds_images_marks_and_endorsed_root(published) -> None:
    manifest = json.loads((published.bundle.folder / "manifest.json").read_bytes())
    assert manifest["schema"] == "veilmark/manifest/1"
    assert manifest["merkle_root"] == published.prepared.merkle_root
    assert published.prepared.n_marked == len(manifest["images"]) == 5
    assert all(image["mark_id"].startswith("100007") for image in manifest["images"])
    listed = {entry["path"] for image in manifest["images"] for entry in image["files"]}
    listed |= {entry["path"] for entry in manifest["files"]}
    present = {path.relative_to(published.bundle.folder).as_posix() for path in published.bundle.folder.rglob("*.*")}
    assert present - listed == {"manifest.json", "envelopes/release.json"}


def test_croissant_and_index_describe_the_images(published) -> None:
    croissant = json.loads((published.bundle.folder / "croissant.json").read_bytes())
    assert croissant["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert {"name", "description", "license", "url", "datePublished", "creator"} <= set(croissant)
    with (published.bundle.folder / "images" / "index.csv").open() as file:
        table = list(csv.DictReader(file))
    columns = [field["source"]["extract"]["column"] for field in croissant["recordSet"][0]["field"]]
    assert columns == list(table[0])
    assert [row["label"] for row in table] == ["nodule", "none", "nodule", "none", "nodule"]
    assert all((published.bundle.folder / "images" / row["file"]).exists() for row in table)


def test_the_datasheet_says_synthetic_and_counts(published) -> None:
    text = (published.bundle.folder / "datasheet.md").read_text()
    assert "Every image is synthetic" in text
    assert "nodule (3), none (2)" in text
    assert published.prepared.merkle_root in text


def publish_again(published, out: Path, make_release, **changes: object) -> None:
    arguments = {
        "prepared": published.prepared,
        "endorsed_root": published.prepared.merkle_root,
        "release": make_release(),
        "signer": published.signer,
        "log": published.log,
        "evidence": Evidence(
            decision={"outcome": "PASS"},
            report={"schema": "veilmark/report/1", "measurements": []},
            report_html="<!doctype html><title>report</title>",
        ),
    }
    write_bundle(out, **{**arguments, **changes})


def test_publishing_again_gives_the_same_bytes(published, make_release, tmp_path: Path) -> None:
    """But for the signature of the release: ML-DSA signs with fresh randomness. What it signs is the same."""
    publish_again(published, tmp_path / "again", make_release)
    envelopes = [
        json.loads((folder / RELEASE_ENVELOPE).read_bytes()) for folder in (published.bundle.folder, tmp_path / "again")
    ]
    assert envelopes[0]["payload"] == envelopes[1]["payload"]
    assert envelopes[0]["signatures"][0] == envelopes[1]["signatures"][0]
    assert envelopes[0]["signatures"][1]["keyid"] == envelopes[1]["signatures"][1]["keyid"]
    shutil.copy(published.bundle.folder / RELEASE_ENVELOPE, tmp_path / "again" / RELEASE_ENVELOPE)
    zip_bundle(published.bundle.folder, tmp_path / "a.zip")
    zip_bundle(tmp_path / "again", tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.testzip() is None


def test_another_root_than_the_endorsed_one_is_not_signed(published, make_release, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="endorsed was sha256:00"):
        publish_again(published, tmp_path / "out", make_release, endorsed_root="sha256:" + "00" * 32)
    assert list(tmp_path.iterdir()) == []


def test_files_changed_after_audits_are_not_signed(published, make_release, tmp_path: Path) -> None:
    folder = tmp_path / "prepared"
    images = published.originals
    rows = [ImageMetadata(release_id="demo-1", image_id=f"i{i}") for i in range(5)]
    prepare_images(folder, images=images, metadata=rows, mark_release=7, created_at=AT)
    prepared = PreparedImages.read(folder)
    data = (folder / "images" / "i3.png").read_bytes()
    (folder / "images" / "i3.png").write_bytes(data + b"\0")
    with pytest.raises(BundleError, match=r"images/i3\.png: changed since it was prepared"):
        publish_again(published, tmp_path / "out", make_release, prepared=prepared, endorsed_root=prepared.merkle_root)
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_is_never_overwritten(published, make_release, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="exists already"):
        publish_again(published, tmp_path, make_release)


def test_images_prepared_for_another_release_are_refused(published, make_release, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="prepared for demo-1"):
        publish_again(published, tmp_path / "out", make_release, release=make_release("demo-2"))


def test_a_release_of_128_px_carries_128_bit_ids(make_textured, make_release, published, tmp_path: Path) -> None:
    """In manifest, DICOM and pixels; the bundle verifies, and so does an image that only its mark can name."""
    rows = [ImageMetadata(release_id="demo-1", image_id=f"i{i}") for i in range(2)]
    prepared = prepare_images(
        tmp_path / "prepared",
        images=make_textured(2, 128, maximum=4095),
        metadata=rows,
        mark_release=1 << 30,
        created_at=AT,
        writers=[DicomWriter(generator="phantoms", version="1")],
    )
    mark = prepared.draft.images[1].mark_id
    assert (len(mark), mark[:12]) == (32, "200040000000")
    assert mark in dcmread(tmp_path / "prepared" / "images" / "i1.dcm").DerivationDescription
    publish_again(published, tmp_path / "out", make_release, prepared=prepared, endorsed_root=prepared.merkle_root)
    assert verify_path(tmp_path / "out", trust_root=published.trust_root).verdict is Verdict.AUTHENTIC
    pixels = np.asarray(Image.open(tmp_path / "out" / "images" / "i1.png"))
    Image.fromarray((pixels / 16).astype(np.uint8)).save(tmp_path / "leak.jpg", quality=60)
    found = verify_path(tmp_path / "leak.jpg", bundle=tmp_path / "out", trust_root=published.trust_root)
    assert (found.verdict, found.image_id) == (Verdict.ALTERED, "i1")
    assert found.detection.id.hex == mark


def test_dicom_beside_png_shares_the_leaf(make_textured, make_release, published, tmp_path: Path) -> None:
    images = make_textured(2, 64, maximum=4095)
    rows = [ImageMetadata(release_id="demo-1", image_id=f"i{i}", label="nodule", sex="F") for i in range(2)]
    prepared = prepare_images(
        tmp_path / "prepared",
        images=images,
        metadata=rows,
        mark_release=9,
        created_at=AT,
        writers=[DicomWriter(generator="phantoms", version="1")],
    )
    assert [entry.path for entry in prepared.draft.images[1].files] == ["images/i1.png", "images/i1.dcm"]
    publish_again(published, tmp_path / "out", make_release, prepared=prepared, endorsed_root=prepared.merkle_root)
    assert verify_path(tmp_path / "out", trust_root=published.trust_root).verdict is Verdict.AUTHENTIC
    found = verify_path(
        tmp_path / "out" / "images" / "i1.dcm", bundle=tmp_path / "out", trust_root=published.trust_root
    )
    assert (found.verdict, found.image_id) == (Verdict.AUTHENTIC, "i1")


def test_a_writer_that_changes_pixels_is_caught(published, tmp_path: Path) -> None:
    class Darker(DicomWriter):
        def __call__(self, path, pixels, metadata, **told) -> None:
            super().__call__(path, pixels // 2, metadata, **told)

    rows = [ImageMetadata(release_id="demo-1", image_id=f"i{i}") for i in range(5)]
    with pytest.raises(FileError, match=r"images/i0\.dcm: does not read back"):
        prepare_images(
            tmp_path / "out",
            images=published.originals,
            metadata=rows,
            mark_release=7,
            created_at=AT,
            writers=[Darker(generator="g", version="1")],
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("images", "metadata"),
    [
        pytest.param(np.zeros((0, 64, 64), np.uint8), [], id="none"),
        pytest.param(np.zeros((2, 64, 64), np.uint8), [ImageMetadata(release_id="r", image_id="i")], id="a row short"),
        pytest.param(
            np.zeros((2, 64, 64), np.uint8),
            [ImageMetadata(release_id=name, image_id=name) for name in ("a", "b")],
            id="two releases",
        ),
    ],
)
def test_images_that_cannot_be_a_release_are_refused(images, metadata, tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        prepare_images(tmp_path / "out", images=images, metadata=metadata, mark_release=1, created_at=AT)
    assert not (tmp_path / "out").exists()
