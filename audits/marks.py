"""What a detector of marks found in a synthetic set, counted by whoever holds the detector: audits know no mark."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class MarkCount:
    """Of `n` images changed by `transform`, `found` gave the very mark that was put there, `wrong` another one."""

    transform: str
    n: int
    found: int
    wrong: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError for counts that no search gives."""
        if not isinstance(self.transform, str) or not self.transform:
            raise ValueError("a transform without a name")
        _require_counts(self.n, self.found, self.wrong)
        if not 0 < self.n >= self.found + self.wrong:
            raise ValueError(f"{self.transform}: {self.found} found and {self.wrong} wrong of {self.n} images")


@dataclass(frozen=True, kw_only=True)
class MarkCounts:
    """In `unmarked_found` of `n_unmarked` real images, which bear no mark, the same detector found one."""

    transforms: tuple[MarkCount, ...]
    n_unmarked: int = 0
    unmarked_found: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError for no transforms, one named twice, and impossible counts."""
        _require_counts(self.n_unmarked, self.unmarked_found)
        if not self.transforms or len({count.transform for count in self.transforms}) < len(self.transforms):
            raise ValueError("no transform, or one that is named twice")
        if self.unmarked_found > self.n_unmarked:
            raise ValueError(f"marks in {self.unmarked_found} of {self.n_unmarked} unmarked images")


def _require_counts(*counts: int) -> None:
    for count in counts:
        if type(count) is not int or count < 0:
            raise ValueError(f"{count!r} is no count")
