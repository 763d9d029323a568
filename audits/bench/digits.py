"""Handwritten digits of scikit-learn, and their simulator: digits rendered in the fonts that Matplotlib ships."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits

from generators.data import ImageSet

SIDE = 8
N_TRAIN, N_HOLDOUT = 1200, 397
LABELS = tuple("0123456789")
FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSerif", "DejaVuSerif-Italic")
LARGE = 64


def read_digits(*, split_seed: int) -> ImageSet:
    """1,797 images of 8 x 8 pixels, 16 levels spread to 255: 1,200 train, 397 holdout, 200 control by the seed."""
    digits = load_digits()
    order = np.random.default_rng(split_seed).permutation(len(digits.target))
    split = np.empty(len(order), dtype="<U7")
    split[order[:N_TRAIN]] = "train"
    split[order[N_TRAIN : N_TRAIN + N_HOLDOUT]] = "holdout"
    split[order[N_TRAIN + N_HOLDOUT :]] = "control"
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
    return ImageSet(images=pixels, label=digits.target.astype(str), split=split)


def render_digits(*, n: int, seed: int) -> ImageSet:
    """n rendered digits of 8 x 8 pixels, labels in turn: font, weight, slant, turn, place and ink vary by the seed."""
    rng = np.random.default_rng(seed)
    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    label = np.array([LABELS[number % 10] for number in range(n)])
    fonts = {name: ImageFont.truetype(str(folder / f"{name}.ttf"), 58) for name in FONTS}
    images = [_draw(word, fonts[FONTS[rng.integers(len(FONTS))]], rng) for word in label]
    return ImageSet(images=np.stack(images), label=label)


def _draw(word: str, font: ImageFont.FreeTypeFont, rng: np.random.Generator) -> NDArray[np.uint8]:
    picture = Image.new("F", (LARGE, LARGE), 0.0)
    width = int(rng.integers(0, 4))
    ImageDraw.Draw(picture).text((LARGE / 2, LARGE / 2), word, fill=255.0, font=font, anchor="mm", stroke_width=width)
    turn, slant = rng.normal(0, 0.12), rng.normal(0, 0.18)
    wide, high = rng.uniform(0.75, 1.35), rng.uniform(0.9, 1.15)
    back = np.array([[np.cos(turn), np.sin(turn) + slant], [-np.sin(turn), np.cos(turn)]]) / [[wide], [high]]
    centre = np.full(2, LARGE / 2)
    shift = centre - back @ (centre + rng.normal(0, 2.5, 2))
    matrix = (back[0, 0], back[0, 1], shift[0], back[1, 0], back[1, 1], shift[1])
    moved = picture.transform((LARGE, LARGE), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    small = np.asarray(moved.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float64)
    ink = np.clip(small * rng.uniform(1.0, 1.5), 0, 255)
    return np.round(ink).astype(np.uint8)
