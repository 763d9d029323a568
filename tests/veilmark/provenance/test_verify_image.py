"""One image against its bundle: each verdict and its exit code."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from veilmark.provenance.digests import ImageMetadata
from veilmark.provenance.errors import FileError, ProvenanceError
from veilmark.provenance.files import png_bytes, read_final
from veilmark.provenance.source import zip_bundle
from veilmark.provenance.verdict import Verdict
from veilmark.provenance.verify import verify_path
from veilmark.provenance.watermark import MarkId, mark_images


@pytest.fixture
def pixels(published) -> np.ndarray:
    data = (published.bundle.folder / "images" / "img-001.png").read_bytes()
    return read_final(data, where="x").pixels


def check(published, path: Path, **changes: object):
    arguments = {"bundle": published.bundle.folder, "trust_root": published.trust_root}
    return verify_path(path, **{**arguments, **changes})


def test_a_released_file_is_authentic_under_any_name(published, tmp_path: Path) -> None:
    path = tmp_path / "renamed.png"
    path.write_bytes((published.bundle.folder / "images" / "img-001.png").read_bytes())
    result = check(published, path)
    assert (result.verdict, result.image_id, result.problems) == (Verdict.AUTHENTIC, "img-001", ())


def test_a_zip_serves_as_the_bundle(published, tmp_path: Path) -> None:
    zip_bundle(published.bundle.folder, tmp_path / "bundle.zip")
    path = published.bundle.folder / "images" / "img-001.png"
    assert check(published, path, bundle=tmp_path / "bundle.zip").verdict is Verdict.AUTHENTIC


def test_bytes_added_around_the_content_are_an_alteration(published, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes((published.bundle.folder / "images" / "img-001.png").read_bytes() + b"\0")
    result = check(published, path)
    assert (result.verdict, result.image_id) == (Verdict.ALTERED, "img-001")
    assert "pixels and metadata are as signed" in result.problems[0].what


@pytest.mark.parametrize("name", ["a.jpg", "a.png"], ids=["JPEG", "no metadata"])
@pytest.mark.parametrize("turn", [0, 2], ids=["upright", "turned"])
def test_changed_pixels_or_metadata_are_an_alteration(
    published, pixels: np.ndarray, tmp_path: Path, name: str, turn: int
) -> None:
    Image.fromarray(np.rot90(pixels, turn)).save(tmp_path / name)
    result = check(published, tmp_path / name)
    assert (result.verdict, result.image_id, result.exit_code) == (Verdict.ALTERED, "img-001", 10)
    assert result.detection.detected


def test_another_label_in_the_metadata_is_an_alteration(published, pixels: np.ndarray, tmp_path: Path) -> None:
    row = ImageMetadata(release_id="demo-1", image_id="img-001", label="something else")
    (tmp_path / "a.png").write_bytes(png_bytes(pixels, row, where="a.png"))
    assert check(published, tmp_path / "a.png").verdict is Verdict.ALTERED


def test_a_mark_on_other_content_is_a_copied_mark(published, make_textured, tmp_path: Path) -> None:
    """The detection key is public, so anybody can do this."""
    mark = MarkId.from_hex(published.bundle.manifest.images[1].mark_id)
    forged = mark_images(make_textured(1, 64, seed=123).astype(np.uint8), [mark])
    Image.fromarray(forged.images[0]).save(tmp_path / "a.png")
    result = check(published, tmp_path / "a.png")
    assert (result.verdict, result.image_id, result.exit_code) == (Verdict.COPIED_MARK, "img-001", 12)
    assert "content does not match" in result.problems[0].what


def test_a_mark_of_another_release_is_a_mark_only(published, other_release) -> None:
    result = check(published, other_release.bundle.folder / "images" / "img-001.png")
    assert (result.verdict, result.exit_code) == (Verdict.MARK_ONLY, 11)
    assert result.detection.id.hex == other_release.bundle.manifest.images[1].mark_id


def test_without_a_bundle_a_mark_is_a_mark_only(published) -> None:
    result = verify_path(published.bundle.folder / "images" / "img-001.png", trust_root=published.trust_root)
    assert result.verdict is Verdict.MARK_ONLY


@pytest.mark.parametrize("with_bundle", [True, False])
def test_an_unmarked_image(published, make_textured, tmp_path: Path, with_bundle: bool) -> None:
    Image.fromarray(make_textured(1, 64, seed=55)[0].astype(np.uint8)).save(tmp_path / "a.png")
    result = check(published, tmp_path / "a.png", bundle=published.bundle.folder if with_bundle else None)
    assert (result.verdict, result.exit_code) == (Verdict.UNMARKED, 14)


@pytest.mark.parametrize("altered", [False, True])
def test_without_a_root_a_match_is_undetermined(published, pixels, tmp_path: Path, altered: bool) -> None:
    path = published.bundle.folder / "images" / "img-001.png"
    if altered:
        Image.fromarray(pixels).save(path := tmp_path / "a.png")
    assert check(published, path, trust_root=None).verdict is Verdict.UNDETERMINED


def test_an_altered_manifest_vouches_for_nothing(published, copy: Path) -> None:
    data = (copy / "manifest.json").read_bytes()
    (copy / "manifest.json").write_bytes(data.replace(b'"mark_release": 7', b'"mark_release": 8'))
    result = check(published, copy / "images" / "img-001.png", bundle=copy)
    assert result.verdict is Verdict.UNDETERMINED
    assert result.problems[0].where == "manifest.json"


def test_what_is_no_image_is_refused(published, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(FileError, match="no image of a known kind"):
        check(published, tmp_path / "a.png")


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not exist"):
        verify_path(tmp_path / "nothing")


def test_a_bundle_against_a_bundle_is_refused(published) -> None:
    with pytest.raises(ProvenanceError, match="is a bundle itself"):
        check(published, published.bundle.folder)


def test_worn_images_still_resemble_themselves(chest_images) -> None:
    from veilmark.provenance.resemblance import shows_the_same

    images = chest_images[::40][:25]
    buffer = io.BytesIO()
    for image in images:
        buffer.seek(0)
        Image.fromarray(image).save(buffer, "JPEG", quality=50)
        buffer.truncate()
        assert shows_the_same(np.asarray(Image.open(buffer)), image)
        assert shows_the_same(image[6:-6, 6:-6], image)
        assert shows_the_same(image[:, ::-1], image)
    pairs = [shows_the_same(first, second) for first in images[:8] for second in images[8:]]
    assert np.mean(pairs) < 0.05
