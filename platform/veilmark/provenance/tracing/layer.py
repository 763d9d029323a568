"""Adding a recipient's layer: a weak pattern of random signs under a secret key of the site.

An image is cut into 8x8 blocks as for the public mark. The layer lives in the lowest DCT coefficients, which
compression and resizing spare, less the directions that carry the public mark: these it leaves as they are. Signs come
from HMAC-SHA-256 and SHAKE-256, so that the same secret, recipient and image give the same bytes ever after, and
nobody without the secret can tell, guess or forge them. Spread spectrum: I. J. Cox, J. Kilian, F. T. Leighton and
T. Shamoon, "Secure spread spectrum watermarking for multimedia", IEEE Trans. Image Processing 6(12), 1997.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from veilmark.provenance.errors import MarkError
from veilmark.provenance.watermark import MIN_SIDE, PUBLIC_DETECTION_KEY, direct_ids
from veilmark.provenance.watermark.pattern import BLOCK, pattern_for, profile_for
from veilmark.provenance.watermark.plane import check_images, from_blocks, intensity_range, luminance

MIN_SECRET_BYTES = 32
# Root mean square of the layer, in 0..255 units of the image's own range: with the public mark at its strongest, an
# image under 128 px stays at 40 dB or more, and a larger one at 41.
STRENGTH, WEAKER = 1.1, 0.8
_ROOMY_SIDE = 128  # pixels
_LEAST_LEVELS = 0.5  # of stored values: below, rounding would take most of the layer away
_N_COEFFICIENTS = 12  # the lowest AC coefficients of a block, by frequency
_HALVINGS = 3
_SPANNED = 1e-3  # length that is left of a coefficient which the public mark's directions hold already


@dataclass(frozen=True, kw_only=True, eq=False)
class TracedImages:
    """`images` like those given; `is_traced` [N] says which of them carry the layer.

    An image that cannot carry it (under 64 px, without contrast, or whose public mark would suffer) is unchanged.
    """

    images: NDArray[np.generic]
    is_traced: NDArray[np.bool_]


def trace_images(
    images: NDArray[np.generic],
    *,
    image_ids: Sequence[str],
    recipient: str,
    secret: bytes,
    key: bytes = PUBLIC_DETECTION_KEY,
) -> TracedImages:
    """Add the layer of `recipient` to marked images [N, H, W] or [N, H, W, 3], uint8 or uint16.

    Shape, type, minimum and maximum stay; every public mark (under `key`) that a direct reading finds before is found
    after. The same arguments give the same pixels. Raises MarkError.
    """
    check_images(images)
    if len(images) != len(image_ids):
        raise MarkError(f"{len(images)} images but {len(image_ids)} ids", where="tracing")
    result, is_traced = images.copy(), np.zeros(len(images), np.bool_)
    if not len(images) or min(images.shape[1:3]) < MIN_SIDE:
        return TracedImages(images=result, is_traced=is_traced)
    span = intensity_range(luminance(images))[1]
    marks = direct_ids(images, key=key)
    height, width = images.shape[1:3]
    layers = np.stack([pattern(height, width, recipient, name, secret, key) for name in image_ids])
    strength = STRENGTH if min(height, width) >= _ROOMY_SIDE else WEAKER
    pending = np.flatnonzero(span > 0)
    for n in range(_HALVINGS + 1):
        candidates = _added(images[pending], layers[pending], span[pending], strength / 2**n)
        found = direct_ids(candidates, key=key) if len(pending) else []
        kept = np.array([got == marks[int(i)] for got, i in zip(found, pending, strict=True)], np.bool_)
        result[pending[kept]] = candidates[kept]
        is_traced[pending[kept]] = True
        pending = pending[~kept]
    return TracedImages(images=result, is_traced=is_traced)


def pattern(
    height: int, width: int, recipient: str, image_id: str, secret: bytes, key: bytes = PUBLIC_DETECTION_KEY
) -> NDArray[np.float32]:
    """The layer of one image at strength 1: [H, W], zero beyond the last whole block."""
    basis = subspace(height, width, key)
    signs = sign_pattern(height, width, recipient, image_id, secret, key)
    rows, columns = height // BLOCK, width // BLOCK
    blocks = (signs.astype(np.float32) @ basis.T * np.float32(BLOCK / np.sqrt(basis.shape[1]))).astype(np.float32)
    layer = np.zeros((height, width), np.float32)
    layer[: rows * BLOCK, : columns * BLOCK] = from_blocks(blocks.reshape(1, rows, columns, BLOCK**2))[0]
    return layer


def sign_pattern(
    height: int, width: int, recipient: str, image_id: str, secret: bytes, key: bytes = PUBLIC_DETECTION_KEY
) -> NDArray[np.int8]:
    """+1 and -1 for each block and direction of `subspace`: [blocks, directions]. Raises MarkError (short secret)."""
    if len(secret) < MIN_SECRET_BYTES:
        raise MarkError(f"has {len(secret)} bytes, not {MIN_SECRET_BYTES}", where="tracing secret")
    shape = (height // BLOCK) * (width // BLOCK), subspace(height, width, key).shape[1]
    n = shape[0] * shape[1]
    message = "\0".join(("veilmark tracing 1", recipient, image_id, f"{height}x{width}"))
    seed = hmac.new(secret, message.encode(), hashlib.sha256).digest()
    bits = np.unpackbits(np.frombuffer(hashlib.shake_256(seed).digest(-(-n // 8)), np.uint8))[:n]
    return (1 - 2 * bits.astype(np.int8)).reshape(shape)


@lru_cache(maxsize=16)
def _subspace(public: bytes, n_slots: int) -> NDArray[np.float32]:
    taken = np.frombuffer(public, np.float32).reshape(BLOCK**2, n_slots).astype(np.float64).T
    found = [vector / np.linalg.norm(vector) for vector in taken]
    for wanted in _cosines(_N_COEFFICIENTS):
        rest = wanted
        for known in found * 2:  # twice: once is not orthogonal to the last digit
            rest = rest - (rest @ known) * known
        if (length := np.linalg.norm(rest)) > _SPANNED:
            found.append(rest / length)
    return np.array(found[n_slots:], np.float32).T


def subspace(height: int, width: int, key: bytes = PUBLIC_DETECTION_KEY) -> NDArray[np.float32]:
    """The orthonormal directions [64, D] of a block's pixels that the layer may use."""
    public = pattern_for(profile_for(height, width), key).projection
    return _subspace(np.ascontiguousarray(public, np.float32).tobytes(), public.shape[1])


