"""Each way to gradients per subject against a loop, in float64; slices, devices and precision change nothing."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from generators.base import ConfigError
from generators.gradients.layers import UnknownUseError, keeps_subjects_apart, layer_gradients
from generators.gradients.replicas import refresh, replicate
from generators.gradients.subjects import Speed, SubjectData, clipped_sum, fastest_path, vmap_gradients

Network = Callable[[], nn.Module]


class Convolutions(nn.Module):
    """Every kind of layer and of convolution that the fast way knows: wide, narrow in, narrow out, one pixel,
    strided, dilated, without padding, a layer used twice, norms, a linear layer over places."""

    def __init__(self) -> None:
        super().__init__()
        self.into = nn.Conv2d(1, 16, 3, stride=2, padding=1)
        self.norm = nn.GroupNorm(4, 16)
        self.wide = nn.Conv2d(16, 16, 3, padding=1)
        self.dilated = nn.Conv2d(16, 16, 3, padding=2, dilation=2, bias=False)
        self.pixel = nn.Conv2d(16, 12, 1)
        self.tall = nn.Conv2d(12, 12, (3, 2))
        self.over_places = nn.Linear(12, 10)
        self.layer_norm = nn.LayerNorm(10)
        self.out = nn.Conv2d(10, 2, (2, 3), padding=(1, 0))
        self.never_used = nn.Linear(2, 2)

    def forward(self, images: Tensor, conditions: Tensor) -> Tensor:
        hidden = torch.tanh(self.norm(self.into(images)))
        hidden = self.wide(torch.tanh(self.wide(hidden)))
        hidden = self.tall(self.pixel(self.dilated(hidden))) + conditions[:, :1, None, None]
        places = self.layer_norm(self.over_places(hidden.movedim(1, -1)))
        found: Tensor = self.out(places.movedim(-1, 1))
        return found


class Reconstruction(nn.Module):
    """A small autoencoder of images and conditions."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, padding=1),
            nn.GroupNorm(4, 8),
            nn.SiLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1),
            nn.Flatten(),
        )
        self.to_latent, self.from_latent = nn.Linear(16 * 16 + 3, 4), nn.Linear(4 + 3, 16 * 16)
        self.up = nn.Sequential(
            nn.Upsample(scale_factor=2),
            nn.Conv2d(16, 16, 3, padding=1),
            nn.SiLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(16, 1, 3, padding=1),
        )

    def forward(self, images: Tensor, conditions: Tensor) -> Tensor:
        latent = self.to_latent(torch.cat([self.down(images), conditions], dim=1))
        start = self.from_latent(torch.cat([latent, conditions], dim=1))
        found: Tensor = self.up(start.reshape(-1, 16, 4, 4))
        return found


