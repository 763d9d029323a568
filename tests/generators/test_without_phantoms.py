"""Images that no phantom is like: what was learnt can be drawn, and the card names no phantom that lent nothing."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from generators.base import CellCount, ConfigError, GeneratorError
from generators.data import ImageSet
from generators.phantoms import can_draw, draw_phantoms
from generators.privacy import PrivacyBudget
from generators.runner import sample_generator, train_generator
from generators.tables import resize_images

BUDGET = PrivacyBudget(target_epsilon=8, public_n_subjects=60)
LATENT = {"n_components": 6, "basis": "pca"}
FAMILIES: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "latent-statistics": ("latent-statistics", LATENT),
    "latent-statistics with a network": ("latent-statistics", LATENT | {"detail": "network", "detail_steps": 2}),
    "latent-diffusion": (
        "latent-diffusion",
        {
            "n_components": 6, "width": 8, "depth": 1, "public_steps": 1, "draw_steps": 1, "n_draws": 100, "n_steps": 2,
            "batch_size": 10, "views": 2, "sampling_steps": 2,
        },
    ),
    "private-evolution": ("private-evolution", {"n_rounds": 1}),
    "mean-embedding": (
        "mean-embedding", {"n_components": 6, "n_frequencies": 10, "public_steps": 1, "n_steps": 2, "width": 8},
    ),
}  # fmt: skip


def phantoms(n: int, seed: int, *, size: int, colour: bool) -> ImageSet:
    images = resize_images(draw_phantoms(n_subjects=n, size=16, seed=seed, max_images=1).images, size)
    pixels = np.repeat(images.images[..., None], 3, axis=-1) if colour else images.images
    return ImageSet(images=pixels, label=images.label, subject=images.subject)


@pytest.mark.parametrize(("size", "colour"), [(8, False), (16, True)], ids=["8 pixels", "colour"])
@pytest.mark.parametrize(("name", "config"), FAMILIES.values(), ids=FAMILIES)
def test_what_was_paid_for_can_be_drawn(
    name: str, config: Mapping[str, object], size: int, colour: bool, tmp_path: Path
) -> None:
    images, public = (phantoms(n, seed, size=size, colour=colour) for n, seed in ((60, 4), (80, 9)))
    card = train_generator(name=name, images=images, budget=BUDGET, config=config, out=tmp_path / "g", public=public)
    drawn = sample_generator(tmp_path / "g", [CellCount(label=card.labels[0], n=3)])
    assert drawn.images.shape == (3, size, size, 3) if colour else (3, size, size)
    assert str(card.config["detail"]) in {"False", "none", "network"}
    assert [entry["use"] for entry in card.public_data if entry["name"] == "phantoms"] == []


@pytest.mark.parametrize("size", [8, 520])
def test_votes_on_phantoms_that_cannot_be_drawn_cost_nothing(size: int, tmp_path: Path) -> None:
    pixels = np.zeros((20, size, size), dtype=np.uint8)
    images = ImageSet(images=pixels, label=np.repeat(["normal", "opacity"], 10))
    call = {"name": "private-evolution", "config": {"simulator": "phantoms"}, "budget": BUDGET}
    with pytest.raises(ConfigError, match="simulator: phantoms are grey, of 16 to 512 pixels"):
        train_generator(**call, images=images, public=images, out=tmp_path / "g")
    assert not (tmp_path / "g").exists()


@pytest.mark.parametrize(
    ("config", "uses"),
    [
        pytest.param({}, ["detail"], id="lent detail"),
        pytest.param({"detail": False}, [], id="no detail"),
        pytest.param({"simulator": "phantoms"}, ["simulator"], id="simulator"),
    ],
)
def test_votes_name_phantoms_for_what_they_gave(config: Mapping[str, object], uses: list[str], tmp_path: Path) -> None:
    images, public = (phantoms(n, seed, size=16, colour=False) for n, seed in ((60, 4), (80, 9)))
    call = {"name": "private-evolution", "budget": BUDGET, "config": {"n_rounds": 1, **config}}
    card = train_generator(**call, images=images, public=public, out=tmp_path / "g")
    assert [entry["use"] for entry in card.public_data if entry["name"] == "phantoms"] == uses


@pytest.mark.parametrize(
    ("size", "channels", "possible"), [(15, 1, False), (16, 1, True), (512, 1, True), (513, 1, False), (64, 3, False)]
)
def test_phantoms_are_drawn_exactly_where_they_say_that_they_can(size: int, channels: int, possible: bool) -> None:
    assert can_draw(size=size, channels=channels) == possible
    if channels == 1:
        try:
            draw_phantoms(n_subjects=1, size=size, max_images=1)
        except GeneratorError:
            assert not possible
        else:
            assert possible
