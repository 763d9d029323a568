"""How often a leaked image names its recipient, both of two who collude, and nobody else; PSNR and cost.

    python -m tests.benchmarks.tracing                                   # 64 and 128 px, 100 chest X-rays each
    python -m tests.benchmarks.tracing --sizes 256 --images 40 --json

Images: the second half of `cxr_nih_1000`, less those that parameters were chosen on. 200 recipients are tried. An image
counts as named only where its public mark was found first (with the release's ids known), as in an inquiry.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image

from audits.bench.datasets import shared_folder
from veilmark.provenance.tracing import Leak, trace_images
from veilmark.provenance.tracing.layer import sign_pattern
from veilmark.provenance.tracing.recipients import evidence_of, threshold_for
from veilmark.provenance.watermark import MarkId, detect_mark, mark_images, version_for

Images = NDArray[np.uint8]
Attack = Callable[[Images], Images]
Collusion = Callable[[Images, Images], Images]
SECRET = b"a secret of this benchmark alone"
RECIPIENTS = [f"grant-{i:03d}" for i in range(200)]
TOGETHER = 10  # leaked images that are combined
CHOSEN_ON = {row for step in (25, 41, 62, 83) for row in range(0, 1000, step)}  # where parameters were looked at
BICUBIC = Image.Resampling.BICUBIC


def jpeg(quality: int) -> Attack:
    def attack(image: Images) -> Images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=quality)
        return np.asarray(Image.open(buffer))

    return attack


def noisy(image: Images) -> Images:
    drawn = np.random.default_rng(int(image.sum())).normal(0, 5, image.shape)
    return np.clip(np.rint(image + drawn), 0, 255).astype(np.uint8)


def halved(image: Images) -> Images:
    height, width = image.shape
    small = Image.fromarray(image).resize((width // 2, height // 2), BICUBIC)
    return np.asarray(small.resize((width, height), BICUBIC))


def cropped(image: Images) -> Images:
    before = image.shape[0] // 20
    after = image.shape[0] // 10 - before
    return np.ascontiguousarray(image[before:-after, before:-after])


def rotated(image: Images) -> Images:
    return np.asarray(Image.fromarray(image).rotate(2, BICUBIC))


ATTACKS: dict[str, Attack] = {
    "none": lambda image: image,
    "JPEG 75": jpeg(75),
    "JPEG 50": jpeg(50),
    "JPEG 30": jpeg(30),
    "noise 5": noisy,
    "resize 0.5 and back": halved,
    "crop 10 %": cropped,
    "flip": lambda image: np.ascontiguousarray(image[:, ::-1]),
    "window with clipping": lambda image: np.clip(np.rint(image * 1.25 - 31), 0, 255).astype(np.uint8),
    "rotate 2 degrees": rotated,
}


def averaged(one: Images, other: Images) -> Images:
    return np.rint((one.astype(np.float64) + other) / 2).astype(np.uint8)


def mixed(one: Images, other: Images) -> Images:
    blocks = np.random.default_rng(int(one.sum())).random((one.shape[0] // 8, one.shape[1] // 8)) < 0.5
    mixture: Images = np.where(np.kron(blocks, np.ones((8, 8), np.bool_)), one, other)
    return mixture


COLLUSIONS: dict[str, Collusion] = {"average": averaged, "mix of blocks": mixed, "maximum": np.maximum}


@dataclass(frozen=True, kw_only=True)
class Row:
    """Shares of leaks; `innocent_named` counts accusations, `largest_innocent` is the largest z of an innocent one."""

    size: int
    change: str
    identified: float
    named: dict[str, float]
    innocent_named: int
    largest_innocent: float
    seconds: float


@dataclass
class Scores:
    """z of all recipients, one row a leak: [leaks, recipients]; zeros where the public mark was not found."""

    rows: list[NDArray[np.float64]] = field(default_factory=list)
    identified: list[bool] = field(default_factory=list)
    seconds: float = 0.0


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=shared_folder() / "cxr_nih_1000" / "images.npz")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    with np.load(given.data) as arrays:
        everything: Images = arrays["images"]
    for size in given.sizes:
        images = held_out(everything, size, given.images)
        facts, rows = measure(images)
        if given.json:
            typer.echo(json.dumps({"facts": facts, "rows": [vars(row) for row in rows]}))
        else:
            show(size, facts, rows)


def held_out(everything: Images, size: int, n: int) -> Images:
    """`n` images of the second half, evenly taken, [n, size, size]."""
    free = [row for row in range(len(everything) // 2, len(everything)) if row not in CHOSEN_ON]
    picked = [free[int(i)] for i in np.linspace(0, len(free) - 1, n)]
    return np.stack([np.asarray(Image.fromarray(everything[row]).resize((size, size), BICUBIC)) for row in picked])


def measure(images: Images) -> tuple[dict[str, float], list[Row]]:
    version = version_for(*images.shape[1:3])
    ids = [MarkId(release=1, random=i, version=version) for i in range(len(images))]
    released = mark_images(images, ids).images
    names = [str(i) for i in range(len(images))]
    begun = time.process_time()
    one, other = (
        trace_images(released, image_ids=names, recipient=name, secret=SECRET).images for name in RECIPIENTS[:2]
    )
    facts = {
        "layer_ms": 1000 * (time.process_time() - begun) / (2 * len(images)),
        "threshold": threshold_for(len(RECIPIENTS)),
        "psnr_mark": float(psnr(released, images).mean()),
        "psnr_layer": float(psnr(one, released).mean()),
        "psnr_total": float(psnr(one, images).mean()),
        "psnr_total_lowest": float(psnr(one, images).min()),
    }
    rows = []
    for change, attack in ATTACKS.items():
        found = scored([attack(image) for image in one], released, ids)
        rows.append(summed_up(change, len(images[0]), found, n_guilty=1))
    for change, collude in COLLUSIONS.items():
        found = scored([collude(a, b) for a, b in zip(one, other, strict=True)], released, ids)
        rows.append(summed_up(change, len(images[0]), found, n_guilty=2))
    return facts, rows


def psnr(changed: Images, before: Images) -> NDArray[np.float64]:
    error = ((changed.astype(np.float64) - before) ** 2).mean(axis=(1, 2))
    return 10 * np.log10(255**2 / error)


def scored(leaked: Sequence[Images], released: Images, ids: Sequence[MarkId]) -> Scores:
    scores = Scores()
    for i, image in enumerate(leaked):
        scores.identified.append(detect_mark(image, known_ids=ids).id == ids[i])
        begun = time.process_time()
        along = evidence_of(Leak(image_id=str(i), pixels=image, original=released[i])).along
        height, width = released[i].shape
        z = [float((along * sign_pattern(height, width, name, str(i), SECRET)).sum()) for name in RECIPIENTS]
        scores.seconds += time.process_time() - begun
        scores.rows.append(np.array(z) * scores.identified[-1])
    return scores


def summed_up(change: str, size: int, found: Scores, *, n_guilty: int) -> Row:
    threshold = threshold_for(len(RECIPIENTS))
    single = np.stack(found.rows)
    whole = len(single) // TOGETHER * TOGETHER
    n_known = np.array(found.identified[:whole]).reshape(-1, TOGETHER).sum(axis=1)
    together = single[:whole].reshape(-1, TOGETHER, len(RECIPIENTS)).sum(axis=1)
    together = together / np.sqrt(np.maximum(n_known, 1))[:, None]
    named = {}
    for n, z in ((1, single), (TOGETHER, together)):
        guilty = z[:, :n_guilty] > threshold
        named[f"one of them, {n}" if n_guilty > 1 else f"{n}"] = float(guilty.any(axis=1).mean())
        if n_guilty > 1:
            named[f"both, {n}"] = float(guilty.all(axis=1).mean())
    innocent = np.concatenate([single[:, n_guilty:].ravel(), together[:, n_guilty:].ravel()])
    return Row(
        size=size,
        change=change,
        identified=float(np.mean(found.identified)),
        named=named,
        innocent_named=int((innocent > threshold).sum()),
        largest_innocent=float(innocent.max()),
        seconds=found.seconds / len(single),
    )


def show(size: int, facts: dict[str, float], rows: Sequence[Row]) -> None:
    typer.echo(f"\n{size} px: " + ", ".join(f"{name} {value:.2f}" for name, value in facts.items()))
    for row in rows:
        named = ", ".join(f"{leaks}: {share:.0%}" for leaks, share in row.named.items())
        typer.echo(
            f"| {row.change} | mark found {row.identified:.0%} | named with {named} | innocent named "
            f"{row.innocent_named}, largest z {row.largest_innocent:.1f} | {1000 * row.seconds:.0f} ms |"
        )


if __name__ == "__main__":
    main()
