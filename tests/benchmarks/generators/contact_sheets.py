"""Contact sheets: what each family draws of phantoms at several epsilons, one picture a family.

    python tests/benchmarks/generators/contact_sheets.py --families vae gan --epsilon 1 8 inf
    python -m generators base --out BASE
    python tests/benchmarks/generators/contact_sheets.py --families lora --set base=BASE

Drawn sets are kept in --work, so a sheet that was interrupted goes on where it stopped; give other settings a folder
of their own. The first row are phantoms,
which image no person; nothing private can be on a sheet.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from generators.cli_options import key_and_value
from generators.conditions import even_counts
from generators.data import ImageSet
from generators.phantoms import draw_phantoms
from generators.privacy import PrivacyBudget
from generators.registry import GENERATORS
from generators.runner import sample_generator, train_generator

N_COLUMNS, MARGIN, TITLE = 12, 2, 13
LABELLED = 112


def main() -> None:
    """Draw what is missing, then write the sheets."""
    options = _options()
    cohort = draw_phantoms(n_subjects=options.subjects, size=options.size, seed=options.seed).images
    options.out.mkdir(parents=True, exist_ok=True)
    for family in options.families:
        rows = [("phantoms", _spread(cohort))]
        for epsilon in options.epsilon:
            drawn = _draw(family, epsilon, cohort, options)
            rows.append((f"epsilon {epsilon:g}" if math.isfinite(epsilon) else "no privacy", _spread(drawn)))
        path = options.out / f"{family}.png"
        sheet(rows).save(path, optimize=True)
        sys.stdout.write(f"{path}\n")


def sheet(rows: list[tuple[str, NDArray[np.uint8]]]) -> Image.Image:
    """Rows of grey images [n, S, S], each after its title, as one picture."""
    side = rows[0][1].shape[1]
    width, height = LABELLED + N_COLUMNS * (side + MARGIN), len(rows) * (side + MARGIN)
    picture = Image.new("L", (width, height), 255)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(TITLE)
    for number, (title, images) in enumerate(rows):
        top = number * (side + MARGIN)
        pen.text((4, top + side // 2 - TITLE // 2), title, fill=0, font=font)
        for column, image in enumerate(images):
            picture.paste(Image.fromarray(image), (LABELLED + column * (side + MARGIN), top))
    return picture


def _draw(family: str, epsilon: float, cohort: ImageSet, options: argparse.Namespace) -> ImageSet:
    kept = options.work / f"{family}-{epsilon:g}-{options.subjects}-{options.size}.npz"
    if kept.exists():
        return ImageSet.load(kept)
    options.work.mkdir(parents=True, exist_ok=True)
    n = options.subjects
    budget = PrivacyBudget.without_privacy(public_n_subjects=n)
    if math.isfinite(epsilon):
        budget = PrivacyBudget(target_epsilon=epsilon, public_n_subjects=n)
    folder = options.work / f"{kept.stem}-generator"
    started = time.monotonic()
    card = train_generator(
        name=family,
        images=cohort,
        budget=budget,
        config=dict(key_and_value(pair) for pair in options.settings),
        out=folder,
        resume=folder.exists(),
    )
    drawn = sample_generator(folder, even_counts(card.labels, 4 * N_COLUMNS), seed=1)
    sys.stderr.write(f"{kept.stem}: {time.monotonic() - started:.0f} s\n")
    drawn.save(kept)
    return drawn


def _spread(images: ImageSet) -> NDArray[np.uint8]:
    """N_COLUMNS of them, in equal parts over the labels."""
    assert images.label is not None
    words = np.unique(images.label)
    chosen = [np.flatnonzero(images.label == word)[: N_COLUMNS // len(words)] for word in words]
    return images.images[np.concatenate(chosen)].astype(np.uint8)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", default=[name for name in GENERATORS if name != "lora"])
    parser.add_argument("--epsilon", nargs="+", type=float, default=[1.0, 8.0, math.inf])
    parser.add_argument("--set", action="append", default=[], dest="settings", help="key=value of every family named")
    parser.add_argument("--subjects", type=int, default=1000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("var/contact-sheets"))
    parser.add_argument("--out", type=Path, default=Path("docs/images/generators"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
