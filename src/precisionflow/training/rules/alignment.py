"""Alignment of a gradient with backprop's: cosines, layer by layer."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from precisionflow.models.networks.layered import Layered
from precisionflow.models.numerics import outside_autocast

Gradient = dict[nn.Parameter, Tensor]


class Alignment(NamedTuple):
    """Cosines between two gradients; 0 where one of them is exactly 0."""

    layers: list[float]
    """Of the weights from each error, or the inputs, up to the next."""
    output: float
    """Of those above the last error."""
    whole: float
    """Of all."""


def gradient(model: Layered, of: Tensor, *, total: Callable[[Tensor], Tensor]) -> Gradient:
    """Gradient of a sum over samples in every weight; `total` sums a copy over ranks."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    with outside_autocast(of.device):
        gradients = torch.autograd.grad(of, weights, allow_unused=True, materialize_grads=True)
    return {weight: total(each) for weight, each in zip(weights, gradients, strict=True)}


def alignment(model: Layered, one: Gradient, other: Gradient, *, places: Sequence[int]) -> Alignment:
    """`places` are those of the layers with an error."""
    layers, ends = list(model.layers), [0, *(place + 1 for place in places)]
    return Alignment(
        [_cosine(one, other, layers[start:end]) for start, end in pairwise(ends)],
        _cosine(one, other, [*layers[ends[-1] :], model.readout]),
        _cosine(one, other, [model]),
    )


def cosine(one: Float64[Tensor, "weights"], other: Float64[Tensor, "weights"]) -> float:
    """<a, b> / (|a| |b|), the same at every scale of a and b; 0 where one of them is exactly 0."""
    if not (one.any() and other.any()):
        return 0.0
    a, b = (side / side.abs().max() for side in (one, other))
    return float(torch.dot(a, b) / (torch.linalg.vector_norm(a) * torch.linalg.vector_norm(b)))


def _cosine(one: Gradient, other: Gradient, modules: Sequence[nn.Module]) -> float:
    weights = [weight for module in modules for weight in module.parameters() if weight in one]
    if not weights:
        return 0.0
    return cosine(
        *(torch.cat([side[weight].double().flatten() for weight in weights]) for side in (one, other))
    )
