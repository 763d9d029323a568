"""Attacks as a receiver meets them: `veilmark verify` says which file, in one line, and does not end with 0."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from veilmark.client.cli import main
from veilmark.provenance.bundle import write_bundle
from veilmark.provenance.digests import digest_of
from veilmark.provenance.documents import Evidence
from veilmark.provenance.envelope import sign_statement
from veilmark.provenance.manifest import parse_manifest
from veilmark.provenance.source import zip_bundle
from veilmark.provenance.statements import release_statement

ALTERED, UNDETERMINED, BAD_INPUT = 10, 15, 2
GIGABYTE = 1024**3


@pytest.fixture
def verify(published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs the command; its exit code and all that it printed."""
    root = tmp_path / "trust-root.json"
    published.trust_root.write(root)
    monkeypatch.setenv("COLUMNS", "400")

    def run(*arguments: object) -> tuple[int, str]:
        command = ["veilmark", "verify", *map(str, arguments), "--trust-root", str(root)]
        monkeypatch.setattr("sys.argv", command)
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        return int(ended.value.code or 0), printed.out + printed.err

    return run


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def every_kind(folder: Path) -> list[str]:
    """Each file of the bundle but the further images, which are of one kind."""
    names = (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file())
    return [name for name in names if not any(f"img-00{i}" in name for i in (0, 1, 3, 4))]


def test_a_flipped_bit_in_each_kind_of_file(verify, published, copy: Path) -> None:
    for name in every_kind(copy):
        flip(copy / name)
        code, printed = verify(copy)
        assert (name, code) == (name, ALTERED)
        assert name in printed
        shutil.copy(published.bundle.folder / name, copy / name)
    assert verify(copy)[0] == 0


def test_a_removed_file_of_each_kind(verify, published, copy: Path) -> None:
    for name in every_kind(copy):
        (copy / name).unlink()
        code, printed = verify(copy)
        assert (name, code) == (name, ALTERED)
        assert f"{name}: is missing" in printed
        shutil.copy(published.bundle.folder / name, copy / name)


def test_a_file_of_another_release_in_each_place(verify, published, other_release, copy: Path) -> None:
    for name in every_kind(copy):
        if (other_release.bundle.folder / name).read_bytes() == (copy / name).read_bytes():
            continue  # a report that says the same
        shutil.copy(other_release.bundle.folder / name, copy / name)
        code, printed = verify(copy)
        assert (name, code) == (name, ALTERED)
        assert name in printed or "manifest.json" in printed
        shutil.copy(published.bundle.folder / name, copy / name)


def an_added_file(folder: Path) -> str:
    (folder / "report" / "errata.html").write_text("all is well")
    return "report/errata.html"


def a_renamed_file(folder: Path) -> str:
    (folder / "log" / "proof.json").rename(folder / "log" / "proofs.json")
    return "log/proofs.json"


def an_envelope_without_its_second_signature(folder: Path) -> str:
    path = folder / "envelopes" / "release.json"
    envelope = json.loads(path.read_bytes())
    del envelope["signatures"][1]
    path.write_text(json.dumps(envelope))
    return "envelopes/release.json"


def a_stripped_log(folder: Path) -> str:
    shutil.rmtree(folder / "log")
    return "log/checkpoint"


def an_empty_log(folder: Path) -> str:
    (folder / "log" / "proof.json").write_text('{"schema":"veilmark/log-proof/1","start":0,"hashes":[],"earlier":[]}')
    return "log/proof.json"


def a_huge_image(folder: Path) -> str:
    with (folder / "images" / "img-002.png").open("r+b") as stream:
        stream.truncate(10 * GIGABYTE)  # a sparse file
    return "images/img-002.png"


def another_image_under_the_name(folder: Path) -> str:
    Image.new("L", (64, 64), 100).save(folder / "images" / "img-002.png")
    return "images/img-002.png"


@pytest.mark.parametrize(
    "attack",
    [
        an_added_file,
        a_renamed_file,
        an_envelope_without_its_second_signature,
        a_stripped_log,
        an_empty_log,
        a_huge_image,
        another_image_under_the_name,
    ],
)
def test_a_bundle_that_was_tampered_with(verify, copy: Path, attack: Callable[[Path], str]) -> None:
    name = attack(copy)
    code, printed = verify(copy)
    assert code == ALTERED
    assert name in printed


def repeated_key(manifest: bytes) -> bytes:
    return manifest.replace(b'"release_id"', b'"release_id": "other",\n "release_id"', 1)


def traversal(manifest: bytes) -> bytes:
    return manifest.replace(b'"datasheet.md"', b'"../datasheet.md"', 1)


def ten_gigabytes(manifest: bytes) -> bytes:
    body = json.loads(manifest)
    body["files"][0]["size"] = 10 * GIGABYTE
    return json.dumps(body).encode()


@pytest.mark.parametrize("change", [repeated_key, traversal, ten_gigabytes])
@pytest.mark.parametrize("is_signed", [True, False])
def test_a_manifest_that_means_harm(verify, published, copy: Path, change, is_signed: bool) -> None:
    """Also where the publisher's own key signed its bytes."""
    good = (copy / "manifest.json").read_bytes()
    data = change(good)
    assert data != good
    (copy / "manifest.json").write_bytes(data)
    if is_signed:
        statement = release_statement(parse_manifest(good, where="m"), manifest_digest=digest_of(data))
        (copy / "envelopes" / "release.json").write_bytes(sign_statement(statement, published.signer))
    code, printed = verify(copy)
    assert code == ALTERED
    assert "manifest.json" in printed


