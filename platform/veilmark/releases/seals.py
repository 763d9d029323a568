"""What signs each released file on its own: C2PA manifests and DICOM signatures under the site's certificates."""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import version

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from veilmark.core.keys import key_provider
from veilmark.crypto.certificates import Purpose, site_credential, site_root_pem
from veilmark.provenance.atomic import write_atomically
from veilmark.provenance.embedded.base import FileSealer
from veilmark.provenance.embedded.c2pa_manifests import DICOM, PNG, C2paSealer
from veilmark.provenance.embedded.dicom_signature import DicomSealer
from veilmark.releases.selectors import certificate_root_path

CREATOR = "Veilmark"


def certificate_root() -> bytes:
    """What receivers trust of these seals, DER. Raises CryptoError."""
    pem = site_root_pem(key_provider(), organisation=CREATOR)
    return load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def site_sealers(*, generator: str, signed_at: datetime) -> tuple[FileSealer, ...]:
    """A manifest in every PNG; a signature in every DICOM file, then a manifest beside it. Raises CryptoError.

    The root that receivers trust is written to `certificate_root_path()`, once: it never changes.
    """
    keys = key_provider()
    c2pa, dicom = (site_credential(keys, purpose, organisation=CREATOR) for purpose in (Purpose.C2PA, Purpose.DICOM))
    if not certificate_root_path().exists():
        write_atomically(certificate_root_path(), c2pa.root_pem)
    manifests = (
        C2paSealer(credential=c2pa, generator=generator, version=version("veilmark"), form=form)
        for form in (PNG, DICOM)
    )
    return (DicomSealer(credential=dicom, signed_at=signed_at), *manifests)
