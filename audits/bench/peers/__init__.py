"""Published methods rebuilt as rows of the benchmark: their recipes on stock Opacus hooks, never offered to users.

Each sees one image of a subject at a time, so that its guarantee has the unit of the other rows, with batch sizes from
the public number of subjects, from scratch and without public images, as published.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from audits.bench.peers.base import Peer, PeerJob, image_set
from audits.bench.peers.settings import DpFetaSettings, DpGanSettings, PeerSettings
from generators.accounting import spend_of
from generators.config import build_config
from generators.data import ImageSet
from generators.networks.tensors import seeded
from generators.privacy import PrivacySpend


class PeerEntry:
    """Where a peer is and what it can be told; listing peers loads no Opacus."""

    def __init__(self, target: str, config_class: type[PeerSettings]) -> None:
        self.target, self.config_class = target, config_class

    def load(self) -> Peer:
        module, _, name = self.target.partition(":")
        return cast("Peer", getattr(import_module(module), name)())


PEERS = {
    "peer-dpdm": PeerEntry("audits.bench.peers.dpdm:Dpdm", PeerSettings),
    "peer-dpfeta": PeerEntry("audits.bench.peers.dpfeta:DpFeta", DpFetaSettings),
    "peer-dpgan": PeerEntry("audits.bench.peers.dpgan:DpGan", DpGanSettings),
}


def run_peer(name: str, job: PeerJob, config: Mapping[str, object]) -> tuple[ImageSet, PrivacySpend]:
    """Train the peer and draw its images. Raises GeneratorError."""
    settings = build_config(PEERS[name].config_class, config)
    with seeded(job.seed):
        trained = PEERS[name].load().train(job, settings)
        drawn = image_set(job, trained.draw)
    budget = job.budget
    spend = spend_of(
        trained.events, delta=budget.target_delta, accountant=budget.accountant, privacy_unit=budget.privacy_unit
    )
    return drawn, spend


__all__ = ["PEERS", "PeerJob", "run_peer"]
