"""The categorical over states: T = one-hot x, natural parameters log probabilities, up to a constant."""

from functools import cached_property
from typing import Self

from jaxtyping import Float
from torch import Tensor

from precisionflow.inference.variational.families import ExponentialFamily, Natural, Numbers, numbers
from precisionflow.inference.variational.families.dirichlet import Probabilities

LOG_TINY = -1e8
"""Stands for log 0: no infinity; data that speak for the state by more than 1e8 nats make it possible."""


class Categorical(ExponentialFamily):
    """prod_k probability_k^x_k, x one-hot."""

    axes = (1,)

    @classmethod
    def of(cls, probabilities: Numbers) -> Self:
        """From probabilities."""
        return cls((log_probabilities(probabilities, "probabilities"),))

    @cached_property
    def mean(self) -> Probabilities:
        """<x>: the probabilities."""
        return self.natural[0].softmax(dim=-1)

    @cached_property
    def statistics(self) -> Natural:
        """(probabilities,)."""
        return (self.mean,)

    @cached_property
    def log_normaliser(self) -> Float[Tensor, "*plates"]:
        """logsumexp of the natural parameters."""
        return self.natural[0].logsumexp(dim=-1)

    @staticmethod
    def statistics_of(value: Float[Tensor, "*plates states"]) -> Natural:
        """(x,), one-hot."""
        return (value,)

    def require_proper(self, name: str) -> None:
        """ValueError where a logarithm is not finite."""
        numbers(self.natural[0], name)


def log_probabilities(given: Numbers, name: str) -> Float[Tensor, "*plates states"]:
    """Logarithms, at least `LOG_TINY`; ValueError where probabilities are below 0 or don't sum to 1 within 1e-6."""
    found = numbers(given, name)
    if found.ndim == 0 or found.numel() == 0 or bool((found < 0).any()):
        raise ValueError(f"{name}: have to be at least 0, one for each state of one or more")
    totals = found.sum(dim=-1).flatten()
    furthest = totals[(totals - 1).abs().argmax()].item()
    if abs(furthest - 1) > 1e-6:
        raise ValueError(f"{name}: have to sum to 1 over the last axis, given {furthest:g}")
    return (found / found.sum(dim=-1, keepdim=True)).log().clamp(min=LOG_TINY)
