"""The Dirichlet of probabilities: T = log x, natural parameters concentration - 1."""

from functools import cached_property
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.inference.variational.families import (
    ExponentialFamily,
    Natural,
    Numbers,
    numbers,
    require_positive,
)

Probabilities = Float[Tensor, "*plates states"]


class Dirichlet(ExponentialFamily):
    """prod_k x_k^(c_k - 1) / B(c)."""

    axes = (1,)

    @classmethod
    def of(cls, concentration: Numbers) -> Self:
        """From concentrations."""
        return cls((numbers(concentration, "concentration") - 1,))

    @cached_property
    def concentration(self) -> Float[Tensor, "*plates states"]:
        """c."""
        return self.natural[0] + 1

    @cached_property
    def mean(self) -> Probabilities:
        """<x> = c / sum c."""
        return self.concentration / self.concentration.sum(dim=-1, keepdim=True)

    @cached_property
    def log_mean(self) -> Float[Tensor, "*plates states"]:
        """<log x> = digamma(c) - digamma(sum c)."""
        total = self.concentration.sum(dim=-1, keepdim=True)
        return torch.digamma(self.concentration) - torch.digamma(total)

    @cached_property
    def statistics(self) -> Natural:
        """(<log x>,)."""
        return (self.log_mean,)

    @cached_property
    def log_normaliser(self) -> Float[Tensor, "*plates"]:
        """log B(c) = sum log Gamma(c) - log Gamma(sum c)."""
        return torch.lgamma(self.concentration).sum(dim=-1) - torch.lgamma(self.concentration.sum(dim=-1))

    @staticmethod
    def statistics_of(value: Probabilities) -> Natural:
        """(log x,)."""
        return (value.log(),)

    def require_proper(self, name: str) -> None:
        """ValueError without a state and where a concentration is not above 0."""
        if not self.natural[0].ndim or not self.natural[0].shape[-1]:
            raise ValueError(f"{name}: has no states; give a concentration for each of one or more")
        require_positive(self.concentration, name, "concentration")
