"""Reading the DICOM signature of one file: is it this site's, and does the file still say what was signed?

Profile, digest, list of attributes and purpose of the certificate are fixed here; what a file declares of them is
compared and never followed. The signed index of digests tells which attribute was changed. What lies outside the data
set (the preamble and group 0002, which names the transfer syntax) is not signed (PS3.3 C.12.1.1.3.1.1).
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pydicom
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian

from veilmark.crypto.base import CryptoError
from veilmark.crypto.certificates import Purpose
from veilmark.crypto.chains import load_certificate, organisation_of, require_leaf
from veilmark.provenance.embedded.dicom_attributes import (
    INDEX,
    INDEX_SIGNATURE,
    MAC_PARAMETERS,
    SIGNATURES,
    attribute_digests,
    elements_of,
    encoded,
    index_message,
    parse_index,
)
from veilmark.provenance.embedded.dicom_signature import CERTIFICATE_TYPE, MAC_ALGORITHM, TIME_FORMAT
from veilmark.provenance.embedded.seal import Seal, SealState
from veilmark.provenance.errors import FileError
from veilmark.provenance.files import refusing

KIND = "DICOM signature"
_CERTIFICATE, _SIGNATURE = 0x04000115, 0x04000120
_PIXELS, _INSTANCE = 0x7FE00010, 0x00080018
_HEADER = 132 + 12  # preamble, prefix, and the element that says how long group 0002 is
_NOT_TOLD = "does not fit the file, and no signed index tells what was changed"


@dataclass(frozen=True, kw_only=True, eq=False)
class _Signed:
    """A data set with its one signature, and the key that must have made it."""

    dataset: Dataset
    signature: Dataset
    leaf: x509.Certificate
    key: rsa.RSAPublicKey


def read_dicom_seal(
    data: bytes, roots: Collection[x509.Certificate], *, where: str, now: datetime | None = None
) -> Seal | None:
    """What the signature of a DICOM file says under `roots`, at the time `now`; None for a file without one."""
    try:
        with refusing(where):
            dataset = pydicom.dcmread(io.BytesIO(data))
            if SIGNATURES not in dataset:
                return None
            if not roots:
                return Seal(kind=KIND, state=SealState.UNREAD, what="was not read: no certificate root is pinned")
            _require_plain(data, dataset, where)
            return _judge(_trusted(dataset, roots, now or datetime.now(UTC), where), where)
    except FileError as error:
        what = str(error).removeprefix(f"{where}: ")
        return Seal(kind=KIND, state=SealState.REFUSED, what=f"is not believed: {what}")


def _require_plain(data: bytes, dataset: Dataset, where: str) -> None:
    """One signature, and one meaning to every reader: written again, each byte of the data set is the same.

    A lenient parser would pass over an attribute that comes twice, or over lengths and tags that do not fit.
    """
    if dataset.file_meta.TransferSyntaxUID != ExplicitVRLittleEndian:
        raise FileError("is not in explicit VR little endian", where=where, remedy="convert it back first")
    if len(dataset[SIGNATURES].value) != 1 or MAC_PARAMETERS not in dataset or len(dataset[MAC_PARAMETERS].value) != 1:
        raise FileError("has not one signature with one set of parameters", where=where)
    encoded(elements_of(dataset))  # parses the sequences, which would be copied as they are otherwise
    again = DicomBytesIO()
    again.is_little_endian, again.is_implicit_VR = True, False
    write_dataset(again, dataset)
    if data[_HEADER + int(dataset.file_meta.FileMetaInformationGroupLength) :] != again.getvalue():
        raise FileError("repeats attributes, or is not encoded as DICOM is", where=where)


def _trusted(dataset: Dataset, roots: Collection[x509.Certificate], now: datetime, where: str) -> _Signed:
    signature = dataset[SIGNATURES].value[0]
    try:
        leaf = load_certificate(signature[_CERTIFICATE].value, where=where)
        require_leaf(leaf, roots, purpose=Purpose.DICOM, at=now)
    except CryptoError as error:
        raise FileError(str(error), where=where) from error
    key = leaf.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise FileError("is signed by no RSA key", where=where)
    return _Signed(dataset=dataset, signature=signature, leaf=leaf, key=key)


def _judge(signed: _Signed, where: str) -> Seal:
    signer = organisation_of(signed.leaf)
    terms = _changed_terms(signed)
    elements = elements_of(signed.dataset, without={SIGNATURES, MAC_PARAMETERS})
    of_signature = elements_of(signed.signature, without={_CERTIFICATE, _SIGNATURE})
    fits = _is_signed(signed.key, signed.signature[_SIGNATURE].value, encoded([*elements, *of_signature]))
    if fits and not terms:
        signed_at = datetime.strptime(signed.signature.DigitalSignatureDateTime, TIME_FORMAT).astimezone(UTC)
        if not signed.leaf.not_valid_before_utc <= signed_at <= signed.leaf.not_valid_after_utc:
            raise FileError(f"says it was signed on {signed_at:%Y-%m-%d}, outside its certificate's time", where=where)
        time = signed_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        return Seal(kind=KIND, state=SealState.VERIFIED, signer=signer, signed_at=time)
    digests = _signed_index(signed)
    if digests is None:
        return Seal(kind=KIND, state=SealState.REFUSED, what=_NOT_TOLD)
    changes = _changes(digests, attribute_digests(signed.dataset))
    changed = {_name(tag): how for tag, how in changes.items()} | terms
    if changes.keys() >= {_PIXELS, _INSTANCE}:
        return Seal(kind=KIND, state=SealState.MOVED, what="signs another image", signer=signer, changed=changed)
    changed = changed or {"DigitalSignaturesSequence": "changed"}
    return Seal(kind=KIND, state=SealState.ALTERED, what="signs other content", signer=signer, changed=changed)


def _changed_terms(signed: _Signed) -> dict[str, str]:
    """What of the signature's declarations is not as the sealer writes it. They are not signed themselves."""
    parameters = signed.dataset[MAC_PARAMETERS].value[0]
    tags = [int(element.tag) for element in elements_of(signed.dataset, without={SIGNATURES, MAC_PARAMETERS})]
    listed = parameters.get("DataElementsSigned") or []
    is_as_written = {
        "MACAlgorithm": parameters.get("MACAlgorithm") == MAC_ALGORITHM,
        "MACCalculationTransferSyntaxUID": parameters.get("MACCalculationTransferSyntaxUID") == ExplicitVRLittleEndian,
        "DataElementsSigned": [int(tag) for tag in listed] == tags,
        "CertificateType": signed.signature.get("CertificateType") == CERTIFICATE_TYPE,
        "MACIDNumber": parameters.get("MACIDNumber") == signed.signature.get("MACIDNumber") == 0,
    }
    return {name: "changed" for name, holds in is_as_written.items() if not holds}


def _signed_index(signed: _Signed) -> Mapping[int, bytes] | None:
    if not {INDEX, INDEX_SIGNATURE} <= set(signed.dataset.keys()):
        return None
    index, signature = bytes(signed.dataset[INDEX].value), bytes(signed.dataset[INDEX_SIGNATURE].value)
    return parse_index(index) if _is_signed(signed.key, signature, index_message(index)) else None


def _changes(then: Mapping[int, bytes], now: Mapping[int, bytes]) -> dict[int, str]:
    """Tag to what happened to the attribute."""
    changes = dict.fromkeys(now.keys() - then.keys(), "added")
    changes |= dict.fromkeys(then.keys() - now.keys(), "removed")
    changes |= {tag: "changed" for tag in then.keys() & now.keys() if then[tag] != now[tag]}
    return dict(sorted(changes.items()))


def _name(tag: int) -> str:
    return keyword_for_tag(tag) or str(Tag(tag))


def _is_signed(key: rsa.RSAPublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature[: key.key_size // 8], message, padding.PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True
