"""The published peers learn what they are shown: a row that cannot is a straw man, however private it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from audits.bench.peers import PEERS, run_peer
from audits.bench.peers.base import PeerData, PeerJob
from audits.bench.peers.dpfeta import central_images
from audits.bench.peers.unet import patch_of
from generators.data import ImageSet
from generators.privacy import GaussianEvent, PrivacyBudget

N, SIDE = 120, 8
LARGE_BUDGET = PrivacyBudget(target_epsilon=100, target_delta=1e-5, public_n_subjects=N, privacy_unit="record")
# Few enough for seconds; a network told labels by channels alone knows nothing of them by then.
STEPS = {
    "peer-dpdm": {"n_steps": "60", "views": "2"},
    "peer-dpfeta": {"n_steps": "60", "views": "2", "warmup_steps": "5"},
    "peer-dpgan": {"n_steps": "120", "discriminator_steps": "2"},
}


def _job() -> PeerJob:
    """Ink on the left or on the right, as the label says, of one amount."""
    rng = np.random.default_rng(0)
    label = np.repeat(["left", "right"], N // 2)
    images = rng.integers(0, 60, (N, SIDE, SIDE), dtype=np.uint8)
    images[: N // 2, :, : SIDE // 2] += 180
    images[N // 2 :, :, SIDE // 2 :] += 180
    return PeerJob(images=ImageSet(images=images, label=label), budget=LARGE_BUDGET, n_images=80, seed=0, device="cpu")


@pytest.mark.parametrize("peer", PEERS)
def test_with_little_noise_a_peer_puts_ink_where_the_label_says(peer: str) -> None:
    drawn, spend = run_peer(peer, _job(), {**STEPS[peer], "batch_size": str(N), "microbatch": str(N)})
    left, right = (half.mean((1, 2)) for half in np.split(drawn.images.astype(float), 2, axis=2))
    assert drawn.label is not None
    assert np.mean((left > right) == (drawn.label == "left")) > 0.9
    assert 90 < spend.spent_epsilon <= 100


def test_central_images_without_noise_are_the_means_of_labels() -> None:
    data = PeerData.of(_job())
    event = GaussianEvent(noise_multiplier=1e-9, sample_rate=1.0, steps=1)
    central, labels = central_images(data, event, n_labels=2, n_public=N)
    means = torch.stack([data.images[data.labels == label].mean(0) for label in labels])
    torch.testing.assert_close(central, means, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("size", "patch"), [(8, 2), (28, 2), (48, 3), (64, 4), (27, 1)])
def test_patches_divide_the_side(size: int, patch: int) -> None:
    assert patch_of(size) == patch
