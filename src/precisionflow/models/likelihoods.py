"""What the raw outputs of a network mean: the parameters of a predictive distribution."""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from precisionflow.config.likelihoods import (
    CRPS,
    Faithful,
    GaussianNLL,
    Homoscedastic,
    LaplaceNLL,
    MixtureDensity,
    Natural,
    RegressionObjective,
    RunningVariance,
    StudentT,
)

LOG_PRECISION_LIMIT = 10.0
"""Log precisions are kept within this distance of 0: of a standardised target, scales between 0.007 and 148."""
LOWEST_DEGREES = 2.1
"""Student's t has a variance above 2 degrees of freedom."""

Family = Literal["gaussian", "student_t", "laplace"]
Raw = Float[Tensor, "*rows outputs"]
Parts = Float[Tensor, "*rows components"]
Losses = Float[Tensor, "*rows"]


class Mixture(NamedTuple):
    """p(y) = sum_k weight_k f((y - location_k) / scale_k) / scale_k, f the family's; scale^2 = 1 / precision."""

    family: Family
    location: Parts
    log_precision: Parts
    log_weight: Parts
    degrees_of_freedom: Parts | None = None
    belief: Parts | None = None
    """Std of a Gaussian belief about the location that the scale includes; None: no such belief."""

    def log_density(self, target: Losses) -> Losses:
        """log p(target), in nats."""
        difference = target[..., None] - self.location
        match self.family:
            case "gaussian":
                parts = -0.5 * (self.log_precision.exp() * difference.square() + math.log(2 * math.pi))
            case "laplace":
                parts = -(0.5 * self.log_precision).exp() * difference.abs() - math.log(2)
            case "student_t":
                assert self.degrees_of_freedom is not None
                half = 0.5 * self.degrees_of_freedom
                parts = (
                    torch.lgamma(half + 0.5)
                    - torch.lgamma(half)
                    - 0.5 * torch.log(2 * math.pi * half)
                    - (half + 0.5) * torch.log1p(self.log_precision.exp() * difference.square() / (2 * half))
                )
        parts = parts + 0.5 * self.log_precision
        if parts.shape[-1] == 1:
            return parts[..., 0]
        return torch.logsumexp(parts + self.log_weight, dim=-1)

    def each(self, change: Callable[[Tensor], Tensor]) -> "Mixture":
        """The same change to every parameter."""
        degrees, belief = self.degrees_of_freedom, self.belief
        return Mixture(
            self.family,
            change(self.location),
            change(self.log_precision),
            change(self.log_weight),
            None if degrees is None else change(degrees),
            None if belief is None else change(belief),
        )

    def among(self, chosen: Int[Tensor, "*rows chosen"], *, members: int) -> "Mixture":
        """Of each row the mixture of some of the `members` whose components lie side by side."""
        each = self.location.shape[-1] // members
        columns = (chosen[..., None] * each + torch.arange(each, device=chosen.device)).flatten(-2)
        kept = self.each(lambda part: part.gather(-1, columns))
        return kept._replace(log_weight=kept.log_weight.log_softmax(-1))

    @property
    def mean(self) -> Losses:
        """sum_k weight_k location_k."""
        if self.location.shape[-1] == 1:
            return self.location[..., 0]
        return (self.log_weight.exp() * self.location).sum(-1)


class Heads(NamedTuple):
    """Raw outputs that a network has to give."""

    locations: int
    """The first: what the mean is read from."""
    others: int
    """All the rest; 0: one log precision for all rows, a weight of its own."""
    stops_gradients: bool = False
    """Whether the rest teaches its own head alone, not the layers below."""


def heads(part: RegressionObjective) -> Heads:
    """What an objective asks of the network."""
    match part:
        case StudentT():
            return Heads(1, 2)
        case MixtureDensity(components=components):
            return Heads(components, 2 * components)
        case Homoscedastic() | RunningVariance():
            return Heads(1, 0)
        case Faithful():
            return Heads(1, 1, stops_gradients=True)
        case GaussianNLL() | Natural() | LaplaceNLL() | CRPS():
            return Heads(1, 1)


def mixture(part: RegressionObjective, raw: Raw) -> Mixture:
    """The distribution that raw outputs state, for the standardised target.

    Gaussian and Laplace: (location, log precision). Natural: (eta1, log precision), location = eta1 / precision.
    Student's t: (location, log precision, r), 2.1 + softplus(r + 3) degrees of freedom. A mixture: locations, log
    precisions, logits of the weights.
    """
    match part:
        case MixtureDensity():
            location, log_precision, logits = raw.chunk(3, dim=-1)
            return Mixture("gaussian", location, _limited(log_precision), logits.log_softmax(-1))
        case StudentT():
            location, log_precision, degrees = raw.chunk(3, dim=-1)
            degrees = LOWEST_DEGREES + functional.softplus(degrees + 3)
            return Mixture(
                "student_t", location, _limited(log_precision), torch.zeros_like(location), degrees
            )
        case _:
            location, log_precision = raw.chunk(2, dim=-1)
            log_precision = _limited(log_precision)
            if isinstance(part, Natural):
                location = location * torch.exp(-log_precision)
            family: Family = "laplace" if isinstance(part, LaplaceNLL) else "gaussian"
            return Mixture(family, location, log_precision, torch.zeros_like(location))


def _limited(log_precision: Parts) -> Parts:
    return log_precision.clamp(-LOG_PRECISION_LIMIT, LOG_PRECISION_LIMIT)
