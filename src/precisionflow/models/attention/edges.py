"""The posterior over edges: log potentials lowered, the prior added, the expectation of the values taken.

p(edge i -> j | x) = softmax_j(log p(x | edge i -> j) + log p(edge i -> j)). A potential lowers its logarithm to a form
that no (queries, keys, width) tensor is needed for; the prior is a `LogPrior`. The posterior is kept in these factors:
its expectation is one fused kernel, its matrix is made only where it is asked for.
"""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from precisionflow.models.attention.log_prior import EVERY_EDGE, LogPrior
from precisionflow.models.attention.lowerings import Keys, Lowering, Potentials, Queries, Values
from precisionflow.models.attention.lowerings.head_by_head import HeadByHead, Side, Unlowered, made
from precisionflow.models.numerics import outside_autocast


@dataclass(frozen=True)
class Posterior:
    """p(edge | x) in its factors; ValueError where the prior leaves a query no key.

    Runs in the dtype of the queries, outside autocast: log potentials that are differences of large terms do not
    survive bfloat16.
    """

    lowering: Potentials
    queries: Queries
    keys: Keys
    prior: LogPrior = EVERY_EDGE

    def expectation(self, values: Values) -> Float[Tensor, "batch heads queries width"]:
        """sum_j p(edge i -> j | x) v_j."""
        self._require_edges()
        queries = self.queries
        with outside_autocast(queries.device):
            return self.lowering.expectation(queries, self.keys, values, self.prior)

    def probabilities(self) -> Float[Tensor, "batch heads queries keys"]:
        """The matrix itself, for analyses: each row sums to 1."""
        self._require_edges()
        with outside_autocast(self.queries.device):
            logits = self.lowering.log_potentials(self.queries, self.keys)
            prior = self.prior.matrix(*logits.shape[-2:], device=logits.device, dtype=logits.dtype)
            return (logits + prior).softmax(-1)

    @property
    def visited(self) -> Int[Tensor, "batch heads queries"]:
        """Keys that each query looks at: those that its prior leaves it."""
        shape = self.queries.shape[:3]
        return self.prior.open_keys(shape[2], self.keys.shape[2], device=self.queries.device).expand(shape)

    def _require_edges(self) -> None:
        if self.prior.factors:
            self.prior.require_edges(self.queries.shape[-2], self.keys.shape[-2], device=self.queries.device)


def one_of_keys(lowering: Lowering, queries: Side, keys: Side, prior: LogPrior) -> Posterior:
    """The posterior of edges of which each query has one; sides that are not made yet are made head by head."""
    if isinstance(queries, Unlowered) and isinstance(keys, Unlowered):
        return Posterior(HeadByHead(lowering, queries, keys), queries.of[0], keys.of[0], prior)
    return Posterior(lowering, made(queries), made(keys), prior)
