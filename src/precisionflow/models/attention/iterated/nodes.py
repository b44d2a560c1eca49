"""Attention to latent nodes: what each token of a sequence expects of nodes that are inferred of all its tokens."""

from typing import Any, ClassVar

import torch
from torch import nn

from precisionflow.config import attention as kinds
from precisionflow.config.optimiser import GroupName
from precisionflow.models.attention.heads import EVERY_HEAD, Tokens, Unnormed, beside, split_heads
from precisionflow.models.attention.iterated.latent import latent
from precisionflow.models.attention.iterated.settle import descended
from precisionflow.models.attention.iterated.slots import Observations, Present
from precisionflow.models.attention.rotation import Unrotated
from precisionflow.models.attention.sites import Sites
from precisionflow.models.numerics import at_least_float32, in_dtype_of, outside_autocast


class Nodes(nn.Module):
    """o_i = R_i^-1 sum_k p(k | i) z_k of every head: the nodes z_k that a token may be of, as it expects them.

    A head observes x_j = R_j n(W y_j + b) at every real token j: norm n, rotation R_j by the token's position. From
    learned starts its nodes take `iterations` steps down the free energy of their edges to all observations (one file
    each beside this one). Then p(k | i) = p(edge i -> k | x_i, z) sums to 1 over the nodes of the head: tokens choose
    among nodes, not nodes among tokens. Keys are values, as of `Hopfield`. Padding is no observation and gets 0.
    """

    def __init__(
        self,
        edges: Any,
        *,
        width: int,
        heads: int,
        count: int,
        iterations: int,
        norm: nn.Module | None = None,
        rotation: nn.Module | None = None,
    ) -> None:
        """`edges` is a module that is a `Latent` of so many heads, `norm` a `HeadNorm`, `rotation` a `Rotary`."""
        super().__init__()
        self.key = nn.Linear(width, width)
        self.start = nn.Parameter(torch.randn(heads, count, width // heads))
        self.edges = edges
        self.heads = heads
        self.iterations = iterations
        self.norm = norm or Unnormed()
        self.rotation = rotation or Unrotated()

    def forward(self, y: Tokens, at: Sites) -> Tokens:
        """The heads side by side."""
        keys = at_least_float32(split_heads(self.key(y), self.heads))
        observed = self.rotation(self.norm(keys, EVERY_HEAD), at)
        with outside_autocast(y.device):
            expected = self._expected(observed, None if at.present is None else at.present[:, None])
        return in_dtype_of(beside(self.rotation(expected, at.mirrored())), y)

    def _expected(self, observed: Observations, present: Present | None) -> Observations:
        """sum_k p(k | i) z_k."""
        model = self.edges.model(observed, present)
        begun = self.edges.begun(self.start.expand(len(observed), -1, -1, -1))
        state = descended(model, begun, iterations=self.iterations)
        return self.edges.shares(model, state).mT @ self.edges.slots(state)  # type: ignore[no-any-return]


class LatentAttention(nn.Module):
    """W o + b: what tokens expect of their heads' nodes, mixed by one linear map."""

    group: ClassVar[GroupName] = "attention"

    def __init__(self, nodes: Nodes, mix: nn.Module) -> None:
        super().__init__()
        self.nodes = nodes
        self.mix = mix

    def forward(self, x: Tokens, at: Sites) -> Tokens:
        return self.mix(self.heads(x, at))  # type: ignore[no-any-return]

    def heads(self, x: Tokens, at: Sites) -> Tokens:
        """What each head gives, side by side in their order, before they are mixed."""
        return self.nodes(x, at)  # type: ignore[no-any-return]


def latent_attention(
    config: kinds.Nodes,
    *,
    width: int,
    heads: int,
    norm: nn.Module | None = None,
    rotation: nn.Module | None = None,
    mix: nn.Module | None = None,
) -> LatentAttention:
    """Attention to latent nodes as the configuration describes it; `mix` as of `attention`."""
    edges = latent(config, count=config.count, width=width // heads, heads=(heads,))
    size = {"width": width, "heads": heads, "count": config.count}
    nodes = Nodes(edges, **size, iterations=config.iterations, norm=norm, rotation=rotation)
    return LatentAttention(nodes, mix or nn.Linear(width, width))
