"""The same attacks on invisible-watermark and blind-watermark, in a Python that has them. They are no dependencies.

This file is both ends: `report` starts it as a script under the other Python, over images in a file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[3]
N_BITS = 64


def report(
    python: str, sizes: Sequence[int], sources: Sequence[str], attacks: Sequence[str], n: int, half: str
) -> None:
    from tests.benchmarks.watermark.material import load

    for size in sizes:
        images = [image for source in sources if source != "dicom" for image in load(source, size, half=half, n=n)]
        colour = [image if image.ndim == 3 else np.stack([image] * 3, axis=-1) for image in images]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "images.npz"
            np.savez(path, images=np.stack(colour), is_grey=[image.ndim == 2 for image in images])
            command = [python, __file__, str(path), json.dumps(list(attacks))]
            subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT / "platform")})


def main(path: str, attacks: Sequence[str]) -> None:
    with np.load(path) as arrays:
        images, is_grey = arrays["images"], arrays["is_grey"]
    print(f"\n## {images.shape[1]} px, {len(images)} images")  # noqa: T201 - a command
    for name, (embed, extract) in {"invisible-watermark": _invisible(), "blind-watermark": _blind()}.items():
        _measure(name, images, is_grey, attacks, embed, extract)


def _measure(
    name: str, images: np.ndarray, is_grey: np.ndarray, attacks: Sequence[str], embed: Callable, extract: Callable
) -> None:
    """A grey image is marked as three equal channels and made grey again, as a file of one channel stores it."""
    from veilmark.provenance.watermark.attacks import ATTACKS

    bits = [np.random.default_rng(i).integers(0, 2, N_BITS) for i in range(len(images))]
    marked, errors, refused = [], [], ""
    for image, grey, own in zip(images, is_grey, bits, strict=True):
        try:
            result = np.clip(np.rint(embed(image, own)), 0, 255).astype(np.uint8)
        except Exception as error:
            refused = str(error) or type(error).__name__
            continue
        kept = np.rint(result @ np.array([0.299, 0.587, 0.114])).astype(np.uint8) if grey else result
        marked.append((kept, own))
        errors.append(((kept.astype(float) - (image[..., 0] if grey else image)) ** 2).mean())
    if not marked:
        print(f"{name}: refuses all ({refused[:80]})")  # noqa: T201
        return
    psnr = 10 * np.log10(255**2 / np.maximum(errors, 1e-9))
    print(f"{name}: {len(marked)} marked, PSNR mean {psnr.mean():.1f}, lowest {psnr.min():.1f} dB")  # noqa: T201
    for attack in attacks:
        rng = np.random.default_rng(zlib.crc32(attack.encode()))
        found = [_reads(extract, np.ascontiguousarray(ATTACKS[attack](kept, rng)), own) for kept, own in marked]
        print(f"| {name} | {attack} | {100 * np.mean(found):.0f} |", flush=True)  # noqa: T201


def _reads(extract: Callable, image: np.ndarray, bits: np.ndarray) -> bool:
    colour = image if image.ndim == 3 else np.stack([image] * 3, axis=-1)
    try:
        return bool(np.array_equal(np.asarray(extract(colour)).astype(int), bits))
    except Exception:
        return False


def _invisible() -> tuple[Callable, Callable]:
    from imwatermark import WatermarkDecoder, WatermarkEncoder

    def embed(image: np.ndarray, bits: np.ndarray) -> np.ndarray:
        encoder = WatermarkEncoder()
        encoder.set_watermark("bits", bits.tolist())
        return encoder.encode(np.ascontiguousarray(image[..., ::-1]), "dwtDct")[..., ::-1]

    def extract(image: np.ndarray) -> np.ndarray:
        return WatermarkDecoder("bits", N_BITS).decode(np.ascontiguousarray(image[..., ::-1]), "dwtDct")

    return embed, extract


def _blind() -> tuple[Callable, Callable]:
    import blind_watermark

    blind_watermark.bw_notes.close()

    def embed(image: np.ndarray, bits: np.ndarray) -> np.ndarray:
        mark = blind_watermark.WaterMark(password_img=1, password_wm=1)
        mark.read_img(img=np.ascontiguousarray(image[..., ::-1]))
        mark.read_wm(bits.astype(bool), mode="bit")
        return mark.embed()[..., ::-1]

    def extract(image: np.ndarray) -> np.ndarray:
        mark = blind_watermark.WaterMark(password_img=1, password_wm=1)
        return mark.extract(embed_img=np.ascontiguousarray(image[..., ::-1]), wm_shape=N_BITS, mode="bit") > 0.5

    return embed, extract


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
