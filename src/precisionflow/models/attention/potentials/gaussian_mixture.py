"""A mixture of Gaussians around every key."""

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.config.optimiser import GroupName
from precisionflow.models.attention.heads import Heads, QueriesAndKeys
from precisionflow.models.attention.lowerings.log_sum import LogSum
from precisionflow.models.attention.potentials import Lowered, Tokens
from precisionflow.models.attention.potentials.centred import Centred, precision_of

SPREAD = 4.0
"""Ratio of the precisions of one component and the next before training: no two begin alike."""


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

    def _queries(self, queries: Heads, x: Tokens) -> Lowered:  # noqa: ARG002 - one mixture for all
        precision = precision_of(self.log_precision)[:, None]
        slopes = precision.expand(*queries.shape[:-1], -1)
        shifts = self.components.shift.unbind(1)
        along = torch.stack([(queries * shift[:, None]).sum(-1) for shift in shifts], dim=-1)
        levels = precision * (along - 0.5 * queries.square().sum(-1, keepdim=True))
        return torch.cat([torch.ones_like(queries[..., :1]), slopes, levels, queries], dim=-1)

    def _keys(self, keys: Heads, y: Tokens) -> Lowered:  # noqa: ARG002
        precision = precision_of(self.log_precision)
        constant = 0.5 * keys.shape[-1] * precision.log() + self.components.log_weight()
        shifts = self.components.shift.unbind(1)
        squares = torch.stack([(keys + shift[:, None]).square().sum(-1) for shift in shifts], dim=-1)
        return torch.cat([constant[:, None] - 0.5 * precision[:, None] * squares, keys], dim=-1)
