"""Student's t: p(e) = t(e sqrt(precision); degrees of freedom) sqrt(precision)."""

import math
from typing import Any

import torch
from scipy import special

from precisionflow.inference.predictive_coding.laws import Errors, Precisions
from precisionflow.inference.predictive_coding.laws.smooth import Smooth


class StudentT(Smooth):
    """-log p(e) = (n + 1) / 2 log(1 + precision e^2 / n) + log_normaliser, n degrees of freedom."""

    def __init__(self, degrees_of_freedom: Any) -> None:
        """`degrees_of_freedom` is a module from any tensor to a number in its type: fixed or learned."""
        super().__init__()
        self.degrees_of_freedom = degrees_of_freedom

    def energy(self, error: Errors, precision: Precisions) -> Errors:
        """(n + 1) / 2 log(1 + precision e^2 / n)."""
        n = self.degrees_of_freedom(error)
        return 0.5 * (n + 1) * torch.log1p(precision * error.square() / n)

    def log_normaliser(self, precision: Precisions) -> Precisions:
        """log Gamma(n / 2) - log Gamma((n + 1) / 2) + 1/2 log(pi n / precision)."""
        n = self.degrees_of_freedom(precision)
        gammas = torch.lgamma(0.5 * n) - torch.lgamma(0.5 * (n + 1))
        return gammas + 0.5 * (math.log(math.pi) + n.log() - precision.log())

    def score(self, error: Errors, precision: Precisions) -> Errors:
        """(n + 1) precision e / (n + precision e^2)."""
        n = self.degrees_of_freedom(error)
        return (n + 1) * precision * error / (n + precision * error.square())

    def cdf(self, error: Errors, precision: Precisions) -> Errors:
        """1/2 + sign(e) / 2 (1 - I_x(n / 2, 1/2)), x = n / (n + precision e^2); it has no gradient."""
        scaled = (precision.sqrt() * error).detach().double().cpu().numpy()
        degrees = self.degrees_of_freedom(error).detach().double().cpu().numpy()
        return torch.as_tensor(special.stdtr(degrees, scaled), dtype=error.dtype, device=error.device)

    def curvature(self, precision: Precisions) -> Precisions:
        """(n + 1) / n precision, at e = 0."""
        n = self.degrees_of_freedom(precision)
        return (n + 1) / n * precision
