"""The log and the roots by address: for anybody, by a real server and the real client, and nothing but them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from veilmark.client.cli import app
from veilmark.core.keys import site_identity
from veilmark.core.transparency import log_append, log_folder
from veilmark.provenance.log.checkpoint import parse_checkpoint
from veilmark.provenance.log.entries import statement_entry, unpack_entries
from veilmark.provenance.log.writer import TransparencyLog
from veilmark.releases.selectors import certificate_root_path, trust_root_path
from veilmark.releases.trust_roots import roots_folder, roots_publish, trust_root_current

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]
RUNNER = CliRunner(env={"COLUMNS": "300"})
WHOLE = "whole, and it only ever grew"


@pytest.fixture(autouse=True)
def var_of_its_own(settings: Any, tmp_path: Path) -> None:
    settings.VEILMARK_VAR = tmp_path / "var"


def grow(n: int, start: int = 0) -> None:
    log_append([statement_entry(release_id=f"demo-{i}", digest=f"sha256:{i:064x}") for i in range(start, start + n)])


@pytest.fixture
def trust_root() -> Path:
    trust_root_current()
    return trust_root_path()


@pytest.fixture
def logged(trust_root: Path) -> Path:
    """The site's log of 600 entries: two full tiles, a partial one, and one level above."""
    for n, start in ((10, 0), (290, 10), (300, 300)):
        grow(n, start)
    return log_folder()


@pytest.fixture
def http(live_server: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=live_server.url) as client:
        yield client


def check(folder: Path, trust_root: Path, *arguments: str) -> tuple[int, str]:
    done = RUNNER.invoke(app, ["log", "check", str(folder), "--trust-root", str(trust_root), *arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        return 2, str(done.exception)
    return done.exit_code, done.output


def test_anybody_fetches_the_log_and_checks_it(live_server, logged, trust_root, tmp_path) -> None:
    copy, address = tmp_path / "copy", f"{live_server.url}/log"
    assert check(copy, trust_root, "--from", address)[1] == f"{copy}: {WHOLE}\n"
    assert parse_checkpoint((copy / "checkpoint").read_bytes(), where="copy").size == 600
    grow(5, 600)
    assert check(copy, trust_root, "--from", address)[0] == 0
    assert sorted(path.name for path in (copy / "checkpoints").iterdir()) == ["600", "605"]
    for path in (path for path in copy.rglob("*") if path.is_file()):
        assert path.read_bytes() == (logged / path.relative_to(copy)).read_bytes()


def rewrite(folder: Path, n: int) -> None:
    """The site makes up another history of `n` entries."""
    shutil.rmtree(folder)
    folder.mkdir()
    log = TransparencyLog(folder=folder, signer=site_identity().ed25519, origin=origin())
    log.append([statement_entry(release_id="other", digest=f"sha256:{i:064x}") for i in range(n)])


def origin() -> str:
    return f"veilmark.invalid/log/{site_identity().ed25519.key_id.removeprefix('sha256:')[:16]}"


@pytest.mark.parametrize(
    ("n", "words"),
    [
        pytest.param(600, "forked", id="of the same size"),
        pytest.param(20, "rolled back to 20 entries from 600", id="smaller"),
        pytest.param(700, "forked", id="larger"),
    ],
)
def test_a_history_that_was_rewritten_is_found_by_who_keeps_a_copy(
    live_server, logged, trust_root, tmp_path, n, words
) -> None:
    copy, address = tmp_path / "copy", f"{live_server.url}/log"
    assert check(copy, trust_root, "--from", address)[0] == 0
    rewrite(logged, n)
    code, printed = check(copy, trust_root, "--from", address)
    assert code == 10
    assert words in printed
    assert check(copy, trust_root)[0] == 10, "and it stays found, without network"


def test_a_log_that_no_trusted_key_signed_is_not_fetched(live_server, logged, trust_root, tmp_path, settings) -> None:
    settings.VEILMARK_SIGNING_KEY = "release-2"
    rewrite(logged, 300)
    code, printed = check(tmp_path / "copy", trust_root, "--from", f"{live_server.url}/log")
    assert code == 2
    assert "is not signed by a trusted key" in printed
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        pytest.param("http://127.0.0.1:1/log", "cannot be reached", id="nobody there"),
        pytest.param("not an address", "cannot be reached", id="no address"),
        pytest.param("{site}/healthz", "answered 404", id="no log there"),
    ],
)
def test_what_cannot_be_fetched_is_one_line(live_server, trust_root, tmp_path, address, words) -> None:
    code, printed = check(tmp_path / "copy", trust_root, "--from", address.format(site=live_server.url))
    assert (code, printed.count("\n")) == (2, 0)
    assert words in printed


def test_an_entry_says_nothing_but_names_and_digests(http, logged) -> None:
    for name in ("tile/entries/000", "tile/entries/001", "tile/entries/002.p/88"):
        for entry in unpack_entries(http.get(f"/log/{name}").content, where=name):
            fields = json.loads(entry)
            assert set(fields) <= {"schema", "kind", "release_id", "image_id", "content_digest", "digest"}
            assert max(map(len, fields.values())) <= 71