def _cosines(n: int) -> list[NDArray[np.float64]]:
    """The first `n` AC basis images [64] of the orthonormal 8x8 DCT-II, from low to high frequency."""
    k = np.arange(BLOCK)
    rows = np.sqrt(2 / BLOCK) * np.cos(np.pi * (2 * k + 1) * k[:, None] / (2 * BLOCK))
    rows[0] /= np.sqrt(2)
    order = sorted(((u, v) for u in range(BLOCK) for v in range(BLOCK)), key=lambda uv: (sum(uv), uv))
    return [np.outer(rows[u], rows[v]).ravel() for u, v in order[1 : n + 1]]


def _added(
    images: NDArray[np.generic], layers: NDArray[np.float32], span: NDArray[np.float32], strength: float
) -> NDArray[np.generic]:
    """The images with their layers, the same change on every channel, within each image's own extremes."""
    levels = np.maximum(strength * span / 255, _LEAST_LEVELS).astype(np.float32)
    channels = images[..., None] if images.ndim == 3 else images
    lowest, highest = (f(channels, axis=(1, 2, 3), keepdims=True) for f in (np.min, np.max))
    moved = channels.astype(np.float32) + (layers * levels[:, None, None])[..., None]
    added = np.clip(np.rint(moved), lowest, highest).astype(images.dtype)
    for extreme, where in ((np.min, np.argmin), (np.max, np.argmax)):  # viewers window by minimum and maximum
        for before, after in zip(channels, added, strict=True):
            if extreme(before) != extreme(after):
                at = np.unravel_index(where(before), before.shape)
                after[at] = before[at]
    result: NDArray[np.generic] = added.reshape(images.shape)
    return result
