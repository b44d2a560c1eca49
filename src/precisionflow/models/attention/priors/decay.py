"""The prior of distance: an edge is the less probable the farther apart its tokens stand."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.models.attention.log_prior import Block, Edgewise, LogPrior, Offsets
from precisionflow.models.attention.sites import Sites


class Decay(nn.Module):
    """log p(edge i -> j) = -slope |position of i - position of j|, a fixed slope of every head (Press et al. 2022)."""

    horizon = None
    slopes: Tensor

    def __init__(self, slopes: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("slopes", torch.tensor(slopes), persistent=False)

    def log(self, queries: Sites, keys: Sites) -> LogPrior:
        return LogPrior(factors=(Distant(Offsets(queries, keys), self.slopes),))


@dataclass(frozen=True)
class Distant:
    """-slope |offset|."""

    offsets: Offsets
    slopes: Float[Tensor, "heads"]
    keeps_self = True
    learned: tuple[Tensor, ...] = ()

    def reach(self, queries: slice, keys: int) -> slice:  # noqa: ARG002 - no distance is too far
        return slice(0, keys)

    def block(self, queries: slice, keys: slice) -> Block:
        return (self.offsets.block(queries, keys).abs() * -self.slopes[:, None, None])[None]

    def of_heads(self, heads: slice) -> "Distant":
        return replace(self, slopes=self.slopes[heads])

    def edgewise(self) -> Edgewise:
        offset, slopes = self.offsets.edgewise(), self.slopes
        return Edgewise(log=lambda batch, head, query, key: -slopes[head] * offset(query, key).abs())  # noqa: ARG005


def usual_slopes(heads: int) -> tuple[float, ...]:
    """2^(-8 h / heads) of head h = 1 ... heads (Press et al. 2022, section 3)."""
    return tuple(2.0 ** (-8 * head / heads) for head in range(1, heads + 1))
