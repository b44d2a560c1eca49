"""The Laplace law: p(e) = exp(-|e| / b) / 2b with variance 2 b^2 = 1 / precision."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.inference.predictive_coding.laws import Errors, Precisions, Stepped, StepSize


class Laplace(nn.Module):
    """-log p(e) = |e| / b + log 2b, 1 / b = sqrt(2 precision)."""

    def energy(self, error: Errors, precision: Precisions) -> Errors:
        """sqrt(2 precision) |e|."""
        return (2 * precision).sqrt() * error.abs()

    def total_energy(self, error: Errors, precision: Precisions) -> Float[Tensor, ""]:
        """sum sqrt(2 precision) |e|; errors of one precision are summed before it weighs them."""
        return ((2 * precision).sqrt() * error.abs().sum_to_size(precision.shape)).sum()

    def log_normaliser(self, precision: Precisions) -> Precisions:
        """log 2b = 1/2 log(2 / precision)."""
        return 0.5 * (math.log(2) - precision.log())

    def score(self, error: Errors, precision: Precisions) -> Errors:
        """sqrt(2 precision) sign(e); at 0 every number between those of both sides is a subgradient, and this one 0."""
        return (2 * precision).sqrt() * error.sign()

    def cdf(self, error: Errors, precision: Precisions) -> Errors:
        """exp(e / b) / 2 below 0, 1 - exp(-e / b) / 2 above."""
        tail = 0.5 * (-self.energy(error, precision)).exp()
        return torch.where(error > 0, 1 - tail, tail)

    def curvature(self, precision: Precisions) -> Precisions:
        """precision: there is none but at 0, and the variance is the unit of a step."""
        return precision

    def stepped(
        self, error: Errors, gradient: Errors, precision: Precisions, *, step_size: StepSize
    ) -> Stepped:
        """argmin_x |x| / b + (x - u)^2 / 2 rate at u = e - rate gradient, rate = step_size / precision.

        The proximal step (Daubechies et al. 2004): |u| less rate / b, 0 where that is below 0. The score (u - x) / rate
        is sign(x) / b, and at x = 0 a subgradient: minus the loss's gradient, where the error stays 0.
        """
        rate = step_size / precision
        to = error - rate * gradient
        after = to - to.clamp(-rate * (2 * precision).sqrt(), rate * (2 * precision).sqrt())
        return Stepped(after, (to - after) / rate)
