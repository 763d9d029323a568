"""Time stamps by a real authority, which `openssl ts` runs here: what it proves, and whatever is no such proof."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder, decode_timestamp_response
from typer.testing import CliRunner

from veilmark.client.cli import app
from veilmark.provenance.errors import FileError, StampError
from veilmark.provenance.layout import RELEASE_ENVELOPE, STAMP_NAME
from veilmark.provenance.source import zip_bundle
from veilmark.provenance.timestamp_server import HttpAuthority
from veilmark.provenance.timestamps import StampAuthority, read_roots, stamp, stamp_release, verify_stamp
from veilmark.provenance.trust import TrustRoot
from veilmark.provenance.verdict import Verdict
from veilmark.provenance.verify import verify_path

DATA = b"an envelope"
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
CONFIGURATION = """
[tsa]
default_tsa = here
[here]
serial = serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = {digests}
ess_cert_id_alg = sha256
"""


def name_of(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


@dataclass(frozen=True, kw_only=True)
class Certified:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def write(self, folder: Path) -> list[str]:
        """The two paths, in PEM."""
        (folder / "signer.pem").write_bytes(self.certificate.public_bytes(Encoding.PEM))
        pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "signer.key").write_bytes(pem)
        return [str(folder / "signer.pem"), str(folder / "signer.key")]


def certify(
    name: str,
    *,
    by: Certified | None = None,
    usage: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.TIME_STAMPING,
    valid: tuple[timedelta, timedelta] = (-DAY, DAY),
    serial: int | None = None,
) -> Certified:
    key, is_root = ec.generate_private_key(ec.SECP256R1()), by is None
    issuer = by.certificate.subject if by else name_of(name)
    bits = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
    )
    key_usage = x509.KeyUsage(
        digital_signature=not is_root, key_cert_sign=is_root, crl_sign=is_root, decipher_only=False, **bits
    )
    builder = x509.CertificateBuilder().subject_name(name_of(name)).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(serial or x509.random_serial_number())
    builder = builder.not_valid_before(NOW + valid[0]).not_valid_after(NOW + valid[1])
    builder = builder.add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
    builder = builder.add_extension(key_usage, critical=True)
    if usage and not is_root:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=True)
    return Certified(key=key, certificate=builder.sign(by.key if by else key, SHA256()))


@dataclass(frozen=True, kw_only=True)
class LocalAuthority:
    """`openssl ts -reply`: the authority of a test, a laptop, a ward without network."""

    folder: Path
    signer: Certified
    digests: str = "sha256"

    def reply(self, request: bytes) -> bytes:
        self.folder.mkdir(exist_ok=True)
        certificate, key = self.signer.write(self.folder)
        (self.folder / "serial").write_text("01")
        (self.folder / "tsa.cnf").write_text(CONFIGURATION.format(digests=self.digests))
        (self.folder / "query.tsq").write_bytes(request)
        command = ["openssl", "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query.tsq", "-out", "reply.tsr"]
        command += ["-signer", certificate, "-inkey", key]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)
        return (self.folder / "reply.tsr").read_bytes()


@pytest.fixture(scope="session")
def root() -> Certified:
    return certify("stamping root")


@pytest.fixture(scope="session")
def roots(root: Certified) -> list[bytes]:
    return [root.certificate.public_bytes(Encoding.DER)]


@pytest.fixture(scope="session")
def authority(require_program, root: Certified, tmp_path_factory: pytest.TempPathFactory) -> LocalAuthority:
    require_program("openssl", "openssl")
    return LocalAuthority(folder=tmp_path_factory.mktemp("tsa"), signer=certify("stamping authority", by=root))


@pytest.fixture(scope="session")
def good(authority: LocalAuthority, roots: Sequence[bytes]) -> bytes:
    return stamp(DATA, authority, roots=roots)


def test_a_stamp_proves_a_time(good: bytes, roots: Sequence[bytes]) -> None:
    proven = verify_stamp(good, DATA, roots=roots, where="s")
    assert abs(proven.at - datetime.now(UTC)) < timedelta(minutes=10)
    assert proven.authority == "CN=stamping authority"
    assert proven.text.endswith("Z")


def test_openssl_verifies_it(good: bytes, root: Certified, tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_bytes(root.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "stamp.tsr").write_bytes(good)
    for data, answer in ((DATA, 0), (DATA + b".", 1)):
        (tmp_path / "data").write_bytes(data)
        command = ["openssl", "ts", "-verify", "-data", "data", "-in", "stamp.tsr", "-CAfile", "root.pem"]
        assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == answer


def test_roots_are_read_from_pem(root: Certified, roots: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "roots.pem"
    path.write_bytes(root.certificate.public_bytes(Encoding.PEM))
    assert read_roots(path) == roots
    path.write_text("no certificate")
    for unreadable in (path, tmp_path / "nowhere"):
        with pytest.raises(FileError):
            read_roots(unreadable)


@pytest.mark.parametrize(
    ("valid", "told"), [((-3 * DAY, -DAY), "expired"), ((DAY, 3 * DAY), "not yet valid")], ids=["expired", "future"]
)
def test_a_certificate_that_was_not_valid_at_its_time_is_refused(root, roots, tmp_path, valid, told: str) -> None:
    signer = certify("stamping authority", by=root, valid=valid)
    with pytest.raises(StampError, match=told):
        stamp(DATA, LocalAuthority(folder=tmp_path / "tsa", signer=signer), roots=roots)


def test_a_stamp_outlives_its_certificate(root: Certified, good: bytes) -> None:
    """Nothing asks today's clock: a certificate has to be valid when it stamps, and the stamp proves when."""
    at = decode_timestamp_response(good).tst_info.gen_time
    assert verify_stamp(good, DATA, roots=[root.certificate.public_bytes(Encoding.DER)], where="s").at == at


