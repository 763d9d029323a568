"""Which extractor a run uses: the trained network, unless the operator names another."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from audits.base import AuditError, AuditInput
from audits.embeddings.onnx_file import onnx_embedding
from audits.embeddings.plain import Embedding, multi_scale, raw_pixels
from audits.pixels import GreyView
from audits.sampling import at_most

NETWORK, HISTOGRAMS, PIXELS = "network", "histograms", "pixels"
MIN_IMAGES = 100
MAX_IMAGES = 5000  # an extractor learns no more from more


@dataclass(frozen=True, kw_only=True)
class _Control:
    """Grey images by their digest, so that several audits share one training."""

    digest: str
    seed: int
    grey: GreyView = field(compare=False)


def choose(data: AuditInput) -> Embedding:
    """The extractor that `data.embedding` names.

    Without a control arm of at least 100 images no network is trained, and histograms of gradients stand in: the name
    says so. Raises AuditError for a name that is none, and for an ONNX file that does not fit.
    """
    if data.embedding == PIXELS:
        return raw_pixels()
    if data.embedding.endswith(".onnx"):
        return onnx_embedding(Path(data.embedding))
    if data.embedding not in {NETWORK, HISTOGRAMS}:
        raise AuditError(
            f"no such extractor: {data.embedding}",
            where="embedding",
            remedy=f"choose {NETWORK}, {HISTOGRAMS}, {PIXELS} or a file that ends in .onnx",
        )
    if data.control is None:
        return multi_scale(None)
    control = at_most(data.control, MAX_IMAGES, seed=data.seed)
    grey = GreyView(sets=(control,), white=data.train.max_value)
    if data.embedding == HISTOGRAMS or len(grey) < MIN_IMAGES:
        return multi_scale(grey)
    return _trained(_Control(digest=control.digest, seed=data.seed, grey=grey))


def require_extractor(data: AuditInput) -> None:
    """Refuse, before minutes are spent, a name that is no extractor or a file that is no network. Raises AuditError."""
    if data.embedding not in {NETWORK, HISTOGRAMS, PIXELS}:
        choose(data)


@lru_cache(maxsize=1)
def _trained(control: _Control) -> Embedding:
    from audits.embeddings.network import trained_network  # noqa: PLC0415 - torch is slow to load

    return trained_network(control.grey, seed=control.seed)
