"""DICOM digital signatures of the Creator RSA profile (PS3.15 C.2): RSA over SHA-256, the certificate embedded.

Every attribute of the instance is signed, which includes all that the profile asks for, so that no label can be taken
off unnoticed; before that the index of their digests is added, by which `dicom_seal` names what was changed. The time
of signing is given, and the signature's UID derived from it: equal input gives equal bytes.
"""

from __future__ import annotations

import io
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

import pydicom
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from veilmark.crypto.certificates import Credential
from veilmark.provenance.embedded.dicom_attributes import (
    INDEX,
    INDEX_CREATOR,
    INDEX_NAME,
    INDEX_SIGNATURE,
    Element,
    attribute_digests,
    elements_of,
    encoded,
    index_bytes,
    index_message,
)
from veilmark.provenance.errors import FileError

_UIDS = uuid.UUID("0d6b1f6a-3a0e-5f0c-9a43-5c0a7a3f2b11")  # the name space of signatures' UIDs, never to change
MAC_ALGORITHM = "SHA256"
CERTIFICATE_TYPE = "X509_1993_SIG"
TIME_FORMAT = "%Y%m%d%H%M%S.%f%z"
_UNSIGNED = {0x00080001, 0x4FFE0001, 0xFFFAFFFA, 0xFFFCFFFC}  # lengths, padding and the signatures themselves


@dataclass(frozen=True, kw_only=True)
class DicomSealer:
    """A `FileSealer` for uncompressed DICOM files. `signed_at` has a time zone. FileError where no RSA key is given."""

    credential: Credential
    signed_at: datetime
    suffix: ClassVar[str] = ".dcm"
    sidecar_suffix: ClassVar[str] = ""

    def __post_init__(self) -> None:
        _rsa_key(self.credential)

    def seal(self, data: bytes, *, where: str) -> bytes:
        """The file with one signature. Raises FileError for what is no unsigned DICOM file of our writing."""
        try:
            dataset = pydicom.dcmread(io.BytesIO(data))
            if dataset.file_meta.TransferSyntaxUID != ExplicitVRLittleEndian or "DigitalSignaturesSequence" in dataset:
                raise FileError("is compressed or carries a signature", where=where, remedy="sign the file as prepared")
            self._sign(dataset)
            sealed = io.BytesIO()
            dataset.save_as(sealed, enforce_file_format=True)
        except (AttributeError, OSError, TypeError, ValueError, pydicom.errors.InvalidDicomError) as error:
            raise FileError(f"cannot be signed ({' '.join(str(error).split())[:120]})", where=where) from error
        return sealed.getvalue()

    def _sign(self, dataset: Dataset) -> None:
        index = index_bytes(attribute_digests(dataset))
        dataset.add_new(INDEX_CREATOR, "LO", INDEX_NAME)
        dataset.add_new(INDEX, "OB", index)
        dataset.add_new(INDEX_SIGNATURE, "OB", _even(self._signature(index_message(index))))
        signed = elements_of(dataset, without=_UNSIGNED)
        signature = self._signature_item(dataset)
        message = encoded([*signed, *elements_of(signature)])
        signature.CertificateOfSigner = _even(self.credential.certificate.public_bytes(Encoding.DER))
        signature.Signature = _even(self._signature(message))
        dataset.MACParametersSequence = [_mac_parameters(signed)]
        dataset.DigitalSignaturesSequence = [signature]

    def _signature(self, message: bytes) -> bytes:
        return _rsa_key(self.credential).sign(message, padding.PKCS1v15(), SHA256())

    def _signature_item(self, dataset: Dataset) -> Dataset:
        """What is signed of the signature itself: its number, name, time and kind of certificate."""
        time = self.signed_at.astimezone(UTC).strftime(TIME_FORMAT)
        item = Dataset()
        item.MACIDNumber = 0
        item.DigitalSignatureUID = f"2.25.{uuid.uuid5(_UIDS, f'{dataset.SOPInstanceUID}/{time}').int}"
        item.DigitalSignatureDateTime = time
        item.CertificateType = CERTIFICATE_TYPE
        return item


def _mac_parameters(signed: list[Element]) -> Dataset:
    item = Dataset()
    item.MACIDNumber = 0
    item.MACCalculationTransferSyntaxUID = ExplicitVRLittleEndian
    item.MACAlgorithm = MAC_ALGORITHM
    item.DataElementsSigned = [int(element.tag) for element in signed]
    return item


def _rsa_key(credential: Credential) -> rsa.RSAPrivateKey:
    if not isinstance(credential.key, rsa.RSAPrivateKey):
        raise FileError("is no RSA key", where="credential", remedy="the Creator RSA profile knows no other")
    return credential.key


def _even(content: bytes) -> bytes:
    return content + b"\0" * (len(content) % 2)
