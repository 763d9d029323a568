"""Manifest, proof and zip: the parsers refuse what has two meanings or asks too much."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veilmark.provenance.errors import BundleError, FormatError, ProvenanceError
from veilmark.provenance.manifest import parse_manifest
from veilmark.provenance.proofs import parse_proof
from veilmark.provenance.source import open_bundle
from veilmark.provenance.strict_json import canonical_json, parse_object

DIGEST = "sha256:" + "ab" * 32


def manifest(**changes: object) -> dict[str, object]:
    file = {"path": "images/a.png", "digest": DIGEST, "size": 10}
    image = {"image_id": "a", "content_digest": DIGEST, "mark_id": "1" * 16, "signature": "", "files": [file]}
    plain = {
        "schema": "veilmark/manifest/1",
        "release_id": "demo-1",
        "mark_release": 7,
        "created_at": "2026-11-21T09:30:00Z",
        "merkle_root": DIGEST,
        "images": [image],
        "files": [],
    }
    return {**plain, **changes}


def file(**changes: object) -> dict[str, object]:
    return manifest(files=[{"path": "a.json", "digest": DIGEST, "size": 1, **changes}])


def image(**changes: object) -> dict[str, object]:
    plain = {"image_id": "b", "content_digest": DIGEST, "mark_id": "", "signature": "", "files": []}
    return manifest(images=[{**plain, **changes}])


@pytest.mark.parametrize("mark", ["1" * 16, "2" * 32, ""])
def test_a_plain_manifest_parses_and_writes_back(mark: str) -> None:
    parsed = parse_manifest(json.dumps(image(mark_id=mark)).encode(), where="m")
    assert parsed.images[0].mark_id == mark
    assert parse_manifest(parsed.to_bytes(), where="m") == parsed


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(manifest(schema="veilmark/manifest/2"), id="unknown schema"),
        pytest.param({key: value for key, value in manifest().items() if key != "files"}, id="missing field"),
        pytest.param(manifest(extra=1), id="unknown field"),
        pytest.param(manifest(mark_release=True), id="boolean for a number"),
        pytest.param(manifest(release_id="../x"), id="release id with a path"),
        pytest.param(manifest(merkle_root="md5:00"), id="another digest"),
        pytest.param(manifest(created_at="2026-02-30T00:00:00Z"), id="no such day"),
        pytest.param(manifest(created_at="2026-11-21 09:30"), id="no UTC time"),
        pytest.param(manifest(images={}), id="images no list"),
        pytest.param(manifest(images=[1]), id="image no object"),
        pytest.param(file(path="../etc/passwd"), id="traversal"),
        pytest.param(file(path="images/../../x"), id="traversal inside"),
        pytest.param(file(path="/etc/passwd"), id="absolute"),
        pytest.param(file(path="C:/x"), id="drive"),
        pytest.param(file(path="a\\b"), id="backslash"),
        pytest.param(file(path="a//b"), id="empty part"),
        pytest.param(file(path="a\u0000"), id="NUL"),
        pytest.param(file(path="images/a.png"), id="path twice"),
        pytest.param(file(path="IMAGES/A.png"), id="path twice but for case"),
        pytest.param(file(size=10 * 1024**3), id="10 GB declared"),
        pytest.param(file(size=-1), id="negative size"),
        pytest.param(file(size=1.0), id="fractional size"),
        pytest.param(image(mark_id="xyz"), id="mark no hex"),
        pytest.param(image(mark_id="2" * 31), id="mark a digit short"),
        pytest.param(image(mark_id="3" * 32), id="mark of an unknown version"),
        pytest.param(image(signature="not base64!"), id="signature no base64"),
        pytest.param(image(image_id="a b"), id="image id with a space"),
    ],
)
def test_a_manifest_that_is_odd_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(ProvenanceError, match=r"^(m|mark id): "):
        parse_manifest(json.dumps(value).encode(), where="m")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'{"schema": 1, "schema": 2}', id="repeated key"),
        pytest.param(b'{"a": {"b": 1, "b": 1}}', id="repeated key inside"),
        pytest.param(b'{"a": NaN}', id="NaN"),
        pytest.param(b'{"a": -Infinity}', id="infinity"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b"\xff{}", id="no UTF-8"),
        pytest.param(b"{} {}", id="two documents"),
        pytest.param(b'{"a": ' + b"9" * 5000 + b"}", id="endless number"),
        pytest.param(b" " * 101, id="too large"),
    ],
)
def test_json_with_two_meanings_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        parse_object(data, where="x", max_bytes=100 if data[:1] == b" " else 10**6)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner, max_size=4)
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_canonical_json_reads_back_and_ignores_order(value: dict[str, object]) -> None:
    data = canonical_json(value)
    assert parse_object(data, where="x") == value
    assert canonical_json(dict(reversed(value.items()))) == data


def test_a_proof_with_a_short_hash_is_refused() -> None:
    body = {"schema": "veilmark/inclusion-proof/1", "content_digest": DIGEST, "index": 0, "n_leaves": 2}
    with pytest.raises(FormatError):
        parse_proof(json.dumps({**body, "hashes": ["ab"]}).encode(), where="p")


def entry(name: str, *, data: bytes = b"{}", mode: int = 0o100644, method: int = zipfile.ZIP_STORED):
    info = zipfile.ZipInfo(name)
    info.external_attr, info.compress_type = mode << 16, method
    return info, data


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([entry("../manifest.json")], id="traversal"),
        pytest.param([entry("/manifest.json")], id="absolute"),
        pytest.param([entry("images/link.png", mode=0o120777)], id="link"),
        pytest.param([entry("a.json", data=bytes(10**7), method=zipfile.ZIP_DEFLATED)], id="bomb"),
        pytest.param([entry("manifest.json"), entry("manifest.json")], id="name twice"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_hostile_zip_is_refused(tmp_path: Path, entries) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for info, data in entries:
            archive.writestr(info, data)
    with pytest.raises(BundleError), open_bundle(tmp_path / "x.zip"):
        pass


def test_a_truncated_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("manifest.json", b"{}")
    data = (tmp_path / "x.zip").read_bytes()
    (tmp_path / "x.zip").write_bytes(data[:-30])
    with pytest.raises(BundleError, match="neither a folder nor a whole zip"), open_bundle(tmp_path / "x.zip"):
        pass