def packed(
    folder: Path, out: Path, *, name: str, data: bytes = b"x", mode: int = 0o100644, deflate: bool = False
) -> Path:
    zip_bundle(folder, out)
    with zipfile.ZipFile(out, "a") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        info.compress_type = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
        archive.writestr(info, data)
    return out


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("../../outside.txt", {}, id="traversal"),
        pytest.param("/outside.txt", {}, id="absolute"),
        pytest.param("images/link.png", {"data": b"/etc/passwd", "mode": 0o120777}, id="link"),
        pytest.param("images/bomb.png", {"data": bytes(50_000_000), "deflate": True}, id="bomb"),
    ],
)
def test_a_hostile_zip(verify, published, tmp_path: Path, name: str, options: dict[str, object]) -> None:
    path = packed(published.bundle.folder, tmp_path / "bundle.zip", name=name, **options)
    code, printed = verify(path)
    assert code == BAD_INPUT
    assert name in printed
    assert printed.count("\n") == 1


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_in_a_zip(verify, published, tmp_path: Path) -> None:
    path = packed(published.bundle.folder, tmp_path / "bundle.zip", name="decision.json")
    code, printed = verify(path)
    assert code == BAD_INPUT
    assert "decision.json" in printed


def test_a_zip_that_declares_ten_gigabytes(verify, published, tmp_path: Path) -> None:
    """The size in the directory is a lie: nothing of that size is ever asked for."""
    path = tmp_path / "bundle.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", b"{}")
        archive.infolist()[0].file_size = 10 * GIGABYTE
    code, printed = verify(path)
    assert code == BAD_INPUT
    assert "manifest.json" in printed


@pytest.mark.parametrize("name", ["images/img-002.png", "log", "envelopes/release.json"])
def test_a_link_in_a_folder(verify, copy: Path, tmp_path: Path, name: str) -> None:
    kept = (copy / name).rename(tmp_path / "kept")
    (copy / name).symlink_to(kept)
    code, printed = verify(copy)
    assert code == BAD_INPUT
    assert f"{name}: is a link" in printed


def test_a_folder_without_end(verify, copy: Path) -> None:
    (copy / "images" / "/".join(["deep"] * 40)).mkdir(parents=True)
    code, printed = verify(copy)
    assert code == BAD_INPUT
    assert "images/deep/deep" in printed


@pytest.fixture
def next_release(published, make_release, make_log, tmp_path: Path):
    """Publishes the same images once more, into a copy of the log as `published` left it, after `earlier` entries."""

    def publish(name: str, *earlier: bytes) -> Path:
        folder = tmp_path / name
        shutil.copytree(published.log.folder, folder / "log")
        log = make_log(folder, published.signer)
        log.append(earlier or [b"between"])
        write_bundle(
            folder / "bundle",
            prepared=published.prepared,
            endorsed_root=published.prepared.merkle_root,
            release=make_release(),
            signer=published.signer,
            log=log,
            evidence=Evidence(decision={}, report={}, report_html=""),
        )
        return folder / "bundle"

    return publish


def test_a_log_that_only_grew_agrees_with_what_was_seen(verify, published, next_release) -> None:
    seen = published.bundle.folder / "log" / "checkpoint"
    bundle = next_release("later")
    assert verify(bundle, "--checkpoint", seen)[0] == 0
    assert verify(bundle, "--checkpoint", bundle / "log" / "checkpoint")[0] == 0
    newer = bundle.parent / "log" / "checkpoint"  # the rest of the log lies beside it
    assert verify(published.bundle.folder, "--checkpoint", newer)[0] == 0


def test_a_rolled_back_log_is_refused(verify, published, next_release, tmp_path: Path) -> None:
    """All there is of the newer log is its checkpoint: the older bundle's log may be a part of it, or may not."""
    seen = shutil.copy(next_release("later") / "log" / "checkpoint", tmp_path / "seen")
    code, printed = verify(published.bundle.folder, "--checkpoint", seen)
    assert code == UNDETERMINED
    assert "log/checkpoint: rolled back to 5 entries from 11" in printed
    image = published.bundle.folder / "images" / "img-001.png"
    code, printed = verify(image, "--bundle", published.bundle.folder, "--checkpoint", seen)
    assert code == UNDETERMINED
    assert "rolled back" in printed


def test_a_forked_log_is_refused(verify, next_release) -> None:
    """The operator shows two receivers two logs of the same size, both signed by the true key."""
    first, second = next_release("first", b"one history"), next_release("second", b"the other one")
    code, printed = verify(second, "--checkpoint", first / "log" / "checkpoint")
    assert code == ALTERED
    assert "log/checkpoint: forked" in printed


def test_a_fork_that_hides_the_size_seen_is_refused(verify, next_release) -> None:
    first, second = next_release("first", b"one"), next_release("second", b"another", b"and one more")
    code, printed = verify(second, "--checkpoint", first / "log" / "checkpoint")
    assert code == UNDETERMINED
    assert "log/checkpoint: says nothing about the 11 entries that you have seen" in printed


def test_a_rolled_back_checkpoint_in_the_bundle_is_named(verify, published, next_release) -> None:
    bundle = next_release("later")
    shutil.copy(published.bundle.folder / "log" / "checkpoint", bundle / "log" / "checkpoint")
    code, printed = verify(bundle)
    assert code == ALTERED
    assert "log/checkpoint: was altered" in printed


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"nonsense", "no signed note"), (b"o\n5\n" + b"A" * 43 + b"=\n\n\xe2\x80\x94 o AAAAAAAA\n", "trusted key")],
)
def test_a_seen_checkpoint_that_is_none_is_bad_input(
    verify, published, tmp_path: Path, content: bytes, what: str
) -> None:
    (tmp_path / "seen").write_bytes(content)
    code, printed = verify(published.bundle.folder, "--checkpoint", tmp_path / "seen")
    assert code == BAD_INPUT
    assert f"{tmp_path / 'seen'}: " in printed
    assert what in printed
