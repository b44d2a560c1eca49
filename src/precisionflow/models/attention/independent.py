"""Edges that are independent of each other: each key is a neighbour or not, whatever the others are."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from precisionflow.models.attention.edges import Posterior
from precisionflow.models.attention.log_prior import LogPrior, blocks_of
from precisionflow.models.attention.lowerings import Lowering, Values
from precisionflow.models.attention.lowerings.head_by_head import Side, made
from precisionflow.models.numerics import in_dtype_of, outside_autocast

Weights = Float[Tensor, "batch heads queries keys"]


class Independent(nn.Module):
    """Prior odds of an edge: exp(log_odds_h + log prior_ij) / number of keys that are open to query i.

    `log_odds` is learned for every head. The prior factorises over edges, as Singh & Buckley (2023, section 6.1)
    suppose of rectified feed-forward layers; the division by the number of keys is that of Ramapuram et al. (2024).
    """

    def __init__(self, *, heads: int, expected: float) -> None:
        """`expected`: edges of a query before training where the log potentials are 0 and its keys are many."""
        super().__init__()
        self.log_odds = nn.Parameter(torch.full((heads, 1, 1), expected).log())

    def distribution(self) -> dict[str, Float[Tensor, "heads"]]:
        return {"expected edges": self.log_odds.exp().flatten()}

    def forward(
        self, lowering: Lowering, queries: Side, keys: Side, prior: LogPrior
    ) -> "IndependentPosterior":
        return IndependentPosterior(lowering, made(queries), made(keys), prior, log_odds=self.log_odds)


@dataclass(frozen=True)
class IndependentPosterior(Posterior):
    """p(edge i -> j | x) = sigmoid(log p(x | edge) - log p(x | no edge) + log prior odds), the second logarithm 0.

    Log potentials have to be whole: a constant of a query does not cancel. An expectation is the sum over edges: the
    mean of sum_j e_ij v_j. It is taken by blocks of queries, each made again in the backward pass.
    """

    log_odds: Float[Tensor, "heads 1 1"] = field(kw_only=True)

    def expectation(self, values: Values) -> Float[Tensor, "batch heads queries width"]:
        def of_block(rows: slice, columns: slice) -> Tensor:
            weights = in_dtype_of(self._weights(rows, columns), self.queries)
            return weights @ values[:, :, columns].to(self.queries.dtype)

        return torch.cat(
            [checkpoint(of_block, rows, columns, use_reentrant=False) for rows, columns in self._blocks()],
            dim=2,
        )

    def probabilities(self) -> Weights:
        """The matrix itself: each entry is a probability, a row sums to the expected number of edges."""
        count = self.keys.shape[2]
        return torch.cat([self._weights(rows, slice(0, count)) for rows, _ in self._blocks()], dim=2)

    def _blocks(self) -> Iterator[tuple[slice, slice]]:
        for rows in blocks_of(self.queries.shape[2]):
            yield rows, self.prior.reach(rows, self.keys.shape[2])

    def _weights(self, rows: slice, columns: slice) -> Weights:
        queries, keys = self.queries[:, :, rows], self.keys[:, :, columns]
        with outside_autocast(queries.device):
            potentials = self.lowering.log_potentials(queries, keys)
            prior = self.prior.block(rows, columns, device=queries.device, dtype=potentials.dtype)
            open_keys = prior.isfinite().sum(-1, keepdim=True).clamp(min=1)
            log_odds = self.log_odds.to(prior.dtype) - open_keys.log() + prior
            return (potentials + log_odds).sigmoid()
