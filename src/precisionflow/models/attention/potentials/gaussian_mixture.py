"""A mixture of Gaussians around every key."""

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.config.optimiser import GroupName
from precisionflow.models.attention.heads import Heads, QueriesAndKeys
from precisionflow.models.attention.lowerings.head_by_head import Unlowered
from precisionflow.models.attention.lowerings.log_sum import LogSum
from precisionflow.models.attention.potentials import Lowered, OfHeads, Tokens
from precisionflow.models.attention.potentials.centred import Centred, precision_of

SPREAD = 4.0
"""Ratio of the precisions of one component and the next before training: no two begin alike."""

OfComponents = Float[Tensor, "heads 1 components"]


class Components(nn.Module):
    """Where the components of a head lie beside the key, and how likely each is."""

    group: ClassVar[GroupName] = "distribution"

    def __init__(self, heads: int, components: int, width: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(heads, components, width))
        self.log_odds = nn.Parameter(torch.zeros(heads, components))

    def log_weight(self) -> Float[Tensor, "heads components"]:
        """Logarithms of weights that sum to 1."""
        return self.log_odds.log_softmax(-1)


class GaussianMixture(Centred):
    """log potential = log sum_m w_m N(q_i; k_j + s_m, I / l_m): weights w, shifts s and precisions l of every head.

    Component m is l <q, k> + a_i + b_j, a_i = l <q, s> - l / 2 ||q||^2 of the query and
    b_j = -l / 2 ||k + s||^2 + d / 2 log l + log w of the key: one inner product for all components. One key is near to
    queries of several kinds.
    """

    def __init__(
        self, queries_keys: QueriesAndKeys, *, components: int, initial_precision: float | None = None
    ) -> None:
        """`initial_precision`: the geometric mean of the components', as of `GaussianIsotropic`; shifts begin at 0."""
        super().__init__(queries_keys)
        heads, width = queries_keys.heads, queries_keys.head_width
        start = width**-0.5 if initial_precision is None else initial_precision
        steps = torch.arange(components) - 0.5 * (components - 1)
        self.log_precision = nn.Parameter((math.log(start) + steps * math.log(SPREAD)).repeat(heads, 1))
        self.components = Components(heads, components, width)
        self.lowering = LogSum(components)

    def distribution(self) -> dict[str, OfHeads]:
        found = {
            "weight": self.components.log_weight().exp(),
            "precision": precision_of(self.log_precision),
            "shift": self.components.shift.norm(dim=-1),
        }
        return {
            f"{name} {place}": of_heads
            for name, of in found.items()
            for place, of_heads in enumerate(of.unbind(-1), start=1)
        }

    def _queries(self, queries: Heads, x: Tokens) -> Unlowered:  # noqa: ARG002 - one mixture for all
        return Unlowered(_lowered_queries, (queries, self.log_precision[:, None], self.components.shift))

    def _keys(self, keys: Heads, y: Tokens) -> Unlowered:  # noqa: ARG002
        log_weight = self.components.log_weight()[:, None]
        return Unlowered(
            _lowered_keys, (keys, self.log_precision[:, None], self.components.shift, log_weight)
        )


def _lowered_queries(
    queries: Heads, log_precision: OfComponents, shift: Float[Tensor, "heads components width"]
) -> Lowered:
    """[l_1, ..., l_M, a_1, ..., a_M, q]."""
    precision = precision_of(log_precision)
    slopes = precision.expand(*queries.shape[:-1], -1)
    along = torch.stack([(queries * one[:, None]).sum(-1) for one in shift.unbind(1)], dim=-1)
    levels = precision * (along - 0.5 * queries.square().sum(-1, keepdim=True))
    return torch.cat([slopes, levels, queries], dim=-1)


def _lowered_keys(
    keys: Heads,
    log_precision: OfComponents,
    shift: Float[Tensor, "heads components width"],
    log_weight: OfComponents,
) -> Lowered:
    """[b_1, ..., b_M, k]."""
    precision = precision_of(log_precision)
    constant = 0.5 * keys.shape[-1] * precision.log() + log_weight
    squares = torch.stack([(keys + one[:, None]).square().sum(-1) for one in shift.unbind(1)], dim=-1)
    return torch.cat([constant - 0.5 * precision * squares, keys], dim=-1)
