"""The DICOM file beside each PNG: the same pixels and the same canonical metadata, so the same content digest."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from veilmark.dicom.synthetic import SyntheticInstance, write_synthetic
from veilmark.provenance.digests import ImageMetadata
from veilmark.provenance.files import metadata_comment


@dataclass(frozen=True, kw_only=True)
class SyntheticWriter:
    """A provenance.files.ImageWriter."""

    generator: str
    suffix: str = ".dcm"

    def __call__(
        self, path: Path, pixels: NDArray[np.generic], metadata: ImageMetadata, *, mark_id: str, index: int
    ) -> None:
        instance = SyntheticInstance(
            release=metadata.release_id,
            index=index,
            generator=self.generator,
            version=version("veilmark"),
            mark=mark_id,
            sex=metadata.sex,
            description=metadata.label[:64],
            comment=metadata_comment(metadata),
        )
        write_synthetic(path, pixels, instance)  # type: ignore[arg-type]  # prepare_images gives uint8 or uint16
