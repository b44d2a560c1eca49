"""Readouts: from the last hidden state to the raw outputs that a likelihood reads."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.config.optimiser import GroupName
from precisionflow.models.likelihoods.density import Heads
from precisionflow.models.numerics import at_least_float32


class Readout(nn.Module):
    """The heads' outputs side by side: locations, then the precision head's, which start at 0 (precision 1)."""

    group: ClassVar[GroupName] = "readout"

    def __init__(self, width: int, heads: Heads, *, hidden: int | None = None) -> None:
        super().__init__()
        self.location_head = head(width, heads.locations, hidden=hidden)
        self.stops_gradients = heads.stops_gradients
        self.precision_head = head(width, heads.others, hidden=hidden) if heads.others else SharedPrecision()
        last = list(self.precision_head.modules())[-1]
        if isinstance(last, nn.Linear):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, features: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows outputs"]:
        precisions = self.precision_head(features.detach() if self.stops_gradients else features)
        return torch.cat(
            [at_least_float32(self.location_head(features)), at_least_float32(precisions)], dim=-1
        )


class SharedPrecision(nn.Module):
    """One learned log precision for all rows, starting at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.log_precision = nn.Parameter(torch.zeros(1))

    def forward(self, features: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows 1"]:
        return self.log_precision.expand(*features.shape[:-1], 1)


def precision_head_names(model: nn.Module) -> frozenset[str]:
    """Names of the parameters that belong to precision heads, as `model` calls them."""
    return frozenset(
        f"{place}.precision_head.{name}".removeprefix(".")
        for place, module in model.named_modules()
        if isinstance(module, Readout)
        for name, _ in module.precision_head.named_parameters()
    )


def head(width: int, outputs: int, *, hidden: int | None) -> nn.Module:
    """A linear map to the outputs, or one behind a hidden layer."""
    if hidden is None:
        return nn.Linear(width, outputs)
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
