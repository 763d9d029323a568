"""`peer-dpdm`: differentially private diffusion from scratch with noise multiplicity (Dockhorn et al. 2023, DPDM)."""

from __future__ import annotations

from functools import partial

from torch import nn

from audits.bench.peers.base import PeerJob, Trained
from audits.bench.peers.opacus_loop import OpacusLoop
from audits.bench.peers.settings import PeerSettings
from audits.bench.peers.unet import SmallUnet, diffusion_losses, draw_images


class Dpdm:
    """The recipe (see the module)."""

    def train(self, job: PeerJob, settings: PeerSettings) -> Trained:
        """See `Peer`."""
        loop = OpacusLoop(make_unet(job, settings), job, settings)
        return finish(loop, job, settings)


def make_unet(job: PeerJob, settings: PeerSettings) -> nn.Module:
    """The network of both diffusion peers; its weights follow torch's seed."""
    unet = SmallUnet(
        size=job.images.images.shape[1], channels=job.images.channels, n_labels=len(job.labels), width=settings.width
    )
    return unet.to(job.torch_device())


def finish(loop: OpacusLoop, job: PeerJob, settings: PeerSettings) -> Trained:
    """Run the loop's private steps; what is kept is the average of the weights."""
    n_labels, side = len(job.labels), job.images.images.shape[1]
    for _ in range(settings.n_steps):
        loop.step(partial(diffusion_losses, n_labels=n_labels, views=settings.views))
    shape = (job.images.channels, side, side)
    draw = partial(draw_images, loop.kept, shape=shape, n_labels=n_labels, n_steps=settings.sampling_steps)
    return Trained(draw=draw, events=loop.plan.events)
