"""The exact nearest row by products of low precision: proved bounds leave few rows, which their differences decide.

A row g is nearest to q where the score q.g - |g|^2 / 2 is largest. If q' and g' are what rounding leaves of q and g,
|q.g - q'.g'| <= |q'||g - g'| + |q - q'||g| (Cauchy and Schwarz); summing D products errs by at most
D u / (1 - D u) |q'||g'| (Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.1), storing one by its
rounding.
Where a precision leaves too many rows in doubt, as in tight clusters far apart, the next one takes over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from audits.blocks import Rows, flat, spans

Pairs = tuple[NDArray[np.intp], NDArray[np.intp]]

IN_DOUBT = 8  # gallery rows a query, of one block, whose distances are cheaper than a product of higher precision
STORED = 2.0**-8  # relative rounding of bfloat16, in which its products are stored
SPARE = 1.01  # a rounded row may be longer than the row, and bounds are themselves rounded
UNSEEN = 1e-15  # of a length, where the largest value is near 1: squares below 1e-38 are zero in float32


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Rows are seen less `centre` [D] and times `scale`, a power of two: cancellation is small, no square overflows."""

    centre: NDArray[np.float64]
    scale: float

    @classmethod
    def of(cls, queries: Rows, gallery: Rows, step: int) -> Frame:
        """Raises ValueError for values that are not finite."""
        peak, total = 0.0, np.zeros(1)
        for rows in (queries, gallery):
            for start, stop in spans(len(rows), step):
                block = flat(rows[start:stop])
                peak = float(np.maximum(peak, np.maximum(block.max(initial=0), -block.min(initial=0))))
                total = total + block.sum(axis=0, dtype=np.float64) if rows is gallery else total
        if not np.isfinite(peak):
            raise ValueError("values that are not finite")
        scale = 2.0 ** -np.clip(np.frexp(peak)[1], -126, 126)
        return cls(centre=total / len(gallery) * scale, scale=float(scale))

    def seen(self, rows: Rows, kind: torch.dtype) -> _Seen:
        """Rows as products of that kind read them, on a GPU where there is one."""
        wide = np.float64 if kind is torch.float64 else np.float32
        moved = np.multiply(rows.reshape(len(rows), -1), self.scale, dtype=wide)
        moved -= self.centre.astype(wide)
        whole = torch.from_numpy(moved).to(_device())
        rounded = whole.to(kind)
        least = 0.0 if kind is torch.float64 else UNSEEN
        length = torch.linalg.vector_norm(whole, dim=1).double() + least
        lost = torch.zeros_like(length)
        if kind is torch.bfloat16:
            lost = torch.linalg.vector_norm(whole.sub_(rounded), dim=1).double() + least
        return _Seen(rounded=rounded, length=length, lost=lost)


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """rounded: [N, D]; length: of each row before rounding, lost: of what rounding took; [N], float64."""

    rounded: torch.Tensor
    length: torch.Tensor
    lost: torch.Tensor

    def slack(self, held: _Seen) -> torch.Tensor:
        """[N]: how much the score of any row of `held` may err, but for the rounding of stored products."""
        n, far = self.rounded.shape[1] + 8, held.length.max()
        unit = 2.0**-53 if self.rounded.dtype is torch.float64 else 2.0**-24
        unit /= 1 - n * unit
        summed = unit * (n * far * (self.length + far) + 4 * (self.length + far).square())  # q.g, |g|^2 / 2; centring
        return SPARE * (self.length * held.lost.max() + self.lost * far + summed)


def best_of(queries: Rows, gallery: Rows, frame: Frame, n_gallery: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Index and distance [Q] of each query's nearest row, `n_gallery` rows at a time."""
    kinds = list(_kinds())
    asked = frame.seen(queries, kinds[0])
    index, best = np.zeros(len(queries), dtype=np.intp), np.full(len(queries), np.inf)
    reached = torch.full((len(queries),), -torch.inf, dtype=torch.float64, device=_device())
    for start, stop in spans(len(gallery), n_gallery):
        while (found := _in_doubt(asked, frame.seen(gallery[start:stop], kinds[0]), reached)) is None:
            kinds.pop(0)
            asked = frame.seen(queries, kinds[0])
        rows, columns = found
        apart = _distances(queries, gallery, rows, columns + start, n_gallery)
        order = np.lexsort((apart, rows))
        first = order[np.flatnonzero(np.diff(rows[order], prepend=-1))]  # the nearest of each query
        first = first[apart[first] < best[rows[first]]]
        index[rows[first]], best[rows[first]] = columns[first] + start, apart[first]
    return index, best


def _in_doubt(asked: _Seen, held: _Seen, reached: torch.Tensor) -> Pairs | None:
    """Pairs whose score may be the best so far; None where they are too many and a higher precision is left.

    reached: [Q], what some score reaches for certain, raised in place.
    """
    half = held.length.square() / 2
    stored = STORED if asked.rounded.dtype is torch.bfloat16 else 0.0
    slack, (low, high) = asked.slack(held), half.aminmax()

    def error(score: torch.Tensor) -> torch.Tensor:
        return slack + SPARE * stored * torch.maximum((score + low).abs(), (score + high).abs())

    if asked.rounded.dtype is torch.bfloat16:
        score = torch.mm(asked.rounded, held.rounded.T) - half.float()
    else:
        score = torch.addmm(-half.to(asked.rounded.dtype), asked.rounded, held.rounded.T)
    top = score.amax(dim=1).double()
    torch.maximum(reached, top - error(top), out=reached)
    enough = reached - error(reached)
    open_rows = (top >= enough).nonzero()[:, 0]
    pairs = (score[open_rows] >= enough[open_rows, None]).nonzero()
    if len(pairs) <= IN_DOUBT * len(score):
        return open_rows[pairs[:, 0]].cpu().numpy(), pairs[:, 1].cpu().numpy()
    if score.dtype is not torch.float64:
        return None
    return open_rows.cpu().numpy(), score[open_rows].argmax(dim=1).cpu().numpy()  # ties to fifteen digits


def _distances(
    queries: Rows, gallery: Rows, rows: NDArray[np.intp], columns: NDArray[np.intp], step: int
) -> NDArray[np.float64]:
    found = np.empty(len(rows))
    for a, b in spans(len(rows), step):
        apart = flat(queries[rows[a:b]]).astype(np.float64) - flat(gallery[columns[a:b]])
        found[a:b] = np.linalg.norm(apart, axis=1)
    return found


def _kinds() -> Iterator[torch.dtype]:
    """Precisions, fastest first: bfloat16 only where the processor multiplies matrices of it."""
    known: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # older versions cannot say
    if known.get("amx_bf16") and not torch.cuda.is_available():
        yield torch.bfloat16
    yield torch.float32
    yield torch.float64


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
