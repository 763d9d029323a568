"""Shadows of each family that scores images; `lora`, whose shadows begin with its own base, guilty and innocent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

from audits.base import AuditError, AuditInput, Status
from audits.shadows.measuring import Shadows
from audits.shadows.training import plan_shadows, train_shadow
from generators.base import ConfigError
from generators.folder import load_card
from generators.networks.tensors import seeded
from tests.audits.leaking_weights import (
    SIZE,
    SMALL_VAE,
    N,
    fewer_steps,
    found_by,
    named_as_if_of,
    phantom_arms,
    trained,
)

STEPS: Mapping[str, object] = {"n_steps": 1, "batch_size": 4, "views": 1, "checkpoint_every": 1, "path": "vmap"}
FAMILIES: Mapping[str, Mapping[str, object]] = {
    "vae": {**SMALL_VAE, "width": 8, "n_latents": 4},
    "gan": {
        "width": 8, "n_latents": 4, "warm_steps": 1, "public_steps": 1, "discriminator_steps": 1, "n_steps": 1,
        "batch_size": 4, "checkpoint_every": 1, "path": "vmap",
    },
    "latent-diffusion": {
        "n_components": 6, "width": 16, "depth": 1, "public_steps": 1, "draw_steps": 1, "n_draws": 100,
        "detail": "none", "sampling_steps": 2, **STEPS,
    },
    "diffusion": {"width": 8, "public_steps": 1, "central_share": 0, **STEPS},
}  # fmt: skip
# Without privacy, everybody in each step: forty times are enough to be remembered by so small a network.
LORA: Mapping[str, object] = {
    "rank": 16, "n_steps": 40, "batch_size": N, "views": 1, "learning_rate": 1.5e-2, "average": 0.0,
    "condition_dropout": 0.0, "microbatch": N, "path": "vmap", "checkpoint_every": 40,
}  # fmt: skip


@pytest.fixture(scope="module")
def arms() -> AuditInput:
    return phantom_arms()


def base_in(folder: Path, *, seed: int) -> Path:
    """An untrained public network that sees squares of 2 x 2 pixels: as small as one that denoises can be."""
    with seeded(seed):
        unet = UNet2DModel(
            sample_size=SIZE // 2,
            in_channels=4,
            out_channels=4,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            block_out_channels=(8, 16),
            layers_per_block=1,
            norm_num_groups=4,
        )
    unet.save_pretrained(folder / "unet")
    DDPMScheduler(num_train_timesteps=100, prediction_type="sample").save_pretrained(folder / "scheduler")
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return base_in(tmp_path_factory.mktemp("public") / "base", seed=0)


@pytest.mark.parametrize("name", [*list(FAMILIES)[:-1], pytest.param("diffusion", marks=pytest.mark.slow)])
def test_both_attacks_hold_a_family_that_scores(
    name: str, arms: AuditInput, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewer_steps(monkeypatch, 1)
    trained(name, arms.train, tmp_path / "g", FAMILIES[name])
    found = found_by(arms, tmp_path / "g", Shadows(n=3, most_seconds=None))
    assert [m.details.get("n_shadows") for m in found.values()] == [None, 3]
    assert all(m.value is not None and m.details["family"] == name for m in found.values())


@pytest.mark.proofs
@pytest.mark.timeout(3600)
def test_lora_is_detected_where_it_remembers_and_not_where_it_never_saw(
    arms: AuditInput, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both cards say the same, so that the innocent one reads the shadows of the guilty one."""
    fewer_steps(monkeypatch, 20)
    shadows = Shadows(n=3, most_seconds=None, base=base, keep=tmp_path / "shadows")
    found = {}
    for name, seen in (("guilty", arms.train), ("innocent", arms.synthetic)):
        trained("lora", seen, tmp_path / name, {**LORA, "base": str(base)})
        found[name] = found_by(arms, named_as_if_of(arms.train, tmp_path / name), shadows)["lira"]
    guilty, innocent = found["guilty"], found["innocent"]
    assert guilty.status is Status.DETECTED
    assert 0.3 < float(guilty.negative_control or 0) < 0.7
    assert len(list((tmp_path / "shadows").glob("shadow-*/generator.json"))) == 3
    # What a trainer draws differs each time: one in a thousand may be this far out.
    assert float(innocent.p_value or 0) > 1e-3
    assert float(innocent.positive_control or 0) > 0.5


def test_shadows_of_lora_begin_with_the_base_that_the_card_names_alone(
    arms: AuditInput, base: Path, tmp_path: Path
) -> None:
    assert arms.control is not None
    card = trained("lora", arms.train, tmp_path / "g", {**STEPS, "rank": 1, "base": str(base)})
    for other in (None, base_in(tmp_path / "other", seed=1)):
        with pytest.raises(AuditError, match=r"public data that was not given.*--base FOLDER"):
            plan_shadows(card, arms.control, tmp_path, n=3, seed=0, base=other)
    with pytest.raises(ConfigError, match="no such folder"):
        plan_shadows(card, arms.control, tmp_path, n=3, seed=0, base=tmp_path / "missing")
    moved = base.rename(base.with_name("moved"))
    try:
        planned = plan_shadows(card, arms.control, tmp_path, n=3, seed=0, base=moved, public=arms.synthetic)
        assert {shadow.public for shadow in planned} == {None}  # it is not what this generator began with
        shadow = load_card(train_shadow(planned[0]))
    finally:
        moved.rename(base)
    assert (shadow.public_data[0]["digest"], shadow.data_digest) == (
        card.public_data[0]["digest"],
        planned[0].images.digest,
    )
    assert card.config == {**shadow.config, "base": base.name, "labels": card.config["labels"]}


def test_without_its_base_lora_is_not_assessable_by_shadows(
    arms: AuditInput, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewer_steps(monkeypatch, 1)
    trained("lora", arms.train, tmp_path / "g", {**STEPS, "rank": 1, "base": str(base)})
    found = found_by(replace(arms, public=arms.synthetic), tmp_path / "g", Shadows(n=3))
    assert found["loss"].value is not None
    assert found["lira"].status is Status.NOT_ASSESSABLE
    assert str(tmp_path) not in found["lira"].reason
