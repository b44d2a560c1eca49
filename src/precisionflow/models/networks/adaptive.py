"""Readouts of an adaptive softmax: with weights of its own, or with those of the token embedding."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from precisionflow.config.likelihoods import AdaptiveSoftmax as Config
from precisionflow.config.optimiser import GroupName
from precisionflow.models.attention.memory import Room
from precisionflow.models.attention.sites import Sites
from precisionflow.models.likelihoods.adaptive import AdaptiveSoftmax, ClusteredLogits

LinearMap = Callable[[int, int], nn.Linear]
FLATTENING = 2.7
"""How much the most common words differ less than by Zipf's law."""


class ClusteredReadout(nn.Module):
    """Clustered logits at every token."""

    group: ClassVar[GroupName] = "readout"

    def __init__(self, norm: nn.Module, softmax: AdaptiveSoftmax) -> None:
        super().__init__()
        self.norm = norm
        self.softmax = softmax

    def forward(self, x: Float[Tensor, "batch tokens channels"], at: Sites) -> ClusteredLogits:  # noqa: ARG002
        return self.softmax(self.norm(x))  # type: ignore[no-any-return]

    def begin(self, room: Room) -> Callable[[Tensor, Sites], ClusteredLogits]:  # noqa: ARG002 - nothing to remember
        """The readout of each token by itself."""
        return self.forward


class AdaptiveReadout(ClusteredReadout):
    """With weights of its own; each cluster reads fewer channels than the one before. Biases start at `by_rank`."""

    def __init__(
        self, norm: nn.Module, embedding: nn.Embedding, last: LinearMap = nn.Linear, *, config: Config
    ) -> None:
        borders = borders_of(config, embedding.num_embeddings)
        width = embedding.embedding_dim
        tails = [
            _tail(
                width,
                narrow := max(1, width // config.shrink**place),
                _raised(last(narrow, end - start), by_rank(start, end)),
            )
            for place, (start, end) in enumerate(pairwise(borders), 1)
        ]
        usual = torch.cat([by_rank(0, borders[0]), of_clusters(borders)])
        head = _raised(last(width, len(usual)), usual)
        super().__init__(norm, AdaptiveSoftmax(head, tails, borders=borders))


class TiedAdaptiveReadout(ClusteredReadout):
    """With the embeddings as the weights of all classes (Press & Wolf 2017)."""

    def __init__(
        self,
        norm: nn.Module,
        embedding: nn.Embedding,
        last: LinearMap = nn.Linear,
        *,
        config: Config,
    ) -> None:
        borders = borders_of(config, embedding.num_embeddings)
        width = embedding.embedding_dim
        tails = [_tail(width, width, TiedRows(embedding, start, end)) for start, end in pairwise(borders)]
        clusters = _raised(last(width, len(tails)), of_clusters(borders))
        head = Beside(TiedRows(embedding, 0, borders[0]), clusters)
        super().__init__(norm, AdaptiveSoftmax(head, tails, borders=borders))


class TiedRows(nn.Module):
    """<x, embedding of a token> / sqrt(width) + a bias that starts at `by_rank`, for the tokens [start, end)."""

    def __init__(self, embedding: nn.Embedding, start: int, end: int) -> None:
        super().__init__()
        self.weight = embedding.weight
        self.bias = nn.Parameter(by_rank(start, end))
        self.range = slice(start, end)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x / math.sqrt(x.shape[-1]), self.weight[self.range], self.bias)


class Beside(nn.ModuleList):
    """The outputs of several modules side by side."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__(modules)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([module(x) for module in self], dim=-1)


def borders_of(config: Config, classes: int) -> list[int]:
    """Where the clusters start and end; ValueError where one would be empty."""
    if config.cutoffs[-1] >= classes:
        raise ValueError(
            f"objective.cutoffs: {config.cutoffs[-1]} leaves none of {classes} classes for the last cluster; lower it"
        )
    return [*config.cutoffs, classes]


def by_rank(start: int, end: int) -> Float[Tensor, "classes"]:
    """-log(rank + FLATTENING), the logarithm of Zipf's law as Mandelbrot (1953) amended it, for ranks from 0 on."""
    return -torch.log(torch.arange(start, end) + FLATTENING)


def of_clusters(borders: Sequence[int]) -> Float[Tensor, "clusters"]:
    """Logarithm of the same law summed over each cluster."""
    return torch.stack([by_rank(start, end).logsumexp(0) for start, end in pairwise(borders)])


def _raised(linear: nn.Linear, by: Float[Tensor, "classes"]) -> nn.Linear:
    """The same linear map with something added to its bias."""
    with torch.no_grad():
        linear.bias.add_(by)
    return linear


def _tail(width: int, narrow: int, logits: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(width, narrow, bias=False), logits)
