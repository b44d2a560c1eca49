"""The posterior over edges: log potentials lowered, the prior added, the expectation of the values taken.

p(edge i -> j | x) = softmax_j(log p(x | edge i -> j) + log p(edge i -> j)). A potential lowers its logarithm to a form
that no (queries, keys, width) tensor is needed for; the prior is a `LogPrior`. The posterior is kept in these factors:
its expectation is one fused kernel, its matrix is made only where it is asked for.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

Queries = Float[Tensor, "batch heads queries augmented"]
Keys = Float[Tensor, "batch heads keys augmented"]
Values = Float[Tensor, "batch heads keys width"]
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

    def matrix(
        self, queries: int, keys: int, *, device: torch.device, dtype: torch.dtype
    ) -> Float[Tensor, "batches heads queries keys"]:
        """The logarithm of the prior as a tensor that broadcasts over batch and heads."""
        prior = torch.zeros(1, 1, queries, keys, device=device, dtype=dtype)
        if self.bias is not None:
            prior = prior + self.bias.to(dtype)
        if self.causal:
            later = torch.ones(queries, keys, dtype=torch.bool, device=device).triu(1)
            prior = prior.masked_fill(later, float("-inf"))
        if self.allowed is not None:
            prior = prior.masked_fill(~self.allowed, float("-inf"))
        return prior


EVERY_EDGE = LogPrior()
"""All edges exist, all alike."""


@runtime_checkable
class Lowering(Protocol):
    """Map from queries and keys to the log potentials."""

    def log_potentials(self, queries: Queries, keys: Keys) -> Float[Tensor, "batch heads queries keys"]:
        """The matrix of log potentials, up to a constant of each query."""
        ...

    def expectation(
        self, queries: Queries, keys: Keys, values: Values, prior: LogPrior
    ) -> Float[Tensor, "batch heads queries width"]:
        """Posterior mean of the values."""
        ...


class InnerProduct:
    """log potential = <query, key>, of augmented queries and keys: one fused scaled_dot_product_attention."""

    def log_potentials(self, queries: Queries, keys: Keys) -> Float[Tensor, "batch heads queries keys"]:
        return queries @ keys.transpose(-1, -2)

    def expectation(
        self, queries: Queries, keys: Keys, values: Values, prior: LogPrior
    ) -> Float[Tensor, "batch heads queries width"]:
        """Values are padded to the width of the keys: the fused kernels ask for one width."""
        width, missing = values.shape[-1], keys.shape[-1] - values.shape[-1]
        padded = pad(values, (0, missing))
        if prior.allowed is None and prior.bias is None:
            mixed = scaled_dot_product_attention(queries, keys, padded, is_causal=prior.causal, scale=1.0)
        else:
            mask = prior.matrix(queries.shape[-2], keys.shape[-2], device=queries.device, dtype=queries.dtype)
            mixed = scaled_dot_product_attention(queries, keys, padded, attn_mask=mask, scale=1.0)
        return mixed[..., :width]


@dataclass(frozen=True)
class Posterior:
    """p(edge | x) in its factors; a query with no possible edge has no posterior (NaN).

    Runs in the dtype of the queries, outside autocast: log potentials that are differences of large terms do not
    survive bfloat16.
    """

    lowering: Lowering
    queries: Queries
    keys: Keys
    prior: LogPrior = EVERY_EDGE

    def expectation(self, values: Values) -> Float[Tensor, "batch heads queries width"]:
        """sum_j p(edge i -> j | x) v_j."""
        with torch.autocast(device_type=self.queries.device.type, enabled=False):
            return self.lowering.expectation(
                self.queries, self.keys, values.to(self.queries.dtype), self.prior
            )

    def probabilities(self) -> Float[Tensor, "batch heads queries keys"]:
        """The matrix itself, for analyses: each row sums to 1."""
        with torch.autocast(device_type=self.queries.device.type, enabled=False):
            logits = self.lowering.log_potentials(self.queries, self.keys)
            prior = self.prior.matrix(*logits.shape[-2:], device=logits.device, dtype=logits.dtype)
            return (logits + prior).softmax(-1)
