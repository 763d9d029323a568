"""Who signs which part of a publisher's roots (The Update Framework, spec 1.0)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuf.api.metadata import Root, Targets

from veilmark.provenance.errors import RootsError
from veilmark.provenance.identity import SigningIdentity


@dataclass(frozen=True, kw_only=True)
class Keepers:
    """`targets` says what is believed, `online` that it is current. For both the root's holders are not needed."""

    targets: SigningIdentity
    online: SigningIdentity

    def of(self, role: str) -> Sequence[SigningIdentity]:
        """The holders of a role of the framework."""
        return (self.targets,) if role == Targets.type else (self.online,)


@dataclass(frozen=True, kw_only=True)
class Holders(Keepers):
    """All who sign. `threshold`: of the root's holders; more than half of them."""

    root: Sequence[SigningIdentity]
    threshold: int

    def __post_init__(self) -> None:
        n = len({holder.id for holder in self.root})
        if n != len(self.root) or not n < 2 * self.threshold <= 2 * n:
            what = f"{self.threshold} of {len(self.root)} holders of the root is not more than half of different ones"
            raise RootsError(what, remedy="name more holders, or ask for more of them")

    def of(self, role: str) -> Sequence[SigningIdentity]:
        """The holders of a role of the framework."""
        return self.root if role == Root.type else super().of(role)
