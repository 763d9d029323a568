"""`peer-dpgan`: a conditional GAN whose discriminator alone is private (Xie et al. 2018; Bie et al. 2023).

Several private steps of the discriminator go before each step of the generator, as Bie et al. found decisive.
"""

from __future__ import annotations

import itertools
from functools import partial

import torch
from torch import Tensor, nn

from audits.bench.peers.base import PeerJob, Trained
from audits.bench.peers.opacus_loop import OpacusLoop
from audits.bench.peers.settings import DpGanSettings, PeerSettings

BATCH = 64


class Discriminator(nn.Module):
    """Images [n, C, S, S] with one-hot labels [n, L] to a score [n], the label by projection (Miyato and Koyama 2018).

    As further channels a label would meet the image in a single convolution at 8 x 8 pixels.
    """

    def __init__(self, *, size: int, channels: int, n_labels: int, width: int) -> None:
        super().__init__()
        widths, side = [channels], size
        while side > 4 and len(widths) < 5:
            widths.append(width * min(2 ** (len(widths) - 1), 4))
            side = (side + 1) // 2
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(8, after), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * side**2, 1 + n_labels))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        scores: Tensor = self.body(images)
        return scores[:, 0] + (scores[:, 1:] * labels).sum(1)


class Drawer(nn.Module):
    """Latents [n, Z] with one-hot labels [n, L] to images [n, C, S, S]: upsampling and convolution."""

    def __init__(self, *, size: int, channels: int, n_labels: int, width: int, n_latents: int) -> None:
        super().__init__()
        self.n_latents, doublings, side = n_latents, 0, size
        while side % 2 == 0 and side > 7:
            side, doublings = side // 2, doublings + 1
        widths = [width * min(2**level, 4) for level in range(doublings, -1, -1)]
        self.start, self.shape = nn.Linear(n_latents + n_labels, widths[0] * side**2), (widths[0], side, side)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.GroupNorm(8, before), nn.SiLU(), nn.Upsample(scale_factor=2)]
            layers.append(nn.Conv2d(before, after, 3, padding=1))
        self.body = nn.Sequential(*layers, nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, channels, 3, padding=1))

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        start = self.start(torch.cat([latents, labels], dim=1)).reshape(-1, *self.shape)
        return torch.tanh(self.body(start))

    def draw(self, labels: Tensor, n_labels: int) -> Tensor:
        """Images of the labels [n] from fresh latents."""
        latents = torch.randn(len(labels), self.n_latents, device=labels.device)
        drawn: Tensor = self(latents, nn.functional.one_hot(labels, n_labels).float())
        return drawn


class DpGan:
    """The recipe (see the module)."""

    def train(self, job: PeerJob, settings: PeerSettings) -> Trained:
        """See `Peer`."""
        assert isinstance(settings, DpGanSettings)  # noqa: S101 - built from this class
        n_labels, side, device = len(job.labels), job.images.images.shape[1], job.torch_device()
        sizes = {"size": side, "channels": job.images.channels, "n_labels": n_labels, "width": settings.width}
        drawer = Drawer(**sizes, n_latents=settings.n_latents).to(device)
        loop = OpacusLoop(Discriminator(**sizes).to(device), job, settings)
        optimizer = torch.optim.Adam(drawer.parameters(), lr=settings.learning_rate, betas=(0.5, 0.999))
        losses = partial(_discriminator_losses, drawer=drawer, n_labels=n_labels)
        for step in range(settings.n_steps):
            loop.step(losses)
            if (step + 1) % settings.discriminator_steps == 0:
                _generator_step(drawer, loop, optimizer, n_labels)
        return Trained(draw=torch.no_grad()(partial(drawer.draw, n_labels=n_labels)), events=loop.plan.events)


def _discriminator_losses(
    network: nn.Module, images: Tensor, labels: Tensor, *, drawer: Drawer, n_labels: int
) -> Tensor:
    """[2 B]: each real image, then a drawn one of its label, as one contribution."""
    with torch.no_grad():
        drawn = drawer.draw(labels, n_labels)
    told = nn.functional.one_hot(labels, n_labels).float()
    scores = network(torch.cat([images, drawn]), told.repeat(2, 1))
    wanted = torch.ones(len(images), device=images.device)
    return nn.functional.softplus(scores * torch.cat([-wanted, wanted]))


def _generator_step(drawer: Drawer, loop: OpacusLoop, optimizer: torch.optim.Optimizer, n_labels: int) -> None:
    """Against the private discriminator alone: labels are drawn evenly, no image is looked at."""
    device = loop.data.images.device
    labels = torch.randint(n_labels, (BATCH,), device=device)
    told = nn.functional.one_hot(labels, n_labels).float()
    loop.hooked.disable_hooks()
    optimizer.zero_grad()
    loss = nn.functional.softplus(-loop.hooked(drawer.draw(labels, n_labels), told)).mean()
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    optimizer.step()
    loop.hooked.enable_hooks()
    loop.optimizer.zero_grad(set_to_none=True)
