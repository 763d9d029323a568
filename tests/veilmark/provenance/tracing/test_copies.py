"""A grant's copy of a release: signed and logged anew, bound to its release, found when it was changed."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from veilmark.provenance.bundle import write_recall
from veilmark.provenance.dicom_files import DicomWriter
from veilmark.provenance.digests import digest_of
from veilmark.provenance.errors import ProvenanceError
from veilmark.provenance.files import read_final
from veilmark.provenance.layout import GRANT_ENVELOPE
from veilmark.provenance.manifest import parse_manifest
from veilmark.provenance.source import zip_bundle
from veilmark.provenance.tracing import Leak, find_recipients
from veilmark.provenance.tracing.copies import GrantCopy, GrantTerms, write_grant_copy
from veilmark.provenance.tracing.files import dicom_with
from veilmark.provenance.trust import TrustRoot
from veilmark.provenance.verify import verify_path

SECRET = bytes(range(32))
TERMS = GrantTerms(grant_id="0b5e1c52-7a0e-4d0c-9a53-3f8f7a3b2c11", created_at="2026-11-22T10:00:00Z", secret=SECRET)
OTHER = GrantTerms(grant_id="another-grant", created_at=TERMS.created_at, secret=SECRET)


@dataclass(frozen=True, kw_only=True)
class Copied:
    release: Any
    log: Any
    copy: GrantCopy


@pytest.fixture(scope="module")
def copied(published: Any, make_log: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Copied:
    folder = tmp_path_factory.mktemp("copies")
    return Copied(release=published, log=make_log(folder, published.signer), copy=written(folder, published, make_log))


def written(folder: Path, published: Any, make_log: Any, terms: GrantTerms = TERMS) -> GrantCopy:
    return write_grant_copy(
        folder / terms.grant_id,
        release=published.bundle.folder,
        terms=terms,
        signer=published.signer,
        log=make_log(folder, published.signer),
    )


@pytest.fixture
def damaged(copied: Copied, tmp_path: Path) -> Path:
    """A copy of the grant's copy, to be damaged."""
    return Path(shutil.copytree(copied.copy.folder, tmp_path / "damaged"))


def test_it_verifies_as_a_grants_copy_of_the_release(copied: Copied, tmp_path: Path) -> None:
    zip_bundle(copied.copy.folder, tmp_path / "copy.zip")
    for path in (copied.copy.folder, tmp_path / "copy.zip"):
        result = verify_path(path, trust_root=copied.release.trust_root)
        assert (result.exit_code, result.problems) == (0, ())
        assert (result.release_id, result.grant_id) == ("demo-1", TERMS.grant_id)
    assert verify_path(copied.copy.folder).verdict.word == "undetermined"


def test_it_shows_the_releases_images_and_documents_and_names_nobody(copied: Copied) -> None:
    release = copied.release.bundle.manifest
    assert [(i.image_id, i.mark_id) for i in copied.copy.manifest.images] == [
        (i.image_id, i.mark_id) for i in release.images
    ]
    assert not {i.content_digest for i in copied.copy.manifest.images} & {i.content_digest for i in release.images}
    for name in ("decision.json", "report/report.json", "images/index.csv", "datasheet.md", "croissant.json"):
        assert (copied.copy.folder / name).read_bytes() == (copied.release.bundle.folder / name).read_bytes()
    released = (copied.copy.folder / "release" / "manifest.json").read_bytes()
    assert digest_of(released) == copied.release.bundle.manifest_digest
    for image in copied.copy.manifest.images:
        final = read_final((copied.copy.folder / image.files[0].path).read_bytes(), where=image.image_id)
        assert final.metadata is not None
        assert final.metadata.release_id == "demo-1"


def test_a_leaked_file_of_it_names_the_grant(copied: Copied) -> None:
    leaks = []
    for image in copied.copy.manifest.images[:2]:
        leaked, original = (
            read_final((folder / image.files[0].path).read_bytes(), where=image.image_id).pixels
            for folder in (copied.copy.folder, copied.release.bundle.folder)
        )
        leaks.append(Leak(image_id=image.image_id, pixels=leaked, original=original))
    trace = find_recipients(leaks, [OTHER.grant_id, TERMS.grant_id], secret=SECRET)
    assert [suspect.recipient for suspect in trace.named] == [TERMS.grant_id]


def test_it_is_made_the_same_again(copied: Copied, make_log: Any, tmp_path: Path) -> None:
    again = written(tmp_path, copied.release, make_log)
    assert again.manifest_digest == copied.copy.manifest_digest
    for path in sorted((copied.copy.folder / "images").iterdir()):
        assert (again.folder / "images" / path.name).read_bytes() == path.read_bytes()
    other = written(tmp_path, copied.release, make_log, OTHER)
    ours, theirs = ({image.content_digest for image in copy.manifest.images} for copy in (copied.copy, other))
    assert not ours & theirs


