"""What signing each file on its own costs: milliseconds of processor time and bytes an image, CPU seconds a release.

    python -m tests.benchmarks.seals [N] [RELEASE]

N images of each size (default 200) are written as PNG and DICOM, then sealed as a published bundle's files are. Then a
release of RELEASE such images at 128 px (default 1,000) is copied into a bundle, without seals and with them: seconds
of processor time, of all processes together.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from veilmark.crypto.certificates import Purpose, site_credential
from veilmark.crypto.file_keys import FileKeyProvider
from veilmark.provenance.dicom_files import DicomWriter
from veilmark.provenance.digests import ImageMetadata
from veilmark.provenance.embedded.base import FileSealer
from veilmark.provenance.embedded.c2pa_manifests import DICOM, PNG, C2paSealer
from veilmark.provenance.embedded.dicom_signature import DicomSealer
from veilmark.provenance.endorsed import copy_endorsed
from veilmark.provenance.files import png_bytes
from veilmark.provenance.prepared import prepare_images

SIZES = (64, 128, 256, 512)


def sealers(folder: Path) -> dict[str, FileSealer]:
    keys = FileKeyProvider(folder / "keys", "a passphrase")
    c2pa, dicom = (site_credential(keys, purpose, organisation="Test") for purpose in (Purpose.C2PA, Purpose.DICOM))
    return {
        "C2PA in PNG": C2paSealer(credential=c2pa, generator="g", version="1", form=PNG),
        "DICOM signature": DicomSealer(credential=dicom, signed_at=datetime.now(UTC)),
        "C2PA beside DICOM": C2paSealer(credential=c2pa, generator="g", version="1", form=DICOM),
    }


def drawn(size: int, index: int) -> NDArray[np.uint8]:
    """Smooth noise that compresses about as radiographs do."""
    rng = np.random.default_rng(index)
    coarse = rng.integers(0, 200, (size // 8, size // 8)).repeat(8, axis=0).repeat(8, axis=1)
    return (coarse + rng.integers(0, 16, (size, size))).astype(np.uint8)


def row(index: int) -> ImageMetadata:
    return ImageMetadata(release_id="bench", image_id=f"i{index}", label="none")


def written(folder: Path, size: int, index: int) -> dict[str, bytes]:
    """One image in both formats, by suffix."""
    pixels = drawn(size, index)
    DicomWriter(generator="g", version="1")(folder / "a.dcm", pixels, row(index), mark_id="", index=index)
    return {".png": png_bytes(pixels, row(index), where="a.png"), ".dcm": (folder / "a.dcm").read_bytes()}


def print_each(folder: Path, made: dict[str, FileSealer], n: int) -> None:
    print(f"{'pixels':>6}  {'seal':<18}{'ms an image':>12}{'bytes added':>13}")  # noqa: T201 - a command
    for size in SIZES:
        images = [written(folder, size, index) for index in range(n)]
        for title, sealer in made.items():
            files = [files[sealer.suffix] for files in images]
            sealer.seal(files[0], where="first")  # loads the keys
            begin = time.process_time()
            sealed = [sealer.seal(data, where="a") for data in files]
            spent = (time.process_time() - begin) / n
            plain = 0 if sealer.sidecar_suffix else sum(map(len, files))
            added = (sum(map(len, sealed)) - plain) / n
            print(f"{size:>6}  {title:<18}{spent * 1e3:>12.1f}{added:>13.0f}")  # noqa: T201


def cpu_seconds() -> float:
    """Of this process and of those that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def print_release(folder: Path, made: dict[str, FileSealer], n: int) -> None:
    prepared = prepare_images(
        folder / "prepared",
        images=np.stack([drawn(128, index) for index in range(n)]),
        metadata=[row(index) for index in range(n)],
        mark_release=1,
        created_at="2026-11-21T09:30:00Z",
        writers=[DicomWriter(generator="g", version="1")],
        n_processes=2,
    )
    chosen = {"none": (), "C2PA in PNG": (made["C2PA in PNG"],), "all three": tuple(made.values())}
    for n_processes in (1, 2):
        for title, sealers in chosen.items():
            out = folder / f"{n_processes}-{title}"
            out.mkdir()
            begin = cpu_seconds()
            copy_endorsed(prepared, out, endorsed_root=prepared.merkle_root, sealers=sealers, n_processes=n_processes)
            spent = cpu_seconds() - begin
            print(f"{n:,} images copied, seals: {title}, {n_processes} processes: {spent:.0f} CPU s")  # noqa: T201


def main() -> None:
    n, n_release = (int(given) for given in (sys.argv[1:] + ["200", "1000"][len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as name:
        made = sealers(Path(name))
        print_each(Path(name), made, n)
        print_release(Path(name), made, n_release)


if __name__ == "__main__":
    main()
