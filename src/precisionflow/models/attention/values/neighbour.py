"""The value of a neighbour: a linear map of the token that is attended to."""

from collections.abc import Callable

from torch import nn

from precisionflow.models.attention.edges import Posterior
from precisionflow.models.attention.heads import HeadMaps, split_heads
from precisionflow.models.attention.sites import Sites
from precisionflow.models.attention.values import Before, Mixed, Offered, Own, ToAll, Tokens, Weights


class Neighbour(nn.Module):
    """v_j = V x_j (Singh & Buckley 2023, section 3.2)."""

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.values = nn.Linear(width, width)

    def forward(self, y: Tokens, at: Sites) -> Own:  # noqa: ARG002 - every position alike
        return split_heads(self.values(y), self.heads)

    def begin(self, maps: HeadMaps) -> Callable[[Tokens, Sites], Own]:
        values = maps.of(self.values, heads=self.heads)
        return lambda y, at: values(y)  # noqa: ARG005

    def offered(self, own: Own, posterior: Posterior, before: Before | None = None) -> Offered:  # noqa: ARG002
        return own

    def mean(self, own: Own, posterior: Posterior, at: Sites) -> Mixed:
        return self.expectation(posterior, own, at)

    def expectation(self, posterior: Posterior, offered: ToAll, at: Sites) -> Mixed:  # noqa: ARG002
        return posterior.expectation(offered)

    def averaged_by(self, posterior: Posterior) -> Posterior:
        return posterior

    def weights(self, posterior: Posterior) -> Weights:
        return posterior.probabilities()
