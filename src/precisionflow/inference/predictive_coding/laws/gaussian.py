"""The Gaussian law: p(e) = N(e; 0, 1 / precision)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.inference.predictive_coding.laws import Errors, Precisions, Stepped, StepSize


class Gaussian(nn.Module):
    """-log p(e) = precision / 2 e^2 - 1/2 log(precision / 2 pi)."""

    def energy(self, error: Errors, precision: Precisions) -> Errors:
        """precision / 2 e^2."""
        return 0.5 * precision * error.square()

    def total_energy(self, error: Errors, precision: Precisions) -> Float[Tensor, ""]:
        """sum precision / 2 e^2; errors of one precision are summed before it weighs them."""
        return (0.5 * precision * error.square().sum_to_size(precision.shape)).sum()

    def log_normaliser(self, precision: Precisions) -> Precisions:
        """1/2 log(2 pi / precision)."""
        return 0.5 * (math.log(2 * math.pi) - precision.log())

    def score(self, error: Errors, precision: Precisions) -> Errors:
        """precision e."""
        return precision * error

    def cdf(self, error: Errors, precision: Precisions) -> Errors:
        """Phi(sqrt(precision) e) = erfc(-sqrt(precision / 2) e) / 2."""
        return 0.5 * torch.erfc(-(precision / 2).sqrt() * error)

    def curvature(self, precision: Precisions) -> Precisions:
        """precision."""
        return precision

    def stepped(
        self, error: Errors, gradient: Errors, precision: Precisions, *, step_size: StepSize
    ) -> Stepped:
        """e - step_size / precision (precision e + gradient)."""
        after = ((1 - step_size) * error).addcmul(step_size / precision, gradient, value=-1)
        return Stepped(after, precision * after)
