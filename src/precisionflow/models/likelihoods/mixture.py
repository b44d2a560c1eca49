"""Predictive distributions of a network: mixtures of one family, as tensors."""

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

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
    location_std: Parts | None = None
    """Std of a Gaussian posterior of the location, which the scale includes; None: the location is certain."""

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
        """The mixture with one change made to every parameter."""
        degrees, location_std = self.degrees_of_freedom, self.location_std
        return Mixture(
            self.family,
            change(self.location),
            change(self.log_precision),
            change(self.log_weight),
            None if degrees is None else change(degrees),
            None if location_std is None else change(location_std),
        )

    def among(self, chosen: Int[Tensor, "*rows chosen"], *, members: int) -> "Mixture":
        """Mixture of each row's `chosen` members; the components of all `members` lie side by side."""
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


def pooled(parts: Sequence[Mixture]) -> Mixture:
    """The mixture of several mixtures of one family, all of equal weight."""
    degrees = [part.degrees_of_freedom for part in parts if part.degrees_of_freedom is not None]
    return Mixture(
        parts[0].family,
        torch.cat([part.location for part in parts], dim=-1),
        torch.cat([part.log_precision for part in parts], dim=-1),
        torch.cat([part.log_weight for part in parts], dim=-1) - math.log(len(parts)),
        torch.cat(degrees, dim=-1) if degrees else None,
    )
