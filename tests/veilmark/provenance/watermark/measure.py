"""Measure the watermark on real images and print the table of `provenance/README.md`.

Run: python tests/veilmark/provenance/watermark/measure.py IMAGES.npz [N]
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import typer
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "platform"))

from veilmark.provenance.watermark import MarkId, detect_mark, mark_images

Attack = Callable[[np.ndarray], np.ndarray]
RESAMPLING = Image.Resampling


def coded(kind: str, quality: int) -> Attack:
    def attack(image: np.ndarray) -> np.ndarray:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, kind, quality=quality)
        return np.asarray(Image.open(buffer).convert("L"))

    return attack


def noisy(deviation: float) -> Attack:
    rng = np.random.default_rng(1)
    return lambda image: np.clip(np.rint(image + rng.normal(0, deviation, image.shape)), 0, 255).astype(np.uint8)


def resized(factor: float) -> Attack:
    def attack(image: np.ndarray) -> np.ndarray:
        height, width = image.shape
        small = Image.fromarray(image).resize((int(width * factor), int(height * factor)), RESAMPLING.BICUBIC)
        return np.asarray(small.resize((width, height), RESAMPLING.BICUBIC))

    return attack


def cropped(image: np.ndarray) -> np.ndarray:
    before = image.shape[0] // 20
    after = image.shape[0] // 10 - before
    return image[before:-after, before:-after]


def scaled(gain: float, offset: float = 0) -> Attack:
    return lambda image: np.clip(np.rint(image * gain + offset), 0, 255).astype(np.uint8)


ATTACKS: dict[str, Attack] = {
    "none": lambda image: image,
    "JPEG 90": coded("JPEG", 90),
    "JPEG 75": coded("JPEG", 75),
    "JPEG 50": coded("JPEG", 50),
    "JPEG 30": coded("JPEG", 30),
    "WebP 50": coded("WEBP", 50),
    "noise 2": noisy(2),
    "noise 5": noisy(5),
    "noise 10": noisy(10),
    "resize 0.75 and back": resized(0.75),
    "resize 0.5 and back": resized(0.5),
    "crop 10 %": cropped,
    "rotate 2 degrees": lambda image: np.asarray(Image.fromarray(image).rotate(2, RESAMPLING.BICUBIC)),
    "brightness +10 %": scaled(1.1),
    "brightness -10 %": scaled(0.9),
    "window with clipping": scaled(1.25, -31),
    "flip": lambda image: image[:, ::-1],
}


def main(path: str, n: str = "60") -> None:
    with np.load(path) as arrays:
        everything = arrays["images"]
    for size in (64, 128, 256):
        picked = everything[:: max(1, len(everything) // int(n))][: int(n)]
        pictures = (Image.fromarray(image).resize((size, size), RESAMPLING.BICUBIC) for image in picked)
        measure(np.stack([np.asarray(picture) for picture in pictures]), size)


def measure(images: np.ndarray, size: int) -> None:
    ids = [MarkId(release=1, random=i) for i in range(len(images))]
    mark_images(images[:1], ids[:1])  # expand the key once, outside the clock
    start = time.process_time()
    marked = mark_images(images, ids)
    per_second = len(images) / (time.process_time() - start)
    error = ((marked.images.astype(float) - images) ** 2).mean(axis=(1, 2))
    psnr = 10 * np.log10(255**2 / error)
    typer.echo(
        f"\n{size} px, {len(images)} images: "
        f"marked {marked.is_marked.mean():.0%} at {per_second:.0f} images a CPU second, "
        f"PSNR mean {psnr.mean():.1f} dB, lowest {psnr.min():.1f} dB"
    )
    for name, attack in ATTACKS.items():
        worn = [attack(image) for image in marked.images]
        start = time.process_time()
        blind = np.mean([detect_mark(image).id == mark for image, mark in zip(worn, ids, strict=True)])
        took = (time.process_time() - start) / len(worn)
        found = [detect_mark(image, known_ids=ids).id for image in worn] if blind < 1 else ids
        assisted = np.mean([got == mark for got, mark in zip(found, ids, strict=True)])
        wrong = sum(got not in {mark, None} for got, mark in zip(found, ids, strict=True))
        typer.echo(
            f"| {name} | {blind:.0%} | {assisted:.0%} | {1000 * took:.0f} ms |" + (f" {wrong} WRONG" if wrong else "")
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
