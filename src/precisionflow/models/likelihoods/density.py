"""Interface of every likelihood of a real target: heads, predictive distribution, loss, negative log-likelihood."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.models.likelihoods.mixture import Family, Mixture, Parts, pooled

LOG_PRECISION_LIMIT = 10.0
"""Log precisions are kept within this distance of 0: of a standardised target, scales between 0.007 and 148."""

Raw = Float[Tensor, "*rows outputs"]
Rows = Float[Tensor, "*rows"]


class Heads(NamedTuple):
    """Numbers of raw outputs that a network has to give."""

    locations: int
    """Outputs of the location head, the first ones: the mean is read from them."""
    others: int
    """Outputs of the precision head, all others; 0: one log precision for all rows, a weight of its own."""
    stops_gradients: bool = False
    """Whether the precision head teaches itself alone, not the layers below."""


class Density:
    """A likelihood of a standardised real target; a member overrides what differs from a Gaussian's."""

    heads: Heads = Heads(1, 1)
    family: ClassVar[Family] = "gaussian"

    def predictive(self, raw: Raw) -> Mixture:
        """The distribution that raw outputs state: (location, log precision) of one component."""
        location, log_precision = raw.chunk(2, dim=-1)
        return Mixture(self.family, location, limited(log_precision), torch.zeros_like(location))

    def pooled(self, parts: Sequence[Mixture]) -> Mixture:
        """The mixture of what several networks state, all of equal weight."""
        return pooled(parts)

    def losses(self, predictive: Mixture, target: Rows) -> Rows:
        """What is minimised, for each row: -log p(target), in nats."""
        return -predictive.log_density(target)

    def negative_log_likelihood(self, raw: Raw, target: Rows) -> Rows:
        """-log p(target) of the distribution that the raw outputs state, in nats: what validation measures."""
        return -self.predictive(raw).log_density(target)


@runtime_checkable
class FisherDensity(Protocol):
    """A likelihood whose Fisher information in the raw outputs is known: what a Laplace approximation needs."""

    heads: Heads

    def predictive(self, raw: Raw) -> Mixture: ...

    def negative_log_likelihood(self, raw: Raw, target: Rows) -> Rows: ...

    def fisher_root(self, raw: Float[Tensor, "rows outputs"]) -> Float[Tensor, "rows outputs outputs"]:
        """R with R^T R = F, the Fisher information of the predictive distribution in its raw outputs; float64."""
        ...

    def location_gradient(
        self, raw: Float[Tensor, "rows outputs"], jacobian: Float[Tensor, "rows outputs weights"]
    ) -> Float[Tensor, "rows weights"]:
        """d location / d weights, from the Jacobian of the raw outputs in the weights."""
        ...


def squared_errors(predictive: Mixture, target: Rows) -> Rows:
    """(target - mean)^2 / 2."""
    return 0.5 * (target - predictive.mean).square()


def without_location(predictive: Mixture) -> Mixture:
    """The same distribution; its locations pass no gradient."""
    return predictive._replace(location=predictive.location.detach())


def limited(log_precision: Parts) -> Parts:
    """Within [-LOG_PRECISION_LIMIT, LOG_PRECISION_LIMIT]."""
    return log_precision.clamp(-LOG_PRECISION_LIMIT, LOG_PRECISION_LIMIT)
