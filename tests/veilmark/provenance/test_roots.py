"""Roots by The Update Framework: rotated, revoked, checked with no network, and whatever is stale or forged refused."""

from __future__ import annotations

import functools
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from veilmark.client.cli import app
from veilmark.provenance.errors import FormatError, ProvenanceError, RootsError
from veilmark.provenance.identity import SigningIdentity
from veilmark.provenance.roots.client import read_roots, update_roots
from veilmark.provenance.roots.content import REVOKED, TRUST_ROOT, Roots
from veilmark.provenance.roots.repository import Holders, create_repository, publish_content, rotate_root
from veilmark.provenance.trust import TrustRoot
from veilmark.provenance.verdict import Verdict
from veilmark.provenance.verify import verify_path

AT = "2026-11-21T09:30:00Z"
NOW = datetime.now(UTC).replace(microsecond=0)
LONG_AGO = NOW - timedelta(days=60)
DIGEST = "sha256:" + "ab" * 32


class Site:
    """A publisher's repository, its holders, and a receiver's folder."""

    def __init__(self, folder: Path, make: Callable[[int], SigningIdentity], trust_root: TrustRoot) -> None:
        self.repository, self.local, self.pinned_path = folder / "repository", folder / "local", folder / "root.json"
        self.make = make
        self.holders = Holders(root=[make(11), make(12), make(13)], threshold=2, targets=make(14), online=make(15))
        self.content = Roots(trust_root=trust_root)

    def create(self, now: datetime = NOW) -> None:
        create_repository(self.repository, self.content, self.holders, now=now)
        shutil.copy(self.metadata("1.root"), self.pinned_path)

    def metadata(self, name: str) -> Path:
        return self.repository / "metadata" / f"{name}.json"

    def publish(self, now: datetime = NOW, **changes: Any) -> None:
        self.content = replace(self.content, **changes)
        publish_content(self.repository, self.content, self.holders, now=now)

    def pin(self) -> Roots:
        return update_roots(self.local, str(self.repository), pinned=self.pinned_path.read_bytes())

    def update(self) -> Roots:
        return update_roots(self.local, str(self.repository))

    def new_holders(self) -> Holders:
        make = self.make
        return Holders(root=[make(21), make(22)], threshold=2, targets=make(24), online=make(25))


@pytest.fixture
def site(make_signer, published, tmp_path: Path) -> Site:
    made = Site(tmp_path, make_signer, published.trust_root)
    made.create()
    return made


def test_from_a_pinned_root_to_what_the_publisher_says(site: Site) -> None:
    assert site.pin() == site.content == read_roots(site.local)
    site.publish(revoked=[DIGEST])
    assert list(read_roots(site.local).revoked) == []
    assert list(site.update().revoked) == list(read_roots(site.local).revoked) == [DIGEST]


def test_a_folder_that_was_fetched_can_be_carried_to_a_machine_without_network(site: Site, tmp_path: Path) -> None:
    site.pin()
    carried = shutil.copytree(site.local, tmp_path / "carried", symlinks=True)
    before = sorted(path.read_bytes() for path in carried.rglob("*.json"))
    shutil.rmtree(site.repository)
    assert read_roots(carried) == site.content
    assert sorted(path.read_bytes() for path in carried.rglob("*.json")) == before


def test_new_holders_take_over(site: Site) -> None:
    """Two of three old ones hand over; the receiver follows from the root that it pinned."""
    site.pin()
    old, site.holders = site.holders.root[:2], site.new_holders()
    rotate_root(site.repository, site.content, site.holders, old=old, now=NOW)
    assert site.update() == read_roots(site.local) == site.content
    site.publish(revoked=[DIGEST])
    assert list(site.update().revoked) == [DIGEST]


def test_neither_one_old_holder_nor_strangers_can_hand_over(site: Site) -> None:
    for old in (site.holders.root[:1], [site.make(66), site.make(67)]):
        with pytest.raises(RootsError, match="too few"):
            rotate_root(site.repository, site.content, site.new_holders(), old=old, now=NOW)
    assert not site.metadata("2.root").exists()


