"""One score from all detectors: each says how surprising its evidence is by the tails of auditor-only strangers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from audits.copies.matching import SIDE, Gallery, Matcher, Matches
from audits.copies.parts import learn_parts
from audits.copies.registration import learn_registration
from audits.pixels import Floats, Greys, shrunk
from audits.planted import TRANSFORMS
from audits.sampling import at_most
from audits.stats import rows_by_subject
from generators.data import ImageSet

N_STEPS = 200  # of the embedding: half a minute of one core
TEACHING_SHARE = 0.8  # of the people; on the others the tails of strangers are learned
ORDINARY = 0.8
LEAST_SCALE = 1e-3
EXPONENT = 3  # 1: the sum
MAX_LEARNED = 10_000

Subjects = NDArray[np.str_]


@dataclass(frozen=True, kw_only=True)
class Fusion:
    """How surprising evidence is, were the image a stranger's, in nats: -log p of the detectors, joined in one number.

    The sum (Fisher 1932) asks all detectors to agree, the largest (Tippett 1931) asks one. Most copies are seen by few
    detectors, so the exponent of the norm lies nearer to the largest, unless few strangers set the alarm: then one
    detector's tail is too rough to be believed alone.

    ordinary: [6], the evidence of each of DETECTORS that the best stranger exceeds in one image of five. scale: [6], by
    how much it does so on average; beyond the ordinary the tail is taken as exponential. Below it p counts as 1: a
    detector that is blind to a transform does not outvote those that see.
    """

    ordinary: Floats
    scale: Floats
    exponent: float = EXPONENT

    def __call__(self, evidence: Floats) -> Floats:
        """One score [Q, k] from the evidence [Q, k, 6]."""
        return np.asarray(np.linalg.norm(self.surprise(evidence), ord=self.exponent, axis=-1), dtype=np.float32)

    def surprise(self, evidence: Floats) -> Floats:
        """What each detector adds to the score, in the shape of the evidence."""
        return np.asarray(np.maximum(evidence - self.ordinary, 0) / self.scale, dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class CopyDetector:
    """Detectors and their fusion."""

    matcher: Matcher
    fusion: Fusion

    def match(self, grey: Greys, gallery: Gallery, *, subjects: Subjects | None = None) -> tuple[Matches, Floats]:
        """Candidates with their evidence, and the fused score [Q, k] of each."""
        matches = self.matcher.match(grey, gallery, subjects=subjects)
        return matches, self.fusion(matches.evidence)

    def asking_all(self) -> CopyDetector:
        """The same, joined by the sum."""
        return replace(self, fusion=replace(self.fusion, exponent=1))


@dataclass(frozen=True, kw_only=True)
class _Lesson:
    """What is learned from, by its digest, so that several audits of one run share one learning."""

    digest: str
    seed: int
    n_steps: int
    grey: Floats = field(compare=False)
    subjects: Subjects = field(compare=False)


def lesson_of(images: ImageSet, *, white: int, seed: int) -> tuple[Floats, Subjects]:
    """Of at most 10,000 images, as small as every detector sees them, what `learn_detector` learns from."""
    shown = at_most(images, MAX_LEARNED, seed=seed)
    return shrunk(shown, SIDE, white=white), shown.subjects()


def learn_detector(grey: Floats, subjects: Subjects, *, seed: int, n_steps: int = N_STEPS) -> CopyDetector:
    """Learn everything from images [N, H, W] in [0, 1] of people of whom no generator and no test knows.

    n_steps: of the embedding; a step takes 0.16 s of one core. Asked again for the same, it gives what it learned last.
    """
    state = hashlib.sha256(f"{grey.shape};{subjects.dtype}".encode())
    state.update(np.ascontiguousarray(grey).tobytes())
    state.update(np.ascontiguousarray(subjects).tobytes())
    return _learned(_Lesson(digest=state.hexdigest(), seed=seed, n_steps=n_steps, grey=grey, subjects=subjects))


@lru_cache(maxsize=1)
def _learned(lesson: _Lesson) -> CopyDetector:
    from audits.copies.contrastive import learn_embedding  # noqa: PLC0415 - torch, only where something is learned

    grey, subjects, seed = lesson.grey, lesson.subjects, lesson.seed
    rows = rows_by_subject(subjects)
    order = np.random.default_rng(seed).permutation(len(rows))
    split = round(TEACHING_SHARE * len(rows))
    teaching, judging = (np.concatenate([rows[i] for i in part]) for part in (order[:split], order[split:]))
    matcher = Matcher(
        embedding=learn_embedding(grey[teaching], subjects[teaching], n_steps=lesson.n_steps, seed=seed),
        registration=learn_registration(grey[teaching], seed=seed),
        parts=learn_parts(grey[teaching]),
    )
    return CopyDetector(matcher=matcher, fusion=learn_fusion(matcher, grey[judging], subjects[judging]))


def learn_fusion(matcher: Matcher, grey: Floats, subjects: Subjects) -> Fusion:
    """The tails of strangers: what each of these people's images finds most alike among those of the others."""
    matches = matcher.match(grey, matcher.gallery(grey, subjects), subjects=subjects)
    best = matches.evidence.max(axis=1)
    ordinary = np.quantile(best, ORDINARY, axis=0)
    beyond = np.maximum(best - ordinary, 0).sum(axis=0) / np.maximum((best > ordinary).sum(axis=0), 1)
    return Fusion(ordinary=ordinary.astype(np.float32), scale=np.maximum(beyond, LEAST_SCALE).astype(np.float32))


def planted(sources: Floats, rng: np.random.Generator) -> dict[str, Floats]:
    """Copies of these images by every transform."""
    return {name: transform(sources, rng) for name, transform in TRANSFORMS.items()}
