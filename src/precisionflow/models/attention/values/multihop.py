"""The value of a chain of neighbours: a linear map of every token up to some edges away."""

import torch

from precisionflow.models.attention.edges import Posterior
from precisionflow.models.attention.sites import Sites
from precisionflow.models.attention.values import Before, Mixed, Offered, Own, ToAll, Weights
from precisionflow.models.attention.values.neighbour import Neighbour


class Multihop(Neighbour):
    """(P + P^2 + ... + P^h) V x, the parameters of one layer (Singh & Buckley 2023, sections 5.1 and 7.3).

    The edge of each token is drawn from its own posterior, independently of the others'. Tokens that attend to each
    other add up P V x, P (P V x), ... What a token offers to others are a_0 = V x, a_1 = a_0 + P a_0, ...,
    a_(h - 1) = a_0 + P a_(h - 2), side by side; they get P a_(h - 1). Either way h averages, no matrix.
    """

    def __init__(self, width: int, *, heads: int, hops: int) -> None:
        super().__init__(width, heads=heads)
        self.hops = hops

    def offered(self, own: Own, posterior: Posterior, before: Before | None = None) -> Offered:
        earlier = before.chunk(self.hops, dim=-1) if before is not None else [own[:, :, :0]] * self.hops
        levels = [own]
        for level in earlier[:-1]:
            levels.append(own + posterior.expectation(torch.cat([level, levels[-1]], dim=2)))
        return torch.cat(levels, dim=-1)

    def mean(self, own: Own, posterior: Posterior, at: Sites) -> Mixed:  # noqa: ARG002
        """The sum of the powers themselves: what one hop gives is what the next one averages, and is kept once."""
        return self._with_later_hops(posterior.expectation(own), posterior)

    def expectation(self, posterior: Posterior, offered: ToAll, at: Sites) -> Mixed:  # noqa: ARG002
        return posterior.expectation(offered.chunk(self.hops, dim=-1)[-1])

    def weights(self, posterior: Posterior) -> Weights:
        return self._with_later_hops(posterior.probabilities(), posterior)

    def _with_later_hops(self, first: Mixed, posterior: Posterior) -> Mixed:
        hop = total = first
        for _ in range(self.hops - 1):
            hop = posterior.expectation(hop)
            total = total + hop
        return total
