"""A canary for every one-shot release but that of latents, and which release each phase of a log is.

Beside a few ordinary subjects the canary has many images, all far beyond what its release clips to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from audits.claims.canaries import canary_run
from audits.claims.latent_release import latents_draw
from audits.claims.record import Part
from audits.claims.releases import FAR, N_ALL, N_IMAGES, N_OTHERS, Draw, NoLog, names_of, noise_of, standardised
from audits.stats import Doubles
from generators.conditions import Vocabulary
from generators.data import ImageSet
from generators.latent.discriminant import MAX_GRAD_NORM, Descent, descend
from generators.latent.release import PHASES as LATENTS
from generators.mean_embedding import PHASE as EMBEDDING
from generators.privacy import GaussianEvent
from generators.releases.central_images import COUNT_WEIGHT, PublicFrame, exact_sums, release_central_images
from generators.releases.central_images import PHASE as WARM_UP
from generators.releases.embedding import Words, noisy_sums, subject_sums
from generators.releases.spectrum import PHASE as LOOK
from generators.releases.spectrum import release_look
from generators.releases.vae_latents import PHASES as VAE_LATENTS
from generators.releases.votes import PHASE as VOTES
from generators.releases.votes import Voters, exact_votes, nearest_candidates, noisy_votes


@dataclass(frozen=True, kw_only=True)
class KnownRelease:
    """Mechanisms of a log that one function releases together, and that function's canary. mu: claimed, of one run."""

    name: str
    parts: tuple[Part, ...]
    draw: Draw

    @property
    def mu(self) -> float:
        return 1 / noise_of([replace(part, steps=1) for part in self.parts])


def known_releases(parts: Sequence[Part], *, seed: int) -> list[KnownRelease]:
    """The releases among the parts of a log that there is a canary for; the others are for nobody to vouch for."""
    # Of attempts that were killed and paid again, the one with the least noise.
    by_noise = sorted(parts, key=lambda part: -part.noise_multiplier)
    by_phase = {part.phase: part for part in by_noise if part.sample_rate == 1}
    found = []
    for phases in (LATENTS, VAE_LATENTS):
        together = tuple(by_phase[phase] for phase in phases[:3] if phase in by_phase)
        if len(together) > 1:
            found.append(KnownRelease(name="latents", parts=together, draw=latents_draw(together, seed=seed)))
    makers = {VOTES: votes_draw, LOOK: look_draw, EMBEDDING: embedding_draw, WARM_UP: warm_up_draw}
    makers |= dict.fromkeys((LATENTS[3], VAE_LATENTS[3]), descent_draw)
    for phase, make in makers.items():
        if phase in by_phase:
            part = by_phase[phase]
            found.append(KnownRelease(name=phase, parts=(part,), draw=make(part, seed=seed)))
    return found


def votes_draw(part: Part, *, seed: int) -> Draw:
    """`generators.releases.votes.noisy_votes`: the canary's images all vote for one candidate of their own."""
    rng = np.random.default_rng(seed)
    places = np.vstack([rng.standard_normal((5, 2)), np.full((1, 2), FAR)])
    labels = np.zeros(len(places), dtype=np.intp)

    def voters(there: bool) -> Voters:
        n = N_OTHERS + N_IMAGES * there
        latents = np.vstack([rng.standard_normal((N_OTHERS, 2)), np.full((n - N_OTHERS, 2), FAR)])
        return Voters(latents=latents, labels=np.zeros(n, dtype=np.intp), subjects=names_of(n))

    fixed = {there: voters(there) for there in (False, True)}
    nearest = nearest_candidates(fixed[False], places, labels, n_nearest=1)
    known = exact_votes(nearest, fixed[False].subjects, len(places))
    alone = np.eye(len(places))[-1]

    def draw(there: bool) -> float:
        seen = noisy_votes(
            fixed[there],
            places,
            labels,
            n_nearest=1,
            noise_multiplier=part.noise_multiplier,
            step=0,
            recorder=NoLog(),
        )
        return standardised([(seen - known, alone, part.noise_multiplier)])

    return draw


def look_draw(part: Part, *, seed: int) -> Draw:
    """`generators.releases.spectrum.release_look`: the canary's rows are far beyond the declared norm."""
    radius, n_noisy = 2.0, 100.0
    rng = np.random.default_rng(seed)
    rows = np.vstack([0.1 * rng.standard_normal((N_OTHERS, 5)), FAR * np.tile(np.eye(5)[:1], (N_IMAGES, 1))])
    known = rows[:N_OTHERS].sum(axis=0)
    event = GaussianEvent(noise_multiplier=part.noise_multiplier, sample_rate=1.0, steps=1)

    def draw(there: bool) -> float:
        n = len(rows) if there else N_OTHERS
        found = release_look(
            rows[:n], names_of(n), radius=radius, n_noisy=n_noisy, event=event, recorder=NoLog(), step=0
        )
        return standardised([(found.mean * n_noisy - known, radius * np.eye(5)[0], part.noise_multiplier * radius)])

    return draw


