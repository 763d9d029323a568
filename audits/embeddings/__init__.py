"""Feature extractors. Each names itself, and its name stands in every result: none of them gives a "FID"."""

from audits.embeddings.plain import Embedding, multi_scale, raw_pixels

__all__ = ["Embedding", "multi_scale", "raw_pixels"]
