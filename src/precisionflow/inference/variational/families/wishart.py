"""The Wishart of a precision matrix: T = (log|X| / 2, -X / 2), natural parameters (degrees - width - 1, scale^-1)."""

import math
from functools import cached_property
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.inference.variational.families import (
    ExponentialFamily,
    Natural,
    Numbers,
    fitting,
    require_positive_definite,
    root_of,
)
from precisionflow.inference.variational.families.gaussian_vector import Matrices, log_det

Scalars = Float[Tensor, "*plates"]


class Wishart(ExponentialFamily):
    """W(X; degrees n, scale V), of mean n V."""

    axes = (0, 2)

    @classmethod
    def of(cls, degrees: Numbers, inverse_scale: Numbers) -> Self:
        """From degrees of freedom and V^-1, which has the form of a sum of squares."""
        of_degrees, matrix = fitting(cls.axes, degrees=degrees, inverse_scale=inverse_scale)
        return cls((of_degrees - matrix.shape[-1] - 1, matrix))

    @property
    def width(self) -> int:
        """D."""
        return self.natural[1].shape[-1]

    @cached_property
    def degrees(self) -> Scalars:
        """n."""
        return self.natural[0] + self.width + 1

    @cached_property
    def root(self) -> Matrices:
        """Lower Cholesky factor of V^-1."""
        return root_of(self.natural[1], "Wishart: inverse scale")

    @cached_property
    def mean(self) -> Matrices:
        """<X> = n V."""
        return self.degrees[..., None, None] * torch.cholesky_inverse(self.root)

    @cached_property
    def log_mean(self) -> Scalars:
        """<log|X|> = sum_{i < D} digamma((n - i) / 2) + D log 2 + log|V|."""
        below = torch.arange(self.width, dtype=torch.float64, device=self.degrees.device)
        gammas = torch.digamma(0.5 * (self.degrees[..., None] - below)).sum(dim=-1)
        return gammas + self.width * math.log(2) - log_det(self.root)

    @cached_property
    def statistics(self) -> Natural:
        """(<log|X|> / 2, -<X> / 2)."""
        return 0.5 * self.log_mean, -0.5 * self.mean

    @cached_property
    def log_normaliser(self) -> Scalars:
        """n D / 2 log 2 + n / 2 log|V| + log Gamma_D(n / 2)."""
        half = 0.5 * self.degrees
        volume = self.width * math.log(2) - log_det(self.root)
        return half * volume + torch.special.multigammaln(half, self.width)

    @staticmethod
    def statistics_of(value: Matrices) -> Natural:
        """(log|X| / 2, -X / 2)."""
        return 0.5 * log_det(torch.linalg.cholesky(value)), -0.5 * value

    def require_proper(self, name: str) -> None:
        """ValueError where degrees <= D - 1 or V^-1 is not symmetric and positive definite."""
        require_positive_definite(self.natural[1], name, "inverse scale")
        if not bool((self.degrees > self.width - 1).all()):
            least = self.degrees.min().item()
            raise ValueError(f"{name}: degrees have to be above {self.width - 1}, width - 1, given {least:g}")
