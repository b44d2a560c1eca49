"""The value of retrieval: a query descends its free energy to what the keys store."""

from collections.abc import Callable
from dataclasses import replace

from torch import nn

from precisionflow.models.attention.edges import Posterior
from precisionflow.models.attention.heads import HeadMaps, Heads
from precisionflow.models.attention.potentials import Lowered
from precisionflow.models.attention.rotation import Unrotated
from precisionflow.models.attention.sites import Sites
from precisionflow.models.attention.values import Before, Mixed, Offered, Own, ToAll, Tokens, Weights


class Hopfield(nn.Module):
    """q <- sum_j p(j | q) k_j, so many times (Ramsauer et al. 2021, equation 3; Singh & Buckley 2023, section 4.2).

    F(q) = b |q|^2 / 2 - ln sum_j p(edge i -> j) exp(b <q, k_j>) has the gradient b (q - sum_j p(j | q) k_j) and never
    rises; b is 1 / sqrt(d), over the temperature. Each step is one fused average whose values are the keys, so
    that nothing is kept of a token beside its key. What positions turned is turned back by the position of the query:
    the result depends on relative positions alone.
    """

    def __init__(
        self,
        lowered: Callable[[Heads], Lowered],
        *,
        heads: int,
        iterations: int,
        rotation: nn.Module | None = None,
    ) -> None:
        """`lowered` gives the query side of queries; `rotation` is theirs, none: they are as they were."""
        super().__init__()
        self.lowered = lowered
        self.heads = heads
        self.iterations = iterations
        self.rotation = rotation or Unrotated()

    def forward(self, y: Tokens, at: Sites) -> Own:  # noqa: ARG002 - a pattern is its own value
        return y.new_empty(y.shape[0], self.heads, y.shape[1], 0)

    def begin(self, maps: HeadMaps) -> Callable[[Tokens, Sites], Own]:  # noqa: ARG002 - it has no map
        return self.forward

    def offered(self, own: Own, posterior: Posterior, before: Before | None = None) -> Offered:  # noqa: ARG002
        return own

    def mean(self, own: Own, posterior: Posterior, at: Sites) -> Mixed:
        return self.expectation(posterior, own, at)

    def expectation(self, posterior: Posterior, offered: ToAll, at: Sites) -> Mixed:  # noqa: ARG002
        last = self.averaged_by(posterior)
        return self.rotation(last.expectation(last.keys), at.mirrored())  # type: ignore[no-any-return]

    def averaged_by(self, posterior: Posterior) -> Posterior:
        for _ in range(self.iterations - 1):
            retrieved = posterior.expectation(posterior.keys)
            posterior = replace(posterior, queries=self.lowered(retrieved))
        return posterior

    def weights(self, posterior: Posterior) -> Weights:
        return posterior.probabilities()
