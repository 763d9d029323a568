"""Where the latents of `vae` are drawn from: the aggregated posterior of the private images, released once with noise.

The encoder is public by then, so a latent's mean is a fixed function of one image, and two Gaussian mechanisms release
what `latent.release` describes: A and B, from which the additive effects of label and groups are fitted, and C, the
second moments of the residuals. Latents drawn so are those that the decoder has met, where draws from the prior fall
between them and come out torn. A run killed between record and release falls back to the public images' aggregated
posterior, which costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from generators.base import Run
from generators.conditions import Vocabulary
from generators.folder import load_tensors, save_tensors
from generators.latent.basis import Array
from generators.latent.design import Design
from generators.latent.fit import fit_covariance
from generators.latent.release import Bounds, PrivateLatents, Shares, release
from generators.steps_log import read_log

FILE = "latents.safetensors"
# The last two are never paid for: these shares leave nothing to them.
PHASES = ("latent means", "latent covariance", "latent label covariances", "latent discriminant")
SHARES = Shares(counts=0.05, sums=0.7, moments=0.25)
GROUP_WEIGHT = 0.4
RADIUS_QUANTILE = 0.9
RESIDUAL_FACTOR = 0.9
# A reference without privacy clips nothing; finite, so that no noise times it is still no noise.
UNBOUNDED = 1e6


@dataclass(frozen=True, kw_only=True)
class PublicPosterior:
    """Of public images: centre [l] and scale [l] of posterior means, their covariance [l, l] in units of the scale.

    spread [l]: mean posterior variance, in the same units. radius: the norm that a scaled mean is clipped to.
    """

    centre: Array
    scale: Array
    covariance: Array
    spread: Array
    radius: float

    @classmethod
    def of(cls, means: Tensor, log_variances: Tensor) -> PublicPosterior:
        """Of posterior means and log variances [n, l] of public images."""
        values = means.double().numpy()
        centre, scale = values.mean(0), np.maximum(values.std(0), 1e-3)
        scaled = (values - centre) / scale
        return cls(
            centre=centre,
            scale=scale,
            covariance=np.atleast_2d(np.cov(scaled.T)),
            spread=log_variances.double().exp().mean(0).numpy() / scale**2,
            radius=float(np.quantile(np.linalg.norm(scaled, axis=1), RADIUS_QUANTILE)),
        )

    def scaled(self, means: Tensor) -> Array:
        return np.asarray((means.double().numpy() - self.centre) / self.scale)

    @property
    def tensors(self) -> dict[str, NDArray[np.generic]]:
        return {"centre": self.centre, "scale": self.scale, "covariance": self.covariance, "spread": self.spread}


def release_latents(
    means: Tensor, public: PublicPosterior, vocabulary: Vocabulary, run: Run, *, noise_multiplier: float
) -> None:
    """Store where latents are drawn from, unless it is stored already. The plan has reserved what it costs.

    means [N, l]: posterior means of `run.images`. Each mechanism is recorded before its noise is drawn.
    """
    if (run.out / FILE).exists():
        return
    logged = read_log(run.out)
    stored = public.tensors
    if logged is None or not logged.steps_of(PHASES[0]):
        design = Design(vocabulary=vocabulary, group_weight=GROUP_WEIGHT)
        data = PrivateLatents(
            latents=public.scaled(means),
            rows=design.rows(vocabulary.numbers(run.images)),
            subjects=run.images.subjects(),
            centres=np.zeros((design.n_labels, len(public.scale))),
        )
        radius = public.radius if run.budget.is_private else UNBOUNDED
        stored |= _release(data, design, public, run, radius=radius, noise_multiplier=noise_multiplier)
    save_tensors(run.out / FILE, stored)


def _release(
    data: PrivateLatents, design: Design, public: PublicPosterior, run: Run, *, radius: float, noise_multiplier: float
) -> dict[str, NDArray[np.generic]]:
    """Effects [p, l] and covariance [l, l], in units of the public scale."""
    noisy = release(
        data,
        design=design,
        bounds=Bounds(
            radius=radius,
            residual_radius=radius * RESIDUAL_FACTOR,
            leading=np.arange(len(public.scale)),
            spread=np.sqrt(np.diag(public.covariance)),
            public_n_subjects=run.budget.public_n_subjects,
        ),
        noise_multiplier=noise_multiplier,
        shares=SHARES,
        recorder=run.recorder,
        phases=PHASES,
    )
    covariance = fit_covariance(
        noisy.moments,
        n=noisy.n_subjects,
        noise=noisy.moments_noise,
        shrink=True,
        target=public.covariance,
        least=0.0,
    )
    return {"effects": noisy.effects, "covariance": covariance}


def draw_latents(folder: Path, vocabulary: Vocabulary, numbers: NDArray[np.intp], *, seed: int) -> Tensor:
    """Latents [n, l] for conditions that `numbers` [n, 3] name: a Gaussian around the effects of label and groups."""
    stored = {name: value.astype(np.float64) for name, value in load_tensors(folder / FILE).items()}
    centres = np.zeros((len(numbers), len(stored["centre"])))
    if "effects" in stored:
        centres = Design(vocabulary=vocabulary, group_weight=GROUP_WEIGHT).rows(numbers) @ stored["effects"]
    factor = np.linalg.cholesky(stored["covariance"] + np.diag(stored["spread"]))
    drawn = np.random.default_rng(seed).standard_normal(centres.shape) @ factor.T
    latents = (centres + drawn) * stored["scale"] + stored["centre"]
    return torch.from_numpy(latents.astype(np.float32))
