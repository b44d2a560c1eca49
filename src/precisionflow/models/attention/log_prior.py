"""The logarithm of a prior over edges, kept in factors until a block of it is asked for."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Allowed = Bool[Tensor, "batches 1 queries keys"]


@dataclass(frozen=True)
class LogPrior:
    """log p(edge i -> j), up to a constant of each query: 0 where an edge may exist, -inf where it cannot, and a bias.

    Priors multiply: `a * b` has the edges of both and the sum of their biases.
    """

    causal: bool = False
    """Key j is open to query i where j <= i; queries and keys are the same tokens."""
    allowed: Allowed | None = None
    """True where an edge may exist; none: everywhere."""
    bias: Float[Tensor, "batches heads queries keys"] | None = None
    """Added to the log potentials; none: 0."""

    def __mul__(self, other: "LogPrior") -> "LogPrior":
        allowed, bias = self.allowed, self.bias
        if other.allowed is not None:
            allowed = other.allowed if allowed is None else allowed & other.allowed
        if other.bias is not None:
            bias = other.bias if bias is None else bias + other.bias
        return LogPrior(self.causal or other.causal, allowed, bias)

    def reach(self, queries: slice, keys: int) -> slice:
        """The keys that may have an edge to one of the queries; no other of the `keys` has."""
        return slice(0, min(keys, queries.stop) if self.causal else keys)

    def block(
        self, queries: slice, keys: slice, *, device: torch.device, dtype: torch.dtype
    ) -> Float[Tensor, "batches heads queries keys"]:
        """The logarithm of the prior between some queries and some keys; it broadcasts over batch and heads."""
        rows = torch.arange(queries.start, queries.stop, device=device)
        columns = torch.arange(keys.start, keys.stop, device=device)
        prior = torch.zeros(1, 1, len(rows), len(columns), device=device, dtype=dtype)
        if self.bias is not None:
            prior = prior + _cut(self.bias, queries, keys).to(dtype)
        if self.causal:
            prior = prior.masked_fill(columns > rows[:, None], float("-inf"))
        if self.allowed is not None:
            prior = prior.masked_fill(~_cut(self.allowed, queries, keys), float("-inf"))
        return prior

    def matrix(
        self, queries: int, keys: int, *, device: torch.device, dtype: torch.dtype
    ) -> Float[Tensor, "batches heads queries keys"]:
        """The block of all queries and all keys."""
        return self.block(slice(0, queries), slice(0, keys), device=device, dtype=dtype)


def _cut(factor: Tensor, queries: slice, keys: slice) -> Tensor:
    """A factor that may stand for all queries, or for all keys, by a single row or column."""
    rows = queries if factor.shape[-2] > 1 else slice(None)
    return factor[..., rows, keys if factor.shape[-1] > 1 else slice(None)]


EVERY_EDGE = LogPrior()
"""All edges exist, all alike."""
