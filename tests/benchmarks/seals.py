"""What signing each file on its own costs: milliseconds of processor time and bytes an image.

    python -m tests.benchmarks.seals [N]

N images of each size (default 200) are written as PNG and DICOM, then sealed as a published bundle's files are.
"""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from veilmark.crypto.certificates import Purpose, site_credential
from veilmark.crypto.file_keys import FileKeyProvider
from veilmark.provenance.dicom_files import DicomWriter
from veilmark.provenance.digests import ImageMetadata
from veilmark.provenance.embedded.base import FileSealer
from veilmark.provenance.embedded.c2pa_manifests import DICOM, PNG, C2paSealer
from veilmark.provenance.embedded.dicom_signature import DicomSealer
from veilmark.provenance.files import png_bytes

SIZES = (64, 128, 256, 512)


def sealers(folder: Path) -> dict[str, FileSealer]:
    keys = FileKeyProvider(folder / "keys", "a passphrase")
    c2pa, dicom = (site_credential(keys, purpose, organisation="Test") for purpose in (Purpose.C2PA, Purpose.DICOM))
    return {
        "C2PA in PNG": C2paSealer(credential=c2pa, generator="g", version="1", form=PNG),
        "DICOM signature": DicomSealer(credential=dicom, signed_at=datetime.now(UTC)),
        "C2PA beside DICOM": C2paSealer(credential=c2pa, generator="g", version="1", form=DICOM),
    }


def written(folder: Path, size: int, index: int) -> dict[str, bytes]:
    """One image in both formats, by suffix: smooth noise that compresses about as radiographs do."""
    rng = np.random.default_rng(index)
    coarse = rng.integers(0, 200, (size // 8, size // 8)).repeat(8, axis=0).repeat(8, axis=1)
    pixels = (coarse + rng.integers(0, 16, (size, size))).astype(np.uint8)
    row = ImageMetadata(release_id="bench", image_id=f"i{index}", label="none")
    DicomWriter(generator="g", version="1")(folder / "a.dcm", pixels, row, mark_id="", index=index)
    return {".png": png_bytes(pixels, row, where="a.png"), ".dcm": (folder / "a.dcm").read_bytes()}


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as name:
        made = sealers(Path(name))
        print(f"{'pixels':>6}  {'seal':<18}{'ms an image':>12}{'bytes added':>13}{'1,000 images, s':>17}")  # noqa: T201 - a command
        for size in SIZES:
            images = [written(Path(name), size, index) for index in range(n)]
            for title, sealer in made.items():
                files = [files[sealer.suffix] for files in images]
                sealer.seal(files[0], where="first")  # loads the keys
                begin = time.process_time()
                sealed = [sealer.seal(data, where="a") for data in files]
                spent = (time.process_time() - begin) / n
                plain = 0 if sealer.sidecar_suffix else sum(map(len, files))
                added = (sum(map(len, sealed)) - plain) / n
                print(f"{size:>6}  {title:<18}{spent * 1e3:>12.1f}{added:>13.0f}{spent * 1e3:>17.1f}")  # noqa: T201


if __name__ == "__main__":
    main()
