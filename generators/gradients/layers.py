"""Gradients per subject from one pass over all of them: equal to vmap's, and on a CPU close to an ordinary step.

The images of all subjects go through the network as one batch, and each layer's backward keeps the gradient of its
weights apart for each subject. Compared with Opacus's hooks a convolution's input is never unfolded: a grouped
convolution gives all subjects' weight gradients at once. Compared with vmap the backward pass builds no second graph.

This is sound only where no row of the batch touches another and every trained weight is used by a layer that is known
here. `keeps_subjects_apart` proves both on drawn noise before private data is seen; vmap, which keeps subjects apart
by construction, takes what it refuses. A weight used in any other way is found out again at every call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from generators.gradients.convolutions import Geometry, Pair, weight_gradients

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]
Collect = Callable[[Tensor, Tensor], None]


class UnknownUseError(Exception):
    """A trained weight is used by something other than the layers that are known here."""


def layer_gradients(network: nn.Module, loss: Loss, images: Tensor, conditions: Tensor) -> dict[str, Tensor]:
    """[S, *parameter] for each trained one: gradients of each subject's sum of losses.

    images [S, v, ...] and conditions [S, v, c]. Raises UnknownUseError.
    """
    parameters = {name: value for name, value in network.named_parameters() if value.requires_grad}
    watch = _Watch(parameters, n_subjects=len(images), rows=images.shape[:2].numel(), device=images.device)
    with torch.enable_grad():
        with watch:
            losses = loss(network, images.flatten(0, 1), conditions.flatten(0, 1))
        unknown = torch.autograd.grad(losses.sum(), [watch.anchor, *parameters.values()], allow_unused=True)[1:]
    if any(value is not None for value in unknown):
        raise UnknownUseError
    nothing = {name: value for name, value in parameters.items() if name not in watch.found}
    return watch.found | {name: value.new_zeros((len(images), *value.shape)) for name, value in nothing.items()}


def keeps_subjects_apart(network: nn.Module, loss: Loss, images: Tensor, conditions: Tensor) -> bool:
    """Whether `gradients.layers` is right for this network and loss, tried on three subjects of noise.

    images [N, ...] and conditions [N, c] give shapes alone. When one subject becomes another, the gradients of the
    other two must stay what they were, whatever the loss draws.
    """
    noise = torch.rand((2, 3, 1, *images.shape[1:]), device=images.device).to(images.dtype)
    words = torch.rand((2, 3, 1, *conditions.shape[1:]), device=images.device).to(conditions.dtype)

    def gradients(changed: int | None) -> dict[str, Tensor]:
        pick = [int(subject == changed) for subject in range(3)]
        torch.manual_seed(0)  # what the loss draws is the same each time
        return layer_gradients(network, loss, noise[pick, range(3)], words[pick, range(3)])

    with torch.random.fork_rng(devices=[]):
        try:
            before = gradients(None)
            return all(_same_but(before, gradients(subject), subject) for subject in range(3))
        except (UnknownUseError, RuntimeError):
            return False


def _same_but(first: Mapping[str, Tensor], second: Mapping[str, Tensor], subject: int) -> bool:
    others = [other for other in range(3) if other != subject]
    return all(torch.allclose(value[others], second[name][others], rtol=1e-4) for name, value in first.items())


class _Watch(TorchFunctionMode):
    """While it is entered, known layers with trained weights keep these weights' gradients apart for each subject."""

    def __init__(self, parameters: Mapping[str, Tensor], *, n_subjects: int, rows: int, device: torch.device) -> None:
        super().__init__()
        self.names = {id(value): name for name, value in parameters.items()}
        self.n_subjects, self.rows = n_subjects, rows
        self.anchor = torch.zeros((), device=device, requires_grad=True)
        self.found: dict[str, Tensor] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        layer = LAYERS.get(func)
        if layer is None:
            return func(*args, **(kwargs or {}))
        return layer(self, *args, **(kwargs or {}))

    def knows(self, inputs: Tensor, *weights: Tensor | None) -> bool:
        """Whether a layer has weights to watch, and one row of input for each image."""
        trained = any(weight is not None and id(weight) in self.names for weight in weights)
        return trained and len(inputs) == self.rows

    def output(self, value: Tensor, inputs: Tensor, collect: Collect) -> Tensor:
        watched: Tensor = _Watched.apply(value, self.anchor, inputs, collect)  # type: ignore[no-untyped-call]  # torch
        return watched

    def keep(self, weight: Tensor | None, gradient: Callable[[], Tensor]) -> None:
        """Add [S, ...] to what was found for `weight`, where it is trained."""
        name = None if weight is None else self.names.get(id(weight))
        if name is None or weight is None:
            return
        value = gradient().reshape(self.n_subjects, *weight.shape).to(weight.dtype)
        self.found[name] = self.found[name] + value if name in self.found else value

    def by_subject(self, value: Tensor) -> Tensor:
        """[S * v, ...] to [S, v, ...]."""
        return value.reshape(self.n_subjects, -1, *value.shape[1:])


