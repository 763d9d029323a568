"""Whatever is done to a published bundle is found, and the file is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from veilmark.provenance.bundle import write_recall
from veilmark.provenance.documents import Evidence
from veilmark.provenance.errors import ProvenanceError
from veilmark.provenance.source import zip_bundle
from veilmark.provenance.trust import TrustRoot
from veilmark.provenance.verdict import Verdict
from veilmark.provenance.verify import verify_path

AT = "2026-11-22T09:30:00Z"
ONE_OF_EACH_KIND = [
    "manifest.json",
    "images/img-002.png",
    "images/index.csv",
    "envelopes/release.json",
    "envelopes/images/img-002.json",
    "proofs/img-002.json",
    "decision.json",
    "report/report.json",
    "report/report.html",
    "croissant.json",
    "datasheet.md",
    "bom.json",
    "log/checkpoint",
    "log/proof.json",
]


def named(result) -> set[str]:
    return {problem.where for problem in result.problems}


def test_the_untouched_bundle_is_authentic(published, tmp_path: Path) -> None:
    zip_bundle(published.bundle.folder, tmp_path / "bundle.zip")
    for path in (published.bundle.folder, tmp_path / "bundle.zip"):
        result = verify_path(path, trust_root=published.trust_root)
        assert (result.verdict, result.exit_code, result.problems) == (Verdict.AUTHENTIC, 0, ())
        assert (result.release_id, result.n_images) == ("demo-1", 5)


@pytest.mark.parametrize("name", ONE_OF_EACH_KIND)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_one_flipped_bit_is_found_and_named(published, copy: Path, name: str, data: st.DataObject) -> None:
    whole = (published.bundle.folder / name).read_bytes()
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    damaged = bytearray(whole)
    damaged[bit // 8] ^= 1 << bit % 8
    (copy / name).write_bytes(damaged)
    result = verify_path(copy, trust_root=published.trust_root)
    assert result.exit_code != 0
    assert name in named(result)


@pytest.mark.parametrize("name", ONE_OF_EACH_KIND)
def test_a_removed_file_is_named(published, copy: Path, name: str) -> None:
    (copy / name).unlink()
    result = verify_path(copy, trust_root=published.trust_root)
    assert result.verdict is Verdict.ALTERED
    assert name in named(result)


@pytest.mark.parametrize("is_pinned", [True, False])
def test_with_neither_manifest_nor_signature_there_is_nothing_to_verify(published, copy: Path, is_pinned: bool) -> None:
    (copy / "manifest.json").unlink()
    (copy / "envelopes" / "release.json").unlink()
    with pytest.raises(ProvenanceError, match=r"manifest\.json: is missing"):
        verify_path(copy, trust_root=published.trust_root if is_pinned else None)


def test_a_manifest_that_was_taken_away_hides_no_recall(published, copy: Path) -> None:
    write_recall(copy, signer=published.signer, reason="a copy was found", recalled_at=AT)
    (copy / "manifest.json").unlink()
    result = verify_path(copy, trust_root=published.trust_root)
    assert (result.verdict, named(result)) == (Verdict.RECALLED, {"manifest.json"})


def add(folder: Path) -> str:
    shutil.copy(folder / "images" / "img-001.png", folder / "images" / "img-999.png")
    return "images/img-999.png"


def rename(folder: Path) -> str:
    (folder / "images" / "img-001.png").rename(folder / "images" / "renamed.png")
    return "images/renamed.png"


def swap(folder: Path) -> str:
    first, second = (folder / "images" / f"img-00{i}.png" for i in (1, 2))
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)
    return "images/img-001.png"


def swap_envelopes(folder: Path) -> str:
    first, second = (folder / "envelopes" / "images" / f"img-00{i}.json" for i in (1, 2))
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)
    return "envelopes/images/img-002.json"


def hidden(folder: Path) -> str:
    (folder / "images" / ".hidden").write_bytes(b"x")
    return "images/.hidden"


def claim(folder: Path) -> str:
    """Another licence in the manifest's neighbour, and the manifest's digest made to fit."""
    (folder / "datasheet.md").write_text("do what you like")
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["files"] = [entry for entry in manifest["files"] if entry["path"] != "datasheet.md"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return "manifest.json"


def fake_recall(folder: Path) -> str:
    (folder / "recall.json").write_text('{"payloadType": "x", "payload": "", "signatures": []}')
    return "recall.json"


@pytest.mark.parametrize("attack", [add, rename, swap, swap_envelopes, hidden, claim, fake_recall])
def test_rearranged_files_are_named(published, copy: Path, attack: Callable[[Path], str]) -> None:
    name = attack(copy)
    result = verify_path(copy, trust_root=published.trust_root)
    assert (result.verdict, result.exit_code) == (Verdict.ALTERED, 10)
    assert name in named(result)


def test_renamed_and_swapped_files_are_told_apart(published, copy: Path) -> None:
    swap(copy)
    (copy / "decision.json").rename(copy / "verdict.json")
    told = {problem.where: problem.what for problem in verify_path(copy, trust_root=published.trust_root).problems}
    assert told["verdict.json"] == "is decision.json under another name"
    assert told["images/img-001.png"] == "holds what belongs to images/img-002.png"


@pytest.mark.parametrize("name", ["envelopes/release.json", "manifest.json", "envelopes/images/img-001.json"])
def test_a_file_of_another_release_by_the_same_signer_is_found(published, other_release, copy, name: str) -> None:
    shutil.copy(other_release.bundle.folder / name, copy / name)
    result = verify_path(copy, trust_root=published.trust_root)
    assert result.verdict is Verdict.ALTERED
    assert named(result) & {name, "manifest.json"}


def test_no_pinned_root_leaves_it_undetermined(published) -> None:
    result = verify_path(published.bundle.folder)
    assert (result.verdict, result.exit_code) == (Verdict.UNDETERMINED, 15)


def test_a_root_without_the_signer_leaves_it_undetermined(published, make_signer) -> None:
    root = TrustRoot.of(make_signer(99), created_at=AT)
    result = verify_path(published.bundle.folder, trust_root=root)
    assert result.verdict is Verdict.UNDETERMINED
    assert "unknown key" in str(result.problems[0])


def test_a_bundle_forged_with_another_key_is_not_ours(published, make_signer, make_release, make_log, tmp_path) -> None:
    from veilmark.provenance.bundle import write_bundle

    write_bundle(
        tmp_path / "forged",
        prepared=published.prepared,
        endorsed_root=published.prepared.merkle_root,
        release=make_release(),
        signer=make_signer(66),
        log=make_log(tmp_path, make_signer(66)),
        evidence=Evidence(decision={}, report={}, report_html=""),
    )
    result = verify_path(tmp_path / "forged", trust_root=published.trust_root)
    assert result.verdict is Verdict.UNDETERMINED


def test_a_recall_by_the_signer_counts(published, copy: Path) -> None:
    write_recall(copy, signer=published.signer, reason="a copy was found", recalled_at=AT)
    result = verify_path(copy, trust_root=published.trust_root)
    assert (result.verdict, result.exit_code) == (Verdict.RECALLED, 13)
    image = verify_path(copy / "images" / "img-001.png", bundle=copy, trust_root=published.trust_root)
    assert image.verdict is Verdict.RECALLED


def test_a_recall_by_a_stranger_does_not_count(published, copy: Path, make_signer) -> None:
    write_recall(copy, signer=make_signer(66), reason="spite", recalled_at=AT)
    result = verify_path(copy, trust_root=published.trust_root)
    assert result.verdict is Verdict.ALTERED
    assert named(result) == {"recall.json"}


def test_a_recall_of_another_release_does_not_count(published, other_release, copy: Path, tmp_path: Path) -> None:
    other = shutil.copytree(other_release.bundle.folder, tmp_path / "other")
    write_recall(other, signer=published.signer, reason="r", recalled_at=AT)
    shutil.copy(other / "recall.json", copy / "recall.json")
    assert verify_path(copy, trust_root=published.trust_root).verdict is Verdict.ALTERED


@pytest.mark.parametrize("by", ["release id", "manifest digest"])
def test_a_recall_known_from_elsewhere_counts(published, by: str) -> None:
    revoked = "demo-1" if by == "release id" else published.bundle.manifest_digest
    result = verify_path(published.bundle.folder, trust_root=published.trust_root, revoked=[revoked])
    assert result.verdict is Verdict.RECALLED


def test_a_link_out_of_the_bundle_is_not_followed(published, copy: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    (copy / "images" / "img-001.png").unlink()
    (copy / "images" / "img-001.png").symlink_to(tmp_path / "secret")
    with pytest.raises(ProvenanceError, match=r"img-001\.png: is a link"):
        verify_path(copy, trust_root=published.trust_root)


def test_marks_of_a_bundle_are_those_of_its_manifest(published) -> None:
    from veilmark.provenance.files import read_final
    from veilmark.provenance.watermark import direct_ids

    images = published.bundle.manifest.images
    files = [(published.bundle.folder / image.files[0].path).read_bytes() for image in images]
    pixels = np.stack([read_final(data, where="x").pixels for data in files])
    assert [mark.hex for mark in direct_ids(pixels) if mark] == [image.mark_id for image in images]