def test_one_image_is_looked_up_in_the_copy(copied: Copied, tmp_path: Path) -> None:
    image = copied.copy.manifest.images[0]
    path = copied.copy.folder / image.files[0].path
    found = verify_path(path, bundle=copied.copy.folder, trust_root=copied.release.trust_root)
    assert (found.exit_code, found.image_id, found.grant_id) == (0, image.image_id, TERMS.grant_id)
    original = verify_path(
        copied.release.bundle.folder / image.files[0].path,
        bundle=copied.copy.folder,
        trust_root=copied.release.trust_root,
    )
    assert (original.exit_code, original.image_id) == (10, image.image_id), "ours, but not this copy's"


def flip(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(bytes(data))

    return change


def removed(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def added(folder: Path) -> None:
    (folder / "images" / "more.png").write_bytes(b"more")


def without_its_release(folder: Path) -> None:
    shutil.rmtree(folder / "release")


def an_image_of_the_release(folder: Path) -> None:
    """The original in the place of the marked image: nobody shall shed the layer and keep the signature."""
    image = folder / "images" / "img-000.png"
    shutil.copy(folder.parent / "release.png", image)


def two_images_swapped(folder: Path) -> None:
    one, other = folder / "images" / "img-000.png", folder / "images" / "img-001.png"
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)


CHANGES: dict[str, tuple[Callable[[Path], None], str, set[int]]] = {
    "an image": (flip("images/img-000.png"), "images/img-000.png", {10}),
    "the manifest": (flip("manifest.json"), "manifest.json", {10}),
    "the statement": (flip("envelopes/grant.json"), "envelopes/grant.json", {10, 15}),
    "the release's manifest": (flip("release/manifest.json"), "release/manifest.json", {10}),
    "the release's signature": (flip("release/envelopes/release.json"), "release/envelopes/release.json", {10}),
    "the checkpoint": (flip("log/checkpoint"), "log/checkpoint", {10}),
    "the log's proof": (flip("log/proof.json"), "log/proof.json", {10}),
    "a document": (flip("decision.json"), "decision.json", {10}),
    "an image is gone": (removed("images/img-001.png"), "images/img-001.png", {10}),
    "the statement is gone": (removed("envelopes/grant.json"), "envelopes/release.json", {15}),
    "the checkpoint is gone": (removed("log/checkpoint"), "log/checkpoint", {10}),
    "the release's signature is gone": (
        removed("release/envelopes/release.json"),
        "release/envelopes/release.json",
        {10},
    ),
    "the release's manifest is gone": (removed("release/manifest.json"), "release/manifest.json", {10}),
    "the copy's manifest is gone": (removed("manifest.json"), "manifest.json", {10}),
    "all of the release is gone": (without_its_release, "release/manifest.json", {10}),
    "a file more": (added, "images/more.png", {10}),
    "an image without the layer": (an_image_of_the_release, "images/img-000.png", {10}),
    "two images swapped": (two_images_swapped, "images/img-000.png", {10}),
}


@pytest.mark.parametrize(("change", "where", "codes"), CHANGES.values(), ids=CHANGES.keys())
def test_every_change_is_found_and_named(
    copied: Copied, damaged: Path, change: Callable[[Path], None], where: str, codes: set[int]
) -> None:
    shutil.copy(copied.release.bundle.folder / "images" / "img-000.png", damaged.parent / "release.png")
    change(damaged)
    result = verify_path(damaged, trust_root=copied.release.trust_root)
    assert result.exit_code in codes
    assert where in {problem.where for problem in result.problems}


def test_a_removed_part_is_named_and_no_other(copied: Copied, damaged: Path) -> None:
    (damaged / "release" / "manifest.json").unlink()
    result = verify_path(damaged, trust_root=copied.release.trust_root)
    assert [str(problem) for problem in result.problems] == ["release/manifest.json: is missing"]
    assert result.grant_id == TERMS.grant_id


@pytest.mark.parametrize("name", ["manifest.json", "release/manifest.json"])
def test_without_the_statement_a_missing_manifest_is_bad_input(copied: Copied, damaged: Path, name: str) -> None:
    (damaged / name).unlink()
    (damaged / GRANT_ENVELOPE).write_text("{}")
    (damaged / "release" / "envelopes" / "release.json").unlink()
    with pytest.raises(ProvenanceError, match=r"manifest.json: is missing"):
        verify_path(damaged, trust_root=copied.release.trust_root)


def test_the_parts_of_another_release_are_found(copied: Copied, other_release: Any, damaged: Path) -> None:
    for name in ("manifest.json", "envelopes/release.json"):
        shutil.copy(other_release.bundle.folder / name, damaged / "release" / name)
    result = verify_path(damaged, trust_root=copied.release.trust_root)
    assert result.exit_code == 10
    assert "manifest.json" in {problem.where for problem in result.problems}


def test_the_statement_of_another_copy_is_found(copied: Copied, make_log: Any, damaged: Path, tmp_path: Path) -> None:
    other = written(tmp_path, copied.release, make_log, OTHER)
    for name in (GRANT_ENVELOPE, "log/checkpoint", "log/proof.json"):
        shutil.copy(other.folder / name, damaged / name)
    result = verify_path(damaged, trust_root=copied.release.trust_root)
    assert result.exit_code == 10
    assert "manifest.json" in {problem.where for problem in result.problems}


def test_another_site_cannot_make_a_copy_of_ours(
    copied: Copied, make_signer: Any, make_log: Any, tmp_path: Path
) -> None:
    stranger = make_signer(9)
    forged = write_grant_copy(
        tmp_path / "forged",
        release=copied.release.bundle.folder,
        terms=TERMS,
        signer=stranger,
        log=make_log(tmp_path, stranger),
    )
    assert verify_path(forged.folder, trust_root=copied.release.trust_root).verdict.word == "undetermined"
    theirs = TrustRoot.of(stranger, created_at=TERMS.created_at)
    result = verify_path(forged.folder, trust_root=theirs)
    assert result.exit_code == 10, "a trusted site's copy of a release that no trusted site signed"


@pytest.mark.parametrize("named", ["release", "its manifest", "the copy's manifest"])
def test_a_copy_is_recalled_with_its_release(copied: Copied, named: str) -> None:
    digests = {
        "release": "demo-1",
        "its manifest": copied.release.bundle.manifest_digest,
        "the copy's manifest": copied.copy.manifest_digest,
    }
    result = verify_path(copied.copy.folder, trust_root=copied.release.trust_root, revoked=[digests[named]])
    assert result.verdict.word == "recalled"


def test_a_recall_that_is_put_into_a_copy_is_read_there(copied: Copied, damaged: Path, tmp_path: Path) -> None:
    release = Path(shutil.copytree(copied.release.bundle.folder, tmp_path / "release"))
    write_recall(release, signer=copied.release.signer, reason="r", recalled_at=TERMS.created_at)
    shutil.copy(release / "recall.json", damaged / "release" / "recall.json")
    result = verify_path(damaged, trust_root=copied.release.trust_root)
    assert (result.verdict.word, result.problems) == ("recalled", ())
    flip("release/recall.json")(damaged)
    result = verify_path(damaged, trust_root=copied.release.trust_root)
    assert (result.exit_code, [problem.where for problem in result.problems]) == (10, ["release/recall.json"])


def test_a_release_that_was_changed_is_not_copied(copied: Copied, make_log: Any, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(copied.release.bundle.folder, tmp_path / "release"))
    flip("images/img-000.png")(bundle)
    with pytest.raises(ProvenanceError, match=r"images/img-000.png"):
        write_grant_copy(
            tmp_path / "copy",
            release=bundle,
            terms=TERMS,
            signer=copied.release.signer,
            log=make_log(tmp_path, copied.release.signer),
        )
    assert not (tmp_path / "copy").exists()


def test_the_log_holds_the_statement(copied: Copied) -> None:
    head = copied.log.reader.head()
    (entry,) = copied.log.reader.entries(head.size - 1, head.size, size=head.size)
    logged = json.loads(entry)
    assert logged["digest"] == digest_of((copied.copy.folder / GRANT_ENVELOPE).read_bytes())
    assert logged["release_id"] == "demo-1"


@pytest.mark.parametrize("kind", ["grey", "twelve bits", "colour", "8 bits in words of 16"])
def test_a_dicom_file_keeps_all_but_pixels_uid_and_signature(make_textured, make_rows, tmp_path, kind: str) -> None:
    (row,) = make_rows(1)
    pixels = make_textured(1, 64, seed=4, maximum=4095 if kind == "twelve bits" else 255)[0]
    pixels = pixels if kind == "twelve bits" else pixels.astype(np.uint8)
    pixels = np.stack([pixels] * 3, axis=-1) if kind == "colour" else pixels
    modality = "MR" if kind == "8 bits in words of 16" else "OT"
    DicomWriter(generator="g", version="1", modality=modality)(tmp_path / "a.dcm", pixels, row, mark_id="", index=0)
    data = (tmp_path / "a.dcm").read_bytes()
    again = dicom_with(data, pixels[::-1], name="grant/img-000", where="a.dcm")
    assert (read_final(again, where="a").pixels == pixels[::-1]).all()
    before, after = (pydicom.dcmread(io.BytesIO(part)) for part in (data, again))
    changed = {element.keyword for element in after if element != before.get(element.tag)}
    assert changed == {"SOPInstanceUID", "PixelData"}
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID
    assert dicom_with(data, pixels[::-1], name="grant/img-000", where="a.dcm") == again
    assert dicom_with(data, pixels[::-1], name="other/img-000", where="a.dcm") != again


def test_the_manifest_parses(copied: Copied) -> None:
    data = (copied.copy.folder / "manifest.json").read_bytes()
    assert parse_manifest(data, where="manifest.json").merkle_root == copied.copy.manifest.merkle_root
