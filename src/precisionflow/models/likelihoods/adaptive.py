"""Adaptive softmax: rare classes in clusters, of which only those of the targets are computed in training.

p(class) = p(class | head) for the classes of the head, p(cluster | head) p(class | cluster) for the others (Grave et
al. 2017). Classes stand in the order of their frequency.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from precisionflow.models.numerics import at_least_float32

Features = Float[Tensor, "*places channels"]


class ClusteredLogits:
    """What an adaptive softmax says of some places, computed as far as it is asked for."""

    def __init__(self, softmax: "AdaptiveSoftmax", features: Features) -> None:
        self.softmax = softmax
        self.features = features

    def negative_log_likelihood(self, target: Int[Tensor, "*places"]) -> Float[Tensor, "*places"]:
        """-log p(target), in nats, for each place: the head for all, a cluster for those of its classes."""
        softmax, flat, wanted = self.softmax, self.features.flatten(0, -2), target.flatten().contiguous()
        cluster = torch.bucketize(wanted, softmax.borders, right=True)
        in_head = torch.where(cluster == 0, wanted, softmax.first + cluster - 1)
        losses = _losses(softmax.head(flat), in_head)
        for index, (tail, (start, _)) in enumerate(zip(softmax.tails, softmax.ranges, strict=True), 1):
            rows = (cluster == index).nonzero()[:, 0]
            losses = losses.index_add(0, rows, _losses(tail(flat[rows]), wanted[rows] - start))
        return losses.view_as(target)

    def log_probabilities(self) -> Float[Tensor, "*places classes"]:
        """log p of every class, in nats, float64."""
        head = self.softmax.head(self.features).double().log_softmax(-1)
        first = self.softmax.first
        parts = [head[..., :first]]
        for index, tail in enumerate(self.softmax.tails):
            within = tail(self.features).double().log_softmax(-1)
            parts.append(within + head[..., first + index, None])
        return torch.cat(parts, dim=-1)


class AdaptiveSoftmax(nn.Module):
    """Features to clustered logits."""

    borders: Tensor

    def __init__(self, head: nn.Module, tails: Sequence[nn.Module], *, borders: Sequence[int]) -> None:
        """`head` gives logits of the classes before borders[0], then of the clusters; tails[i] those of the classes
        borders[i] to borders[i + 1]."""
        super().__init__()
        self.head = head
        self.tails = nn.ModuleList(tails)
        self.ranges = list(pairwise(borders))
        self.first = borders[0]
        self.register_buffer("borders", torch.tensor(borders[:-1]), persistent=False)

    def forward(self, features: Features) -> ClusteredLogits:
        return ClusteredLogits(self, features)


def _losses(logits: Float[Tensor, "rows classes"], target: Int[Tensor, "rows"]) -> Float[Tensor, "rows"]:
    return functional.cross_entropy(at_least_float32(logits), target, reduction="none")
