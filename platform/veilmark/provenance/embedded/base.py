"""The seam between a bundle and what is embedded in its files: sealers change bytes, never content."""

from __future__ import annotations

from typing import Protocol


class FileSealer(Protocol):
    """Signs one file, inside it or, for formats that cannot hold the signature, in a sidecar beside it.

    Pixels and canonical metadata stay: the bundle checks it after each sealing.
    """

    @property
    def suffix(self) -> str:
        """Of the files it takes, such as ".png"."""

    @property
    def sidecar_suffix(self) -> str:
        """Of the sidecars it makes, in the place of `suffix`; "" where the file itself takes the signature."""

    def seal(self, data: bytes, *, where: str) -> bytes:
        """The signed file, or the sidecar of the final bytes `data`. `where` names them. Raises ProvenanceError."""
