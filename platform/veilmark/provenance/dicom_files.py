"""Each image as DICOM beside its PNG: the writer of `veilmark.dicom`, told what provenance knows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from veilmark.dicom.base import DicomError, Pixels
from veilmark.dicom.synthetic import SyntheticInstance, write_synthetic
from veilmark.provenance.digests import ImageMetadata
from veilmark.provenance.embedded.visible_label import VisibleLabel, overlay_of
from veilmark.provenance.errors import FileError
from veilmark.provenance.files import metadata_comment


@dataclass(frozen=True, kw_only=True)
class DicomWriter:
    """An `ImageWriter`. `generator` and `version` name the equipment; `made_on` is YYYYMMDD or empty.

    `modality` is the cohort's declared one (CR, DX, CT, MR, US, XC); `bits` are stored, 0 for 8 or 12 by type.
    """

    generator: str
    version: str
    made_on: str = ""
    modality: str = "OT"
    bits: int = 0
    suffix: ClassVar[str] = ".dcm"

    def __call__(
        self,
        path: Path,
        pixels: NDArray[np.generic],
        metadata: ImageMetadata,
        *,
        mark_id: str,
        index: int,
        label: VisibleLabel = VisibleLabel.NONE,
    ) -> None:
        """Raises FileError for what DICOM cannot hold (such as 16 significant bits where 12 are declared)."""
        try:
            instance = SyntheticInstance(
                release=metadata.release_id,
                index=index,
                generator=self.generator,
                version=self.version,
                mark=mark_id,
                sex=metadata.sex if metadata.sex in {"M", "F", "O"} else "",
                description=metadata.label[:64],  # a short text (PS3.5 6.2, LO)
                made_on=self.made_on,
                comment=metadata_comment(metadata),
                modality=self.modality,
                bits=self.bits,
                burned_in=label.changes_pixels,
            )
            overlay = overlay_of(pixels) if label is VisibleLabel.OVERLAY else None
            write_synthetic(path, cast("Pixels", pixels), instance, overlay=overlay)  # it refuses other types itself
        except DicomError as error:
            raise FileError(str(error), where=metadata.image_id) from error
