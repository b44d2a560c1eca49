"""The value of retrieval: a query descends its free energy to what the keys store."""

from dataclasses import replace

from torch import nn

from precisionflow.models.attention.edges import Posterior
from precisionflow.models.attention.potentials.dot_product import DotProduct
from precisionflow.models.attention.rotation import Unrotated
from precisionflow.models.attention.sites import Sites
from precisionflow.models.attention.values import Before, Mixed, Offered, Own, ToAll, Tokens


class Hopfield(nn.Module):
    """q <- sum_j p(j | q) k_j, so many times (Ramsauer et al. 2021, equation 3; Singh & Buckley 2023, section 4.2).

    F(q) = |q|^2 / (2 sqrt(d)) - ln sum_j p(edge i -> j) exp(<q, k_j> / sqrt(d)) has the gradient
    (q - sum_j p(j | q) k_j) / sqrt(d) and never rises. Each step is one fused average whose values are the keys, so
    that nothing is kept of a token beside its key. What positions turned is turned back by the position of the query:
    the result depends on relative positions alone.
    """

    def __init__(self, *, heads: int, iterations: int, rotation: nn.Module | None = None) -> None:
        """`rotation` is that of the queries and keys; none: they are as they were."""
        super().__init__()
        self.heads = heads
        self.iterations = iterations
        self.rotation = rotation or Unrotated()

    def forward(self, y: Tokens, at: Sites) -> Own:  # noqa: ARG002 - a pattern is its own value
        return y.new_empty(y.shape[0], self.heads, y.shape[1], 0)

    def offered(self, own: Own, posterior: Posterior, before: Before | None = None) -> Offered:  # noqa: ARG002
        return own

    def expectation(self, posterior: Posterior, offered: ToAll, at: Sites) -> Mixed:  # noqa: ARG002
        for _ in range(self.iterations - 1):
            retrieved = posterior.expectation(posterior.keys)
            posterior = replace(posterior, queries=DotProduct.scaled(retrieved))
        return self.rotation(posterior.expectation(posterior.keys), at.mirrored())  # type: ignore[no-any-return]