def test_headers_are_those_of_files_that_never_change(http, logged) -> None:
    for name in ("tile/0/000", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/000.p/10"):
        answer = http.get(f"/log/{name}")
        assert (answer.status_code, answer.content) == (200, (logged / name).read_bytes())
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    head = http.get("/log/checkpoint")
    assert head.headers["Cache-Control"] == "public, no-cache"
    assert http.get("/log/checkpoint", headers={"If-None-Match": head.headers["ETag"]}).status_code == 304
    grow(1, 600)
    assert http.get("/log/checkpoint", headers={"If-None-Match": head.headers["ETag"]}).status_code == 200
    assert http.head("/log/tile/0/000").headers["Content-Length"] == str(256 * 32)


NO_FILES = [
    *("log/", "log/checkpoints/10", "log/.lock", "log/tile", "log/tile/0/000.p/0", "log/tile/0/000.p/256"),
    *("log/tile/0/000.p/257", "log/tile/0/000.p/9", "log/tile/0/002", "log/tile/0/002.p/089", "log/tile/0/0"),
    *("log/tile/0/x000/000", "log/tile/64/000", "log/tile/00/000", "log/tile/2/000", "log/tile/entries/003"),
    *("log/tile/0/" + "x999/" * 200 + "999", "log/tile/0/%EF%BC%90%EF%BC%90%EF%BC%90", "log/tile/0/000%0a"),
    *("log/..%2ftrust-root.json", "log/tile/..%2f..%2ftrust-root.json", "log/tile/0/..%2f..%2fcheckpoint"),
    *("log/%2fetc%2fpasswd", "log/checkpoint%00", "log/checkpoint/", "log/tile/0/000\\..\\000"),
    *("trust/", "trust/.lock", "trust/metadata/", "trust/metadata/..%2f.lock", "trust/metadata/2.root.json"),
    *("trust/metadata/timestamp.json%00", "trust/metadata/0.root.json", "trust/..%2fkeys%2fmaster.key"),
    *("trust/targets/trust-root.json", "trust/targets/..%2f..%2ftrust-root.json", "trust/trust-root.json"),
    *(f"trust/targets/{'0' * 64}.trust-root.json", "trust/%2e%2e/keys/master.key"),
]


def test_whatever_else_is_asked_for_is_not_there(http, logged) -> None:
    roots_publish()
    for name in NO_FILES:
        answer = http.get(f"/{name}")
        assert (name, answer.status_code) == (name, 404)
        if answer.headers["Content-Type"].startswith("text/plain"):
            assert answer.text.count("\n") == 1
            assert answer.headers["Cache-Control"] == "no-cache"
        assert b"BEGIN" not in answer.content


def test_nothing_can_be_written(client) -> None:
    for name in ("log/checkpoint", "log/tile/0/000", "trust/metadata/timestamp.json"):
        for method in ("post", "put", "delete", "patch"):
            assert (name, method, getattr(client, method)(f"/{name}").status_code) == (name, method, 405)


def test_a_tile_that_no_checkpoint_covers_is_not_served(http, logged) -> None:
    """A process died before it signed: its tiles say what may never be logged."""
    shutil.copytree(logged, logged.parent / "kept")
    grow(400, 600)
    for name in ("checkpoint", "checkpoints/1000"):
        (logged / name).unlink()
    shutil.copy(logged.parent / "kept" / "checkpoint", logged / "checkpoint")
    for name in ("tile/0/002", "tile/0/003.p/232", "tile/entries/003.p/232", "tile/1/000.p/3"):
        assert (logged / name).exists()
        assert (name, http.get(f"/log/{name}").status_code) == (name, 404)
    assert http.get("/log/tile/0/002.p/88").status_code == 200


def test_who_is_signed_in_gets_the_same_and_no_cookie(client, people, logged) -> None:
    roots_publish()
    client.force_login(people.researcher, backend="django.contrib.auth.backends.ModelBackend")
    for name in ("log/checkpoint", "log/tile/0/000", "trust/metadata/timestamp.json"):
        answer = client.get(f"/{name}")
        assert answer.status_code == 200
        assert not answer.cookies
        assert "Cookie" not in answer.get("Vary", "")


def test_a_receiver_keeps_its_trust_root_current_by_address(live_server, http, trust_root, tmp_path) -> None:
    roots_publish()
    (tmp_path / "root.json").write_bytes(http.get("/trust/metadata/1.root.json").content)
    folder, arguments = tmp_path / "trust", ["--from", f"{live_server.url}/trust"]
    first = RUNNER.invoke(app, ["trust", "update", str(folder), *arguments, "--root", str(tmp_path / "root.json")])
    assert (first.exit_code, "1 identities, 0 revoked" in first.output) == (0, True), first.output
    roots_publish()
    assert RUNNER.invoke(app, ["trust", "update", str(folder), *arguments]).exit_code == 0
    grow(3)
    assert check(tmp_path / "copy", folder, "--from", f"{live_server.url}/log")[0] == 0
    target = next((roots_folder() / "targets").glob("*.trust-root.json"))
    answer = http.get(f"/trust/targets/{target.name}")
    assert answer.content == trust_root_path().read_bytes()
    assert "immutable" in answer.headers["Cache-Control"]
    assert http.get("/trust/metadata/timestamp.json").headers["Cache-Control"] == "public, no-cache"


def test_the_certificate_root_is_there_once_there_is_one(http) -> None:
    assert http.get("/trust/certificate-root.pem").status_code == 404
    certificate_root_path().parent.mkdir(parents=True, exist_ok=True)
    certificate_root_path().write_bytes(b"-----BEGIN CERTIFICATE-----\n")
    answer = http.get("/trust/certificate-root.pem")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/x-pem-file")