class _Watched(torch.autograd.Function):
    """A layer's output as it is; on the way back `collect` is shown the layer's input and the output's gradient.

    The anchor makes autograd come by where the input needs no gradient, as in a first layer.
    """

    @staticmethod
    def forward(ctx: Any, value: Tensor, _anchor: Tensor, inputs: Tensor, collect: Collect) -> Tensor:
        ctx.save_for_backward(inputs)
        ctx.collect = collect
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, None, None]:
        (gradient,), (inputs,) = gradients, ctx.saved_tensors
        with torch.no_grad():
            ctx.collect(inputs, gradient)
        return gradient if ctx.needs_input_grad[0] else None, None, None, None


def _fixed(value: Tensor | None) -> Tensor | None:
    return None if value is None else value.detach()


def _linear(watch: _Watch, inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    if not watch.knows(inputs, weight, bias):
        return functional.linear(inputs, weight, bias)

    def collect(inputs: Tensor, gradient: Tensor) -> None:
        back = gradient.reshape(watch.n_subjects, -1, gradient.shape[-1])
        ahead = inputs.reshape(watch.n_subjects, -1, inputs.shape[-1]).to(back)
        watch.keep(weight, lambda: back.transpose(1, 2) @ ahead)
        watch.keep(bias, lambda: back.sum(1))

    return watch.output(functional.linear(inputs, weight.detach(), _fixed(bias)), inputs, collect)


def _conv2d(
    watch: _Watch,
    inputs: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | str | Pair = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Tensor:
    if not watch.knows(inputs, weight, bias) or isinstance(padding, str) or groups != 1 or inputs.dim() != 4:
        return torch.conv2d(inputs, weight, bias, stride, padding, dilation, groups)
    step, edge, spread = _pair(stride), _pair(padding), _pair(dilation)

    def collect(inputs: Tensor, gradient: Tensor) -> None:
        ahead, back = watch.by_subject(inputs.to(gradient)), watch.by_subject(gradient)
        watch.keep(weight, lambda: weight_gradients(ahead, back, Geometry(weight.shape, step, edge, spread)))
        watch.keep(bias, lambda: back.sum((1, 3, 4)))

    fixed = torch.conv2d(inputs, weight.detach(), _fixed(bias), step, edge, spread)
    return watch.output(fixed, inputs, collect)


def _group_norm(
    watch: _Watch,
    input: Tensor,  # noqa: A002 (torch's name, which callers may use)
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    if not watch.knows(input, weight, bias):
        return functional.group_norm(input, num_groups, weight, bias, eps)

    # In the weights' own precision, as autocast has it; by its inner name, which also tells each group's statistics.
    values = input.to(weight if bias is None else bias).contiguous()
    rows, channels, *sides = values.shape
    fixed, mean, scale = torch.native_group_norm(
        values, _fixed(weight), _fixed(bias), rows, channels, math.prod(sides), num_groups, eps
    )

    def by_channel(statistic: Tensor) -> Tensor:
        return statistic.detach().repeat_interleave(channels // num_groups, dim=1)

    def collect(inputs: Tensor, gradient: Tensor) -> None:
        back = gradient.flatten(2).sum(2)
        along = (gradient * inputs.to(gradient)).flatten(2).sum(2)
        watch.keep(weight, lambda: watch.by_subject((along - back * by_channel(mean)) * by_channel(scale)).sum(1))
        watch.keep(bias, lambda: watch.by_subject(back).sum(1))

    return watch.output(fixed, values, collect)


def _layer_norm(
    watch: _Watch,
    input: Tensor,  # noqa: A002 (as above)
    normalized_shape: list[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    if not watch.knows(input, weight, bias):
        return functional.layer_norm(input, normalized_shape, weight, bias, eps)

    def collect(inputs: Tensor, gradient: Tensor) -> None:
        centred = functional.layer_norm(inputs.to(gradient), normalized_shape, eps=eps)
        shape = (watch.n_subjects, -1, *normalized_shape)
        watch.keep(weight, lambda: (gradient * centred).reshape(shape).sum(1))
        watch.keep(bias, lambda: gradient.reshape(shape).sum(1))

    fixed = functional.layer_norm(input, normalized_shape, _fixed(weight), _fixed(bias), eps)
    return watch.output(fixed, input, collect)


def _pair(value: int | Pair) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


LAYERS: dict[Any, Callable[..., Tensor]] = {
    torch.conv2d: _conv2d,
    functional.linear: _linear,
    functional.group_norm: _group_norm,
    functional.layer_norm: _layer_norm,
}
