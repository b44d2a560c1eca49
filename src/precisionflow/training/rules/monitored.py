"""What is seen of one lesson, beside what it teaches."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class SettlingRow(NamedTuple):
    """One layer in one record; the columns of records.schemas.SETTLING after the network."""

    step: int
    layer: int
    energy: list[float]
    error_norm: list[float]
    precision: list[float]
    quadratic_energy: list[float]
    cosine: float
    errors: int
    pit_error: float
    coverage_50: float
    coverage_90: float
    coverage_95: float
    dispersion: float
    head_precision: Sequence[float] = ()


class AttentionRow(NamedTuple):
    """One head and symbol in one record; the columns of records.schemas.NETWORK_ATTENTION after the network."""

    step: int
    layer: int
    head: int
    symbol: int
    n: int
    entropy: float
    log_precision: float


class Monitored(NamedTuple):
    """How the errors of a batch settled, and how the gradient compares with backprop's."""

    iterations: int
    """Steps that the errors took."""
    cosine: float
    """Between the gradient of all weights and backprop's."""
    layers: Sequence[SettlingRow]
    """The last one is the output's."""

    def entries(self, step: int) -> Iterator[tuple[int, str, float]]:
        """The record as entries of a history: of each layer what holds after settling, over all positions."""
        yield step, "iterations", float(self.iterations)
        yield step, "gradient_cosine", self.cosine
        for of in self.layers:
            name = f"layer_{of.layer}" if of.error_norm else "output"
            yield step, f"energy_{name}", of.energy[-1]
            if of.error_norm:
                yield step, f"error_norm_{name}", root_mean_square(of.error_norm)
            if of.precision:
                yield step, f"precision_{name}", geometric_mean(of.precision)
            for head, precision in enumerate(of.head_precision):
                yield step, f"precision_{name}_head_{head}", precision
            if of.errors:
                yield step, f"pit_error_{name}", of.pit_error
                yield step, f"coverage_90_{name}", of.coverage_90
                yield step, f"dispersion_{name}", of.dispersion


def root_mean_square(values: Sequence[float]) -> float:
    """sqrt(mean of squares)."""
    return math.sqrt(sum(value**2 for value in values) / len(values))


def geometric_mean(values: Sequence[float]) -> float:
    """exp(mean of logarithms)."""
    return math.exp(sum(map(math.log, values)) / len(values))