def denoiser() -> nn.Module:
    from diffusers.models.unets.unet_2d import UNet2DModel

    class Denoiser(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = UNet2DModel(
                sample_size=16,
                in_channels=1,
                out_channels=1,
                layers_per_block=1,
                block_out_channels=(8, 16),
                norm_num_groups=4,
                attention_head_dim=4,
                down_block_types=("DownBlock2D", "AttnDownBlock2D"),
                up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            )

        def forward(self, images: Tensor, conditions: Tensor) -> Tensor:
            found: Tensor = self.inner(images, conditions[:, 0] * 100, return_dict=False)[0]
            return found

    return Denoiser()


NETWORKS = pytest.mark.parametrize("make", [Convolutions, Reconstruction, denoiser])


def loss(network: nn.Module, images: Tensor, conditions: Tensor) -> Tensor:
    return (network(images, conditions) - 0.3).square().flatten(1).sum(1)


def seeded(make: Network) -> nn.Module:
    torch.manual_seed(0)
    return make().double()


def people(n_subjects: int, n_views: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    images = torch.rand(n_subjects, n_views, 1, 16, 16, generator=generator, dtype=torch.float64)
    return images, torch.rand(n_subjects, n_views, 3, generator=generator, dtype=torch.float64)


def by_loop(network: nn.Module, images: Tensor, conditions: Tensor) -> dict[str, Tensor]:
    each = []
    for one, words in zip(images, conditions, strict=True):
        network.zero_grad()
        loss(network, one, words).sum().backward()
        each.append(
            {
                name: torch.zeros_like(value) if value.grad is None else value.grad.clone()
                for name, value in network.named_parameters()
            }
        )
    return {name: torch.stack([gradient[name] for gradient in each]) for name in each[0]}


@NETWORKS
@pytest.mark.parametrize("n_views", [1, 3])
@pytest.mark.parametrize("way", [layer_gradients, vmap_gradients])
def test_each_subjects_gradient_is_that_of_a_loop(
    way: Callable[..., dict[str, Tensor]], n_views: int, make: Network
) -> None:
    network, (images, conditions) = seeded(make), people(3, n_views)
    expected, found = by_loop(network, images, conditions), way(network, loss, images, conditions)
    largest = max(float(value.abs().max()) for value in expected.values())
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=1e-5, atol=1e-10 * largest), name


def data(owner: list[int], views: int, dtype: torch.dtype = torch.float64) -> SubjectData:
    images, conditions = people(len(owner), 1)
    return SubjectData(
        images=images[:, 0].to(dtype), conditions=conditions[:, 0].to(dtype), owner=np.array(owner), views=views
    )


@pytest.mark.parametrize("path", ["vmap", "layers"])
@pytest.mark.parametrize("view_slice", [1, 2, 3])
def test_slices_of_views_add_up_to_the_whole_before_the_clip(view_slice: int, path: str) -> None:
    # Every draw of four takes the same images, in whatever order.
    network, cohort = seeded(Reconstruction), data([0] * 4 + [1] * 4 + [2] * 2, views=4)
    whole, sliced = (
        clipped_sum(network, loss, cohort, np.arange(3), bound=0.1, speed=Speed(view_slice=size, path=path))
        for size in (4, view_slice)
    )
    assert all(torch.allclose(whole[name], sliced[name], rtol=1e-5, atol=1e-12) for name in whole)


@pytest.mark.parametrize("path", ["vmap", "layers"])
def test_two_devices_give_the_sum_of_one(path: str) -> None:
    network, cohort = seeded(Reconstruction), data([0, 1, 2, 3, 4, 4], views=2)
    replicas = replicate(network, cohort, [torch.device("cpu")])
    with torch.no_grad():
        for value in network.parameters():
            value.add_(0.01)
    refresh(replicas, network)
    speed = Speed(microbatch=2, path=path)
    one, two = (
        clipped_sum(network, loss, cohort, np.arange(5), bound=0.1, speed=speed, replicas=copies)
        for copies in ((), replicas)
    )
    assert all(torch.allclose(one[name], two[name], rtol=1e-5, atol=1e-12) for name in one)


@pytest.mark.parametrize("path", ["vmap", "layers"])
def test_low_precision_is_of_the_passes_alone(path: str) -> None:
    torch.manual_seed(0)
    network, cohort = Reconstruction(), data([0, 1, 1, 2], views=2, dtype=torch.float32)
    exact, rough = (
        clipped_sum(network, loss, cohort, np.arange(3), bound=0.1, speed=Speed(precision=word, path=path))
        for word in ("float32", "bfloat16")
    )
    assert {value.dtype for value in rough.values()} == {torch.float32}
    assert any(not torch.equal(exact[name], rough[name]) for name in exact)
    flat = [torch.cat([value.flatten() for value in total.values()]) for total in (exact, rough)]
    assert float((flat[0] - flat[1]).norm() / flat[0].norm()) < 0.1
    one = clipped_sum(network, loss, cohort, np.array([1]), bound=0.1, speed=Speed(precision="bfloat16", path=path))
    assert float(torch.cat([value.flatten() for value in one.values()]).double().norm()) <= 0.1


class Mixing(Reconstruction):
    def forward(self, images: Tensor, conditions: Tensor) -> Tensor:
        return super().forward(images - images.mean(0).detach(), conditions)


class Reversing(Convolutions):
    """Rows change places within: each loss is of its own image, but a layer sees another's row in its place."""

    def forward(self, images: Tensor, conditions: Tensor) -> Tensor:
        return super().forward(images.flip(0), conditions.flip(0)).flip(0)


class Bare(Convolutions):
    """A weight that no layer holds."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor, conditions: Tensor) -> Tensor:
        return super().forward(images, conditions) * self.scale


class Tied(Convolutions):
    def forward(self, images: Tensor, conditions: Tensor) -> Tensor:
        return super().forward(images, conditions) + self.into.weight.sum()


class Folding(Reconstruction):
    """Places as rows: a layer's input has not one row for each image."""

    def forward(self, images: Tensor, conditions: Tensor) -> Tensor:
        both = super().forward(torch.cat([images, images]), torch.cat([conditions, conditions]))
        return both[: len(images)]


@NETWORKS
def test_the_fast_way_is_taken_where_it_is_right(make: Network) -> None:
    assert fastest_path(seeded(make), loss, data([0, 1], views=1), Speed(path="auto")).path == "layers"


@pytest.mark.parametrize("make", [Mixing, Reversing, Bare, Tied, Folding])
def test_the_fast_way_is_refused_where_it_would_be_wrong(make: Network) -> None:
    network, cohort = seeded(make), data([0, 1], views=1)
    assert not keeps_subjects_apart(network, loss, cohort.images, cohort.conditions)
    assert fastest_path(network, loss, cohort, Speed(path="auto")).path == "vmap"


def test_a_weight_used_in_a_new_way_is_found_out_at_the_call() -> None:
    network, (images, conditions) = seeded(Bare), people(2, 1)
    with pytest.raises(UnknownUseError):
        layer_gradients(network, loss, images, conditions)
    cohort = data([0, 1], views=1)
    sums = [
        clipped_sum(network, loss, cohort, np.arange(2), bound=1.0, speed=Speed(path=path))
        for path in ("vmap", "layers")
    ]
    assert all(torch.equal(sums[0][name], sums[1][name]) for name in sums[0])


def test_a_loss_with_its_own_noise_differs_between_subjects_and_views() -> None:
    def noisy(network: nn.Module, images: Tensor, conditions: Tensor) -> Tensor:
        return (network(images, conditions) - torch.rand_like(images)).square().flatten(1).sum(1)

    network, (images, conditions) = seeded(Reconstruction), people(1, 1)
    images, conditions = images.expand(2, -1, -1, -1, -1), conditions.expand(2, -1, -1)
    for way in (layer_gradients, vmap_gradients):
        found = way(network, noisy, images, conditions)["to_latent.weight"]
        assert not torch.allclose(found[0], found[1])


def test_frozen_weights_have_no_gradient_and_the_rest_are_right() -> None:
    network, (images, conditions) = seeded(Convolutions), people(2, 2)
    expected = by_loop(network, images, conditions)
    network.wide.requires_grad_(False)
    for way in (layer_gradients, vmap_gradients):
        found = way(network, loss, images, conditions)
        assert found.keys() == {name for name in expected if not name.startswith("wide")}
        assert all(torch.allclose(found[name], expected[name]) for name in found)


def test_views_are_a_subjects_own_and_all_of_them_where_they_last() -> None:
    cohort = replace(data([2, 0, 1, 0, 2, 0], views=3))
    rows = cohort.draw_views(np.array([0, 2])).numpy()
    assert sorted(rows[0]) == [1, 3, 5]
    assert set(rows[1]) == {0, 4}


@pytest.mark.parametrize("setting", [{"precision": "float8"}, {"path": "ghost"}])
def test_a_word_that_is_not_known_is_refused(setting: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=next(iter(setting))):
        Speed(**setting)  # type: ignore[arg-type]  # words alone