def test_a_root_of_strangers_is_not_followed(site: Site, tmp_path: Path) -> None:
    site.pin()
    other = Site(tmp_path / "other", site.make, site.content.trust_root)
    other.holders = site.new_holders()
    other.create()
    rotate_root(other.repository, site.content, other.holders, old=other.holders.root, now=NOW)
    shutil.copy(other.metadata("2.root"), site.metadata("2.root"))
    with pytest.raises(RootsError, match="not what the pinned root's holders signed"):
        site.update()


def test_keys_that_were_handed_over_sign_no_more(site: Site, tmp_path: Path) -> None:
    """The old root's keys were stolen: what they sign now is refused by who heard of the new root."""
    site.pin()
    shutil.copytree(site.repository, tmp_path / "stolen")
    thieves, site.holders = site.holders, site.new_holders()
    rotate_root(site.repository, site.content, site.holders, old=thieves.root, now=NOW)
    site.update()
    for _ in range(3):
        publish_content(tmp_path / "stolen", replace(site.content, revoked=[DIGEST]), thieves, now=NOW)
    with pytest.raises(RootsError, match="not what the pinned root's holders signed"):
        update_roots(site.local, str(tmp_path / "stolen"))
    assert list(read_roots(site.local).revoked) == []


def test_an_older_state_is_refused(site: Site, tmp_path: Path) -> None:
    old = shutil.copytree(site.repository, tmp_path / "old")
    site.publish(revoked=[DIGEST])
    site.pin()
    with pytest.raises(RootsError, match="older than what was seen before"):
        update_roots(site.local, str(old))
    assert list(read_roots(site.local).revoked) == [DIGEST]


def test_what_has_expired_is_refused(make_signer, published, tmp_path: Path) -> None:
    """Whoever withholds the news of a revocation has thirty days."""
    site = Site(tmp_path, make_signer, published.trust_root)
    site.create(now=LONG_AGO)
    with pytest.raises(RootsError, match=r"has expired.*ask the publisher to sign anew"):
        site.pin()
    site.publish(now=NOW)
    site.pin()
    site.holders, old = site.new_holders(), site.holders.root
    rotate_root(site.repository, site.content, site.holders, old=old, now=NOW - timedelta(days=400))
    with pytest.raises(RootsError, match="has expired"):
        site.update()


def test_what_was_fetched_expires_too(site: Site, make_signer, tmp_path: Path) -> None:
    site.pin()
    stale = Site(tmp_path / "stale", make_signer, site.content.trust_root)
    stale.create(now=LONG_AGO)
    shutil.copy(stale.metadata("timestamp"), site.local / "metadata" / "timestamp.json")
    with pytest.raises(RootsError, match=r"has expired.*update it"):
        read_roots(site.local)


def drop_a_signature(path: Path, scheme: str, root: dict[str, Any]) -> None:
    body = json.loads(path.read_bytes())
    dropped = {key_id for key_id, key in root["signed"]["keys"].items() if key["scheme"] == scheme}
    body["signatures"] = [row for row in body["signatures"] if row["keyid"] not in dropped]
    path.write_text(json.dumps(body))


@pytest.mark.parametrize("scheme", ["ed25519", "ml-dsa-65/1"])
@pytest.mark.parametrize("name", ["1.root", "timestamp", "1.snapshot", "1.targets"])
def test_no_file_goes_with_one_kind_of_signature(site: Site, name: str, scheme: str) -> None:
    root = json.loads(site.metadata("1.root").read_bytes())
    drop_a_signature(site.metadata(name), scheme, root)
    shutil.copy(site.metadata("1.root"), site.pinned_path)
    with pytest.raises(RootsError, match="not what the pinned root's holders signed"):
        site.pin()