def embedding_draw(part: Part, *, seed: int) -> Draw:
    """`generators.releases.embedding`: sums of features, the canary's all alike, and their noise."""
    words = Words(vocabulary=Vocabulary(labels=("a", "b"), sexes=(), age_groups=()), count_weight=0.5, group_weight=0.4)
    features = torch.nn.functional.normalize(torch.from_numpy(np.random.default_rng(seed).standard_normal((N_ALL, 4))))
    features[N_OTHERS:] = torch.eye(4, dtype=features.dtype)[0]
    conditions = torch.eye(2)[[0] * N_ALL]

    def sums(rows: slice) -> Doubles:
        who = names_of(N_ALL)[rows]
        images = ImageSet(images=np.zeros((len(who), 1, 1), np.uint8), subject=who)
        return subject_sums(images, conditions[rows], features[rows], words)

    known, everyone, own = (sums(rows) for rows in (slice(N_OTHERS), slice(N_ALL), slice(N_OTHERS, N_ALL)))

    def draw(there: bool) -> float:
        seen = noisy_sums(everyone if there else known, words, part.noise_multiplier)
        return standardised([(seen - known, own, part.noise_multiplier * words.sensitivity)])

    return draw


def warm_up_draw(part: Part, *, seed: int) -> Draw:
    """`generators.releases.central_images`: the canary's images are far from the public mean."""
    frame = PublicFrame(mean=torch.zeros(1, 2, 2), radius=1.0)
    images = 0.1 * torch.from_numpy(np.random.default_rng(seed).standard_normal((N_ALL, 1, 2, 2)))
    images[N_OTHERS:] = FAR
    labels = np.zeros(N_ALL, dtype=np.intp)
    who = names_of(N_ALL)

    def sums(rows: slice) -> Doubles:
        return exact_sums(frame.deviations(images[rows]), labels[rows], who[rows], 2)

    known, own = sums(slice(N_OTHERS)), sums(slice(N_OTHERS, N_ALL))
    runs = {there: canary_run(who[: N_ALL if there else N_OTHERS], NoLog(), Path()) for there in (False, True)}

    def draw(there: bool) -> float:
        n = N_ALL if there else N_OTHERS
        found = release_central_images(
            runs[there], images[:n], labels[:n], frame, n_labels=2, noise_multiplier=part.noise_multiplier
        )
        seen = np.column_stack([found.sums, found.counts * COUNT_WEIGHT])
        return standardised([(seen - known, own, part.noise_multiplier * math.sqrt(1 + COUNT_WEIGHT**2))])

    return draw


def descent_draw(part: Part, *, seed: int) -> Draw:
    """`generators.latent.discriminant.descend`: one step at the noise that its plan makes of the event's.

    The steps compose as one Gaussian mechanism; a plan whose noise were too small for them would show in the one.
    """
    event = GaussianEvent(noise_multiplier=part.noise_multiplier, sample_rate=1.0, steps=1)
    plan = Descent.planned(event, n_latents=3, n_labels=2, public_n_subjects=100)
    noise = plan.noise_multiplier / math.sqrt(plan.n_steps)
    one = replace(plan, n_steps=1, step_size=1.0, noise_multiplier=noise)
    latents = 0.01 * np.random.default_rng(seed).standard_normal((N_ALL, 3))
    latents[N_OTHERS:] = FAR * np.eye(3)[0]
    labels, who = np.zeros(N_ALL, dtype=np.intp), names_of(N_ALL)

    def weights(n: int) -> Doubles:
        # A ridge on weights of 0 is 0, so that the step is minus the noisy mean gradient.
        return -descend(latents[:n], labels[:n], who[:n], plan=one, n_labels=2, public_n_subjects=1)

    error = np.array([[-0.5, 0.5]])
    known = latents[:N_OTHERS].sum(axis=0)[:, None] * error
    own = np.eye(3)[:, :1] * error * math.sqrt(2) * MAX_GRAD_NORM

    def draw(there: bool) -> float:
        seen = weights(N_ALL if there else N_OTHERS)
        return standardised([(seen - known, own, part.noise_multiplier * MAX_GRAD_NORM)])

    return draw
