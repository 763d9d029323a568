"""Which information object (PS3.3, annex A) a synthetic image is written as, by the modality its cohort declares.

Values are honest: an attribute that needs an acquisition is empty where the standard permits it, and nominal where it
does not (a spacing of 1 mm, the standard orientation); `DerivationDescription` then says so. CT values carry no
Hounsfield units (rescale type US, unspecified), and an MR image is of scanning sequence RM, research mode.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
    VLPhotographicImageStorage,
)

from veilmark.dicom.base import Pixels

Elements = Mapping[str, object]
_NOMINAL = "Spacing, position and orientation are nominal."
_NONE: Elements = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class ImageKind:
    """One row of the table.

    sop_class: its storage class. image_type: value 3 of Image Type (0008,0008), or empty. bits: what Bits Stored may
    be. words: Bits Allocated is 16 whatever is stored. colour: it can hold RGB. note: what had to be made up, in words
    that the image carries. elements: keyword to value, all that it has beyond what every synthetic instance carries.
    """

    sop_class: UID
    image_type: str = ""
    bits: tuple[int, ...] = (8, 12, 16)
    words: bool = False
    colour: bool = False
    note: str = ""
    elements: Elements = field(default_factory=lambda: _NONE)

    def holds(self, *, bits: int, colour: bool) -> bool:
        """Whether its rules permit images of that depth and kind."""
        return bits in self.bits and (not colour or (self.colour and bits == 8))


_UNKNOWN_SIDE: Elements = {"Laterality": "", "PatientOrientation": ""}
# A plane that was never in a scanner: 1 mm pixels, axial, a frame of reference of its own (C.7.4.1, C.7.6.2).
_PLANE: Elements = {
    "Laterality": "",
    "PatientPosition": "",
    "PositionReferenceIndicator": "",
    "PixelSpacing": [1, 1],
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    "ImagePositionPatient": [0, 0, 0],
    "SliceThickness": None,
}
SECONDARY_CAPTURE = ImageKind(
    sop_class=SecondaryCaptureImageStorage,
    colour=True,
    elements={"ConversionType": "SYN", **_UNKNOWN_SIDE},
)
KINDS: Mapping[str, ImageKind] = {
    "CR": ImageKind(
        sop_class=ComputedRadiographyImageStorage,
        elements={"BodyPartExamined": "", "ViewPosition": "", **_UNKNOWN_SIDE},
    ),
    "DX": ImageKind(
        sop_class=DigitalXRayImageStorageForPresentation,
        note=_NOMINAL,
        elements={
            "PresentationIntentType": "FOR PRESENTATION",
            "PresentationLUTShape": "IDENTITY",
            "PixelIntensityRelationship": "LOG",
            "PixelIntensityRelationshipSign": -1,
            "RescaleIntercept": 0,
            "RescaleSlope": 1,
            "RescaleType": "US",
            "LossyImageCompression": "00",
            "ImageLaterality": "U",
            "AnatomicRegionSequence": [],
            "AcquisitionContextSequence": [],
            "DetectorType": "",
            "ImagerPixelSpacing": [1, 1],
            "PatientOrientation": ["L", "F"],
        },
    ),
    "CT": ImageKind(
        sop_class=CTImageStorage,
        image_type="AXIAL",
        bits=(12, 16),
        words=True,
        note=f"{_NOMINAL} Values are no Hounsfield units.",
        elements={
            **_PLANE,
            "RescaleIntercept": 0,
            "RescaleSlope": 1,
            "RescaleType": "US",
            "KVP": None,
            "AcquisitionNumber": None,
        },
    ),
    "MR": ImageKind(
        sop_class=MRImageStorage,
        image_type="OTHER",
        words=True,
        note=_NOMINAL,
        elements={
            **_PLANE,
            "ScanningSequence": "RM",
            "SequenceVariant": "NONE",
            "ScanOptions": "",
            "MRAcquisitionType": "",
            "RepetitionTime": None,
            "EchoTime": None,
            "EchoTrainLength": None,
        },
    ),
    "US": ImageKind(
        sop_class=UltrasoundImageStorage,
        bits=(8,),
        colour=True,
        elements={**_UNKNOWN_SIDE, "LossyImageCompression": "00"},
    ),
    "XC": ImageKind(
        sop_class=VLPhotographicImageStorage,
        bits=(8,),
        colour=True,
        elements={**_UNKNOWN_SIDE, "LossyImageCompression": "00", "AcquisitionContextSequence": []},
    ),
    "OT": SECONDARY_CAPTURE,
}


def kind_of(modality: str, *, bits: int, colour: bool) -> ImageKind:
    """The modality's own kind where that can hold such pixels, else a secondary capture (8-bit CT, colour MR)."""
    kind = KINDS.get(modality, SECONDARY_CAPTURE)
    return kind if kind.holds(bits=bits, colour=colour) else SECONDARY_CAPTURE


def bits_of(pixels: Pixels, declared: int = 0) -> int:
    """Bits stored: what is declared, or 8 for uint8 and 12 for uint16."""
    return declared or (12 if pixels.dtype.itemsize == 2 else 8)