def test_a_stamp_of_other_data_by_nobody_pinned_or_without_root_is_refused(good: bytes, roots) -> None:
    stranger = certify("stamping root").certificate.public_bytes(Encoding.DER)
    for data, pinned, told in (
        (DATA + b".", roots, "Mismatch"),
        (DATA, [stranger], "does not verify"),
        (DATA, [], "no authority that the trust root names"),
        (DATA, [b"no certificate"], "does not verify"),
    ):
        with pytest.raises(StampError, match=told):
            verify_stamp(good, data, roots=pinned, where="s")


def test_an_older_stamp_is_no_answer(good: bytes, roots: Sequence[bytes]) -> None:
    class Replaying:
        def reply(self, request: bytes) -> bytes:
            return good

    replaying: StampAuthority = Replaying()
    with pytest.raises(StampError, match="Nonce"):
        stamp(DATA, replaying, roots=roots)


def test_a_refusal_is_told(authority: LocalAuthority, roots: Sequence[bytes]) -> None:
    with pytest.raises(StampError, match="refused by its authority"):
        stamp(DATA, replace(authority, folder=authority.folder / "refusing", digests="sha512"), roots=roots)


def test_another_digest_than_sha_256_is_refused(authority: LocalAuthority, roots: Sequence[bytes]) -> None:
    request = TimestampRequestBuilder(data=DATA, hash_algorithm=HashAlgorithm.SHA512).build()
    other = replace(authority, folder=authority.folder / "sha512", digests="sha512")
    with pytest.raises(StampError, match="SHA-256"):
        verify_stamp(other.reply(request.as_bytes()), DATA, roots=roots, where="s")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda _: b"{}", id="no DER"),
        pytest.param(lambda good: good + b"\0", id="more at its end"),
        pytest.param(lambda good: good[:-1], id="cut"),
        pytest.param(lambda _: bytes.fromhex("30053003020100"), id="granted without a stamp"),
        pytest.param(lambda good: good + bytes(1 << 18), id="too large"),
    ],
)
def test_what_is_no_stamp_is_refused(good: bytes, roots: Sequence[bytes], change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(StampError) as raised:
        verify_stamp(change(good), DATA, roots=roots, where="s")
    assert str(raised.value).startswith("s: ")
    assert "\n" not in str(raised.value)


@settings(deadline=None, max_examples=80)
@given(data=st.data())
def test_a_flipped_bit_never_changes_the_time(good: bytes, roots: Sequence[bytes], data: st.DataObject) -> None:
    bit = data.draw(st.integers(0, 8 * len(good) - 1))
    damaged = bytearray(good)
    damaged[bit // 8] ^= 1 << bit % 8
    try:
        proven = verify_stamp(bytes(damaged), DATA, roots=roots, where="s")
    except StampError:
        return
    assert proven == verify_stamp(good, DATA, roots=roots, where="s"), "outside of what is signed"


def forge(folder: Path, good: bytes, signer: Certified, *twins: Certified) -> bytes:
    """The content of a good stamp, signed by another key with `openssl cms`; `twins` go along as certificates."""
    content = ["openssl", "ts", "-reply", "-in", "good.tsr", "-token_out", "-out", "token.der"]
    (folder / "good.tsr").write_bytes(good)
    subprocess.run(content, cwd=folder, check=True, capture_output=True)
    out = ["openssl", "cms", "-verify", "-noverify", "-inform", "DER", "-in", "token.der", "-out", "info.der"]
    subprocess.run(out, cwd=folder, check=True, capture_output=True)
    certificate, key = signer.write(folder)
    command = ["openssl", "cms", "-sign", "-binary", "-nodetach", "-outform", "DER", "-md", "sha256", "-in", "info.der"]
    command += ["-econtent_type", "1.2.840.113549.1.9.16.1.4", "-signer", certificate, "-inkey", key]
    if twins:
        (folder / "twins.pem").write_bytes(b"".join(twin.certificate.public_bytes(Encoding.PEM) for twin in twins))
        command += ["-certfile", "twins.pem"]
    subprocess.run([*command, "-out", "forged.der"], cwd=folder, check=True, capture_output=True)
    body = bytes.fromhex("3003020100") + (folder / "forged.der").read_bytes()
    return b"\x30\x82" + len(body).to_bytes(2, "big") + body


def test_a_certificate_for_something_else_cannot_stamp(good: bytes, root, roots, tmp_path: Path) -> None:
    """One root may also sign servers, whose keys are with strangers."""
    assert verify_stamp(forge(tmp_path, good, certify("stamping authority", by=root)), DATA, roots=roots, where="s")
    for usage in (ExtendedKeyUsageOID.SERVER_AUTH, None):
        server = certify("server", by=root, usage=usage)
        with pytest.raises(StampError):
            verify_stamp(forge(tmp_path, good, server), DATA, roots=roots, where="s")


def test_a_twin_certificate_lends_no_right_to_stamp(good: bytes, root, roots, tmp_path: Path) -> None:
    """The usage would be read from the twin, which nobody signed, and the chain from the real one."""
    server = certify("server", by=root, usage=ExtendedKeyUsageOID.SERVER_AUTH)
    issuer = Certified(key=ec.generate_private_key(ec.SECP256R1()), certificate=root.certificate)
    twin = certify("server", by=issuer, serial=server.certificate.serial_number)
    forged = forge(tmp_path, good, server, twin)
    for _ in range(4):
        with pytest.raises(StampError, match="2 certificates of its signer"):
            verify_stamp(forged, DATA, roots=roots, where="s")


@pytest.fixture
def server(authority: LocalAuthority) -> Iterator[Callable[[str], HttpAuthority]]:
    """An authority behind HTTP; its paths misbehave each in its own way."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = self.rfile.read(int(self.headers["Content-Length"]))
            body = {
                "/stamp": lambda: authority.reply(request),
                "/large": lambda: bytes(1 << 19),
                "/page": lambda: b"<p>",
            }
            self.send_response(200 if self.path in body else 503)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write(body.get(self.path, bytes)())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
            """Nothing on standard error."""

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        yield lambda path: HttpAuthority(url=f"http://127.0.0.1:{listening.server_port}{path}", timeout_s=20)
        listening.shutdown()
        thread.join()


def test_a_stamp_by_http(server: Callable[[str], HttpAuthority], roots: Sequence[bytes]) -> None:
    assert verify_stamp(stamp(DATA, server("/stamp"), roots=roots), DATA, roots=roots, where="s")
    for path, told in (("/busy", "answered 503"), ("/large", "more than"), ("/page", "does not verify")):
        with pytest.raises(StampError, match=told):
            stamp(DATA, server(path), roots=roots)
    for url in ("http://127.0.0.1:1/stamp", "nonsense", "http://[::1/"):
        with pytest.raises(StampError, match="cannot be reached"):
            stamp(DATA, HttpAuthority(url=url), roots=roots)


@pytest.fixture
def stamped(copy: Path, authority: LocalAuthority, roots: Sequence[bytes]) -> Path:
    stamp_release(copy, authority, roots=roots)
    return copy


@pytest.fixture
def pinned(published, roots: Sequence[bytes]) -> TrustRoot:
    return replace(published.trust_root, timestamp_roots=tuple(roots))


def test_a_stamped_bundle_tells_its_time(stamped: Path, pinned: TrustRoot, tmp_path: Path) -> None:
    zip_bundle(stamped, tmp_path / "bundle.zip")
    pinned.write(tmp_path / "root.json")
    for path in (stamped, tmp_path / "bundle.zip"):
        result = verify_path(path, trust_root=pinned)
        assert (result.verdict, result.problems) == (Verdict.AUTHENTIC, ())
        assert result.proven_time
    image = verify_path(stamped / "images" / "img-001.png", bundle=stamped, trust_root=pinned)
    assert image.proven_time == result.proven_time
    shown = CliRunner().invoke(app, ["verify", str(stamped), "--trust-root", str(tmp_path / "root.json")])
    assert "signed no later than 20" in shown.stdout
    assert result.to_json()["time_stamp"] == {
        "proven_time": result.proven_time.text,
        "authority": "CN=stamping authority",
    }


def test_without_a_stamp_nothing_is_said_of_time(published, pinned: TrustRoot) -> None:
    result = verify_path(published.bundle.folder, trust_root=pinned)
    assert (result.verdict, result.proven_time, result.to_json()["time_stamp"]) == (Verdict.AUTHENTIC, None, None)


def test_a_bad_stamp_makes_a_bundle_no_longer_authentic(stamped, pinned, published, other_release, authority) -> None:
    path, good = stamped / STAMP_NAME, (stamped / STAMP_NAME).read_bytes()
    other = (other_release.bundle.folder / RELEASE_ENVELOPE).read_bytes()
    cases = [
        (b"", pinned),
        (good[:-1] + bytes([good[-1] ^ 1]), pinned),
        (stamp(other, authority, roots=pinned.timestamp_roots), pinned),
        (good, published.trust_root),
    ]
    for data, trust_root in cases:
        path.write_bytes(data)
        result = verify_path(stamped, trust_root=trust_root)
        assert (result.verdict, result.proven_time) == (Verdict.ALTERED, None)
        assert [problem.where for problem in result.problems] == [STAMP_NAME]


def test_the_time_of_a_strangers_envelope_is_not_told(stamped: Path, pinned: TrustRoot, make_signer) -> None:
    stranger = replace(pinned, identities=(make_signer(99).public(created_at="2026-11-21T09:30:00Z"),))
    result = verify_path(stamped, trust_root=stranger)
    assert (result.verdict, result.proven_time) == (Verdict.UNDETERMINED, None)


def test_an_envelope_swapped_under_its_stamp_is_found(stamped: Path, pinned: TrustRoot, other_release) -> None:
    shutil.copy(other_release.bundle.folder / RELEASE_ENVELOPE, stamped / RELEASE_ENVELOPE)
    result = verify_path(stamped, trust_root=pinned)
    assert result.verdict is Verdict.ALTERED
    assert STAMP_NAME in {problem.where for problem in result.problems}
