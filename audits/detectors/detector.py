"""A detector in a folder: `detector.safetensors` and `detector.json`, no pickle. Whoever receives it scores images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.special import expit

from audits.base import AuditError
from audits.detectors.looks import NAME, features_of
from audits.pixels import Floats, GreyView
from audits.stats import Doubles
from generators.base import GeneratorError
from generators.data import ImageSet
from generators.files import write_text
from generators.folder import load_tensors, save_tensors

SCHEMA = "veilmark/detector/1"
WEIGHTS, CARD = "detector.safetensors", "detector.json"
ARRAYS = ("mean", "scale", "weights", "intercept")


@dataclass(frozen=True, kw_only=True)
class DetectorCard:
    """What a detector is and what it learned from. Holds no figure of private people but what was released with noise.

    taught_on: `public` or `private`. synthetic, public: digest and number of the images learned from. threshold: the
    score that 1 % of public images exceed that it has not seen, None where they are fewer than 100. unseen: the AUC on
    images that it has not seen, with its interval. spend: of a private detector, what was charged.
    """

    taught_on: str
    image_size: tuple[int, int]
    used_bits: int
    channels: int
    synthetic: Mapping[str, object]
    public: Mapping[str, object] | None
    threshold: float | None
    unseen: Mapping[str, object] | None
    seed: int
    spend: Mapping[str, object] | None = None
    notes: tuple[str, ...] = ()
    features: str = NAME
    weights_digest: str = ""
    schema: str = SCHEMA


@dataclass(frozen=True, kw_only=True)
class Linear:
    """Logistic on standardised features. mean, scale, weights: [D]; intercept: [1]."""

    mean: Doubles
    scale: Doubles
    weights: Doubles
    intercept: Doubles

    def __call__(self, features: Floats) -> Doubles:
        """[N], 0 to 1, of features [N, D]."""
        return np.asarray(expit((features - self.mean) / self.scale @ self.weights + self.intercept[0]))


@dataclass(frozen=True, kw_only=True)
class Detector:
    """A detector as it travels."""

    card: DetectorCard
    judge: Linear

    def scores(self, images: ImageSet) -> Doubles:
        """[N]: how synthetic each image looks, 0 to 1. Raises AuditError for another size, depth or colour."""
        _refuse_other(self.card, images)
        return self.judge(features_of(GreyView(sets=(images,), white=images.max_value)))

    def save(self, folder: Path) -> None:
        """Write the two files; the card comes last and names the digest of the other."""
        save_tensors(folder / WEIGHTS, {name: getattr(self.judge, name) for name in ARRAYS})
        card = asdict(self.card) | {"weights_digest": _digest(folder / WEIGHTS)}
        write_text(folder / CARD, json.dumps(card, indent=1, allow_nan=False))

    @classmethod
    def load(cls, folder: Path) -> Detector:
        """Read what `save` wrote. Raises AuditError for a folder that holds no detector, or a changed one."""
        try:
            row = json.loads((folder / CARD).read_text(encoding="utf-8"))
            card = DetectorCard(**{**row, "image_size": tuple(row["image_size"]), "notes": tuple(row["notes"])})
            arrays = {name: value.astype(np.float64) for name, value in load_tensors(folder / WEIGHTS).items()}
            _refuse_changed(card, arrays, _digest(folder / WEIGHTS))
            return cls(card=card, judge=Linear(**arrays))
        except (OSError, ValueError, TypeError, KeyError, GeneratorError) as error:
            raise AuditError(
                "holds no detector, or a damaged one", where=str(folder), remedy="fetch the folder again"
            ) from error


def _digest(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def _refuse_changed(card: DetectorCard, arrays: Mapping[str, Doubles], digest: str) -> None:
    if card.schema != SCHEMA or card.weights_digest != digest:
        raise ValueError("another schema, or other weights than the card names")
    width = arrays["weights"].shape
    if sorted(arrays) != sorted(ARRAYS) or len(width) != 1 or arrays["intercept"].shape != (1,):
        raise ValueError("arrays of another form")
    if arrays["mean"].shape != width or arrays["scale"].shape != width or not np.all(arrays["scale"] > 0):
        raise ValueError("arrays of another form")
    if not all(np.isfinite(value).all() for value in arrays.values()):
        raise ValueError("values that are not finite")


def _refuse_other(card: DetectorCard, images: ImageSet) -> None:
    ours = (tuple(images.images.shape[1:3]), images.used_bits, images.channels)
    known = (card.image_size, card.used_bits, card.channels)
    if ours != known:
        raise AuditError(
            f"images have size, bits and channels {ours}, the detector knows {known}",
            where="images",
            remedy="bring them to the form of the released set",
        )
