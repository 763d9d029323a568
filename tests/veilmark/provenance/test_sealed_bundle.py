"""Sealed bundles: bytes change, content does not, and the manifest lists the files as published."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from veilmark.provenance.bundle import write_bundle
from veilmark.provenance.digests import digest_of
from veilmark.provenance.documents import Evidence
from veilmark.provenance.errors import BundleError
from veilmark.provenance.files import png_bytes, read_final
from veilmark.provenance.verdict import Verdict
from veilmark.provenance.verify import verify_path


@dataclass(frozen=True)
class Appender:
    """Stands for any sealer: further bytes behind the image's end."""

    suffix: str = ".png"
    sidecar_suffix: str = ""

    def seal(self, data: bytes, *, where: str) -> bytes:
        return data + b"sealed"


class Beside(Appender):
    def seal(self, data: bytes, *, where: str) -> bytes:
        return digest_of(data).encode()


class Darker(Appender):
    def seal(self, data: bytes, *, where: str) -> bytes:
        final = read_final(data, where=where)
        return png_bytes(np.minimum(final.pixels, 200), final.metadata, where=where)


class Relabelling(Appender):
    def seal(self, data: bytes, *, where: str) -> bytes:
        final = read_final(data, where=where)
        return png_bytes(final.pixels, replace(final.metadata, label="other"), where=where)


@pytest.fixture
def seal(published, make_release, tmp_path: Path):
    def write(*sealers: Appender) -> Path:
        write_bundle(
            tmp_path / "sealed",
            prepared=published.prepared,
            endorsed_root=published.prepared.merkle_root,
            release=make_release(),
            signer=published.signer,
            log=published.log,
            evidence=Evidence(decision={}, report={}, report_html=""),
            sealers=sealers,
        )
        return tmp_path / "sealed"

    return write


def test_a_sealed_bundle_is_authentic_and_its_content_is_what_was_audited(published, seal) -> None:
    bundle = seal(Appender(), Beside(sidecar_suffix=".sig"))
    assert verify_path(bundle, trust_root=published.trust_root).verdict is Verdict.AUTHENTIC
    for image in published.prepared.draft.images:
        (entry,) = image.files
        audited = (published.prepared.folder / entry.path).read_bytes()
        sealed = (bundle / entry.path).read_bytes()
        assert digest_of(audited) == entry.digest
        assert sealed == audited + b"sealed"
        assert (bundle / entry.path).with_suffix(".sig").read_text() == digest_of(sealed)
        found = verify_path(bundle / entry.path, bundle=bundle, trust_root=published.trust_root)
        assert (found.verdict, found.image_id) == (Verdict.AUTHENTIC, image.image_id)


def test_the_audited_bytes_are_no_longer_those_published(published, seal) -> None:
    bundle = seal(Appender())
    entry = published.prepared.draft.images[0].files[0]
    unsealed = published.prepared.folder / entry.path
    assert verify_path(unsealed, bundle=bundle, trust_root=published.trust_root).verdict is Verdict.ALTERED


@pytest.mark.parametrize("change", ["altered", "missing"])
def test_a_changed_sidecar_is_named(published, seal, change: str) -> None:
    bundle = seal(Beside(sidecar_suffix=".sig"))
    sidecar = bundle / "images" / "img-002.sig"
    sidecar.write_bytes(b"") if change == "altered" else sidecar.unlink()
    found = verify_path(bundle, trust_root=published.trust_root)
    assert (found.verdict, [problem.where for problem in found.problems]) == (Verdict.ALTERED, ["images/img-002.sig"])


@pytest.mark.parametrize("sealer", [Darker(), Relabelling()], ids=["pixels", "metadata"])
def test_a_sealer_that_changes_content_is_refused(seal, sealer: Appender, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"images/img-000\.png: its content changed when it was sealed"):
        seal(sealer)
    assert list(tmp_path.iterdir()) == []