@pytest.mark.parametrize(
    "name", ["metadata/timestamp", "metadata/snapshot", "metadata/targets", "targets/trust-root", "targets/revoked"]
)
def test_whatever_changed_since_it_was_fetched_is_found(site: Site, name: str) -> None:
    site.pin()
    path = site.local / f"{name}.json"
    path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
    with pytest.raises(ProvenanceError):
        read_roots(site.local)
    path.unlink()
    with pytest.raises(RootsError):
        read_roots(site.local)


def test_a_root_is_pinned_once(site: Site, tmp_path: Path) -> None:
    with pytest.raises(RootsError, match="holds no pinned root yet"):
        site.update()
    for pinned, source in ((b"{}", site.repository), (site.pinned_path.read_bytes(), tmp_path / "nowhere")):
        with pytest.raises(RootsError):
            update_roots(site.local, str(source), pinned=pinned)
    site.pin()
    with pytest.raises(RootsError, match="has a pinned root already"):
        site.pin()
    with pytest.raises(RootsError, match="cannot be read"):
        read_roots(tmp_path / "nowhere")


def test_a_root_needs_more_than_half_of_different_holders(make_signer) -> None:
    one, two = make_signer(1), make_signer(2)
    for root, threshold in (([one, two], 1), ([one, one], 2), ([one], 2), ([one], 0), ([], 0)):
        with pytest.raises(RootsError, match="holders of the root"):
            Holders(root=root, threshold=threshold, targets=one, online=one)


def test_a_repository_is_made_once_and_published_in_after_that(site: Site, tmp_path: Path) -> None:
    with pytest.raises(RootsError, match="holds a repository already"):
        site.create()
    with pytest.raises(RootsError, match="holds no repository"):
        publish_content(tmp_path / "nowhere", site.content, site.holders, now=NOW)


@pytest.mark.parametrize(
    "text",
    [
        '{"schema": "veilmark/revoked-releases/1", "manifest_digests": [], "manifest_digests": []}',
        '{"schema": "veilmark/revoked-releases/1", "manifest_digests": ["demo"]}',
        '{"schema": "veilmark/revoked-releases/1"}',
        "[]",
    ],
)
def test_a_list_of_revoked_releases_that_is_odd_is_refused(site: Site, text: str) -> None:
    with pytest.raises(FormatError):
        Roots.parse({TRUST_ROOT: site.content.trust_root.to_bytes(), REVOKED: text.encode()})


def test_a_revoked_key_signs_no_release_any_more(site: Site, published, make_signer) -> None:
    """Its successor stands beside it in the trust root."""
    site.pin()
    (identity,) = published.trust_root.identities
    revoked = replace(identity, revoked_at="2026-11-22T00:00:00Z")
    site.publish(trust_root=TrustRoot(identities=(revoked, make_signer(2).public(created_at=AT))))
    roots = site.update()
    result = verify_path(published.bundle.folder, trust_root=roots.trust_root)
    assert result.verdict is Verdict.UNDETERMINED
    told = {problem.where: problem.what for problem in result.problems}
    assert told["envelopes/release.json"] == "signed by a key that was revoked at 2026-11-22T00:00:00Z"


@pytest.fixture
def address(site: Site) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
            """Nothing on standard error."""

    handler = functools.partial(Quiet, directory=str(site.repository))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_the_command_fetches_by_http_and_verify_hears_of_a_release_taken_back(site, address: str, published) -> None:
    def run(*arguments: object) -> Any:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    first = run("trust", "update", site.local, "--from", address, "--root", site.pinned_path)
    assert (first.exit_code, "1 identities, 0 revoked; 0 releases" in first.stdout) == (0, True)
    verify = ("verify", published.bundle.folder, "--trust-root", site.local)
    assert run(*verify).exit_code == 0
    site.publish(revoked=[published.bundle.manifest_digest])
    again = json.loads(run("trust", "update", site.local, "--from", address, "--json").stdout)
    assert again == {"identities": 1, "revoked_identities": 0, "revoked_releases": 1}
    assert run(*verify).exit_code == 13
    unreachable = run("trust", "update", site.local, "--from", "http://127.0.0.1:1/")
    assert isinstance(unreachable.exception, RootsError)
