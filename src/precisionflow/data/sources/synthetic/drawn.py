"""Drawn sequences, and the source that they are drawn from."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from precisionflow.records.schemas import NOT_COUNTED


class Drawn(NamedTuple):
    """Sequences with targets, and what the exact predictor states of them."""

    tokens: Int[np.ndarray, "rows places bag"]
    """Ids of each token; 0 is padding, a token without ids stands at no place."""
    target: Int[np.ndarray, "rows *places"]
    """Class of every sequence, or of every token; `NOT_COUNTED` where none is to be predicted."""
    log_optimal: Float[np.ndarray, "rows *places"]
    """log p(target) of the exact predictor, in nats."""
    optimal_correct: Bool[np.ndarray, "rows *places"]
    """Whether the exact predictor's most probable class is the target."""
    cause: Int[np.ndarray, "rows places"] | None = None
    """Place of the token that tells the target; -1 where there is none."""

    @property
    def counted(self) -> Bool[np.ndarray, "rows *places"]:
        """Where a target is to be predicted."""
        return self.target != NOT_COUNTED

    @property
    def optimal_nll(self) -> float:
        """Mean of -log p(target) of the exact predictor over the targets, in nats."""
        return -float(self.log_optimal[self.counted].mean())

    @property
    def optimal_accuracy(self) -> float:
        """Share of the targets that are the exact predictor's most probable class."""
        return float(self.optimal_correct[self.counted].mean())


class Source(NamedTuple):
    """A source from which any number of sequences can be drawn."""

    tokens: tuple[str, ...]
    """Symbol that each id stands for."""
    classes: tuple[str, ...]
    """Symbol that each class stands for."""
    draw: Callable[[int, np.random.Generator, bool], Drawn]
    """(rows, generator, whether they are the test part) -> sequences."""


def replaced(
    symbols: Int[np.ndarray, "*shape"], *, kinds: int, outliers: float, random: np.random.Generator
) -> Int[np.ndarray, "*shape"]:
    """The symbols 0 to kinds - 1, each replaced with probability `outliers` by one drawn uniformly."""
    shown = symbols.copy()
    strange = random.integers(kinds, size=symbols.shape)
    changed = random.random(symbols.shape) < outliers
    shown[changed] = strange[changed]
    return shown


def log_shown(
    true: Int[np.ndarray, "*shape"], shown: Int[np.ndarray, "*shape"], *, kinds: int, outliers: float
) -> Float[np.ndarray, "*shape"]:
    """log p(true symbol | shown symbol), all symbols alike a priori."""
    with np.errstate(divide="ignore"):
        stated = np.full(true.shape, np.log(outliers / kinds))
    stated[true == shown] = np.log1p(-outliers + outliers / kinds)
    return stated
