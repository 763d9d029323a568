"""Scores of single images under a generator's weights: of every family that has any, each image alone, repeatable."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

from generators.base import ConfigError, DataError, ResumeError
from generators.data import ImageSet
from generators.phantoms import draw_phantoms
from generators.privacy import PrivacyBudget
from generators.registry import GENERATORS
from generators.runner import train_generator
from generators.scoring.loading import load_scorer
from generators.training import CHECKPOINT
from tests.generators.tiny_networks import tiny_unet

BUDGET = PrivacyBudget.without_privacy(public_n_subjects=50)
STEPS = {"n_steps": 2, "batch_size": 10, "checkpoint_every": 2}
SCORED: Mapping[str, Mapping[str, object]] = {
    "latent-statistics": {"n_components": 6, "detail": "none"},
    "latent-diffusion": {
        "n_components": 6, "width": 16, "depth": 1, "public_steps": 1, "draw_steps": 1, "n_draws": 100,
        "detail": "none", "sampling_steps": 2, **STEPS, "views": 2,
    },
    "vae": {"width": 8, "n_latents": 4, "public_steps": 1, **STEPS},
    "diffusion": {"width": 8, "public_steps": 1, "central_steps": 1, "central_side": 4, **STEPS, "views": 2},
    "gan": {"width": 8, "n_latents": 4, "warm_steps": 1, "public_steps": 1, "discriminator_steps": 1, **STEPS},
    "lora": {"rank": 1, **STEPS, "views": 2},
}  # fmt: skip


@pytest.fixture(scope="module")
def cohort() -> ImageSet:
    return draw_phantoms(n_subjects=40, size=16, seed=4, max_images=1).images


@pytest.fixture(scope="module")
def folders(cohort: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One tiny generator of each family, in a folder of its name."""
    root = tmp_path_factory.mktemp("scored")
    tiny_unet().save_pretrained(root / "base" / "unet")
    DDPMScheduler(num_train_timesteps=100).save_pretrained(root / "base" / "scheduler")
    public = draw_phantoms(n_subjects=60, size=16, seed=9, max_images=1).images
    for name, config in SCORED.items():
        train_generator(
            name=name,
            images=cohort,
            budget=BUDGET,
            config=dict(config) | ({"base": str(root / "base")} if name == "lora" else {}),
            out=root / name,
            public=public,
            device="cpu",
        )
    return root


@pytest.mark.parametrize("name", SCORED)
def test_every_image_is_scored_alone_and_alike_each_time(name: str, folders: Path, cohort: ImageSet) -> None:
    scorer = load_scorer(folders / name)
    scores = scorer.scores(cohort)
    assert scores.shape == (len(cohort),)
    assert np.isfinite(scores).all()
    assert len(np.unique(scores)) == len(cohort)
    reversed_rows = np.arange(len(cohort))[::-1]
    assert np.allclose(load_scorer(folders / name).scores(cohort.select(reversed_rows))[::-1], scores, atol=1e-4)
    assert np.allclose(scorer.scores(cohort.select(np.arange(1))), scores[:1], atol=1e-4)


@pytest.mark.parametrize("name", SCORED)
def test_what_a_scorer_is_taught_rises_above_what_it_is_not(name: str, folders: Path, cohort: ImageSet) -> None:
    scorer = load_scorer(folders / name)
    before, few = scorer.scores(cohort), cohort.select(np.arange(3))
    n_steps = 12 if name in {"diffusion", "lora"} else 150
    gain = scorer.taught(few, n_steps=n_steps, seed=0).scores(cohort) - before
    assert np.median(gain[:3]) > np.median(gain[3:])
    assert np.array_equal(scorer.scores(cohort), before)


@pytest.mark.parametrize("name", ["vae", "gan", "latent-diffusion", "latent-statistics"])
def test_what_is_taught_afresh_owes_nothing_to_the_generator(name: str, folders: Path, cohort: ImageSet) -> None:
    scorer = load_scorer(folders / name)
    other = scorer.taught(cohort, n_steps=5, seed=3)
    half = cohort.select(np.arange(20))
    found, again = (one.taught(half, n_steps=3, seed=1, afresh=True).scores(cohort) for one in (scorer, other))
    assert np.allclose(found, again, atol=1e-5)
    assert not np.allclose(found, scorer.scores(cohort))


def test_images_that_the_generator_does_not_draw_are_refused(folders: Path, cohort: ImageSet) -> None:
    scorer = load_scorer(folders / "vae")
    for wrong, said in (
        (replace(cohort, images=cohort.images[:, :8, :8]), "side"),
        (replace(cohort, images=cohort.images.astype(np.uint16)), "bits"),
        (replace(cohort, images=np.repeat(cohort.images[..., None], 3, axis=3)), "channels"),
        (replace(cohort, sex=None), "sex: is missing"),
        (replace(cohort, label=None), "label: is missing"),
        (replace(cohort, label=np.array(["unheard of"] * len(cohort))), "unheard of"),
    ):
        with pytest.raises(DataError, match=said):
            scorer.scores(wrong)


def test_families_without_a_score_say_so(cohort: ImageSet, tmp_path: Path, folders: Path) -> None:
    others = set(GENERATORS) - set(SCORED)
    assert others == {"mean-embedding", "private-evolution"}
    config = {"n_components": 6, "n_frequencies": 10, "public_steps": 1, "n_steps": 2, "detail": False}
    train_generator(name="mean-embedding", images=cohort, budget=BUDGET, config=config, out=tmp_path / "g")
    with pytest.raises(ConfigError, match="score no single image"):
        load_scorer(tmp_path / "g")
    (folders / "gan" / CHECKPOINT).rename(tmp_path / CHECKPOINT)
    with pytest.raises(ResumeError, match="no discriminator"):
        load_scorer(folders / "gan")
    (tmp_path / CHECKPOINT).rename(folders / "gan" / CHECKPOINT)
