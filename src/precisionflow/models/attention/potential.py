"""Edge potentials log p(x | edge i -> j), each lowered to one inner product."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.models.attention.kernels import Lowered
from precisionflow.models.numerics import at_least_float32


def split_heads(
    x: Float[Tensor, "batch tokens channels"], heads: int
) -> Float[Tensor, "batch heads tokens width"]:
    """Channels to heads; the token axis stays whole."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


class DotProduct(nn.Module):
    """log potential = <q_i, k_j> / sqrt(d) (Vaswani et al. 2017, equation 1)."""

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.queries_keys = nn.Linear(width, 2 * width)

    def forward(self, x: Float[Tensor, "batch tokens channels"]) -> Lowered:
        queries, keys = split_heads(self.queries_keys(x), 2 * self.heads).chunk(2, dim=1)
        return Lowered(queries / math.sqrt(queries.shape[-1]), keys)


class GaussianPerKey(nn.Module):
    """log potential = log N(q_i; k_j, diag(1 / l_j)), precision l_j = exp(W x_j + b) of every key and channel.

    -1/2 sum_c l_jc (q_ic - k_jc)^2 + 1/2 sum_c log l_jc is the inner product of
    q' = [q, q^2, 1] and k' = [l k, -l / 2, -sum(l k^2) / 2 + sum(log l) / 2], of width 2 d + 1.
    W starts at zero: every key has `initial_precision` (none: 1 / sqrt(d)) before training. The Gaussian potential of
    Singh & Buckley (2023, table 1), its precision made a function of the key.
    """

    def __init__(self, width: int, *, heads: int, initial_precision: float | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.queries_keys = nn.Linear(width, 2 * width)
        self.log_precision = nn.Linear(width, width)
        start = -0.5 * math.log(width // heads) if initial_precision is None else math.log(initial_precision)
        nn.init.zeros_(self.log_precision.weight)
        nn.init.constant_(self.log_precision.bias, start)

    def forward(self, x: Float[Tensor, "batch tokens channels"]) -> Lowered:
        queries, keys = at_least_float32(split_heads(self.queries_keys(x), 2 * self.heads)).chunk(2, dim=1)
        log_precision = at_least_float32(split_heads(self.log_precision(x), self.heads))
        return self.lower(queries, keys, log_precision)

    @staticmethod
    def lower(
        queries: Float[Tensor, "batch heads queries width"],
        keys: Float[Tensor, "batch heads keys width"],
        log_precision: Float[Tensor, "batch heads keys width"],
    ) -> Lowered:
        """The augmented pair; exact, with no tensor of size queries x keys x width."""
        precision = log_precision.exp()
        weighted = precision * keys
        bias = 0.5 * (log_precision - weighted * keys).sum(-1, keepdim=True)
        return Lowered(
            torch.cat([queries, queries.square(), torch.ones_like(queries[..., :1])], dim=-1),
            torch.cat([weighted, -0.5 * precision, bias], dim=-1),
        )
