"""Memories that retrieve stored patterns."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from precisionflow.config.base import NUMBER, Config, Count, Flag
from precisionflow.config.engine import TorchEngine
from precisionflow.config.learning import Backpropagation


class AssociativeMemory(Config):
    """The training part's patterns, stored as they are; a query descends an energy from pattern to pattern.

    The precision of a query about its pattern is learned by -log p(query) = -log mean_j N(query; x_j, I / precision).
    """

    engines: ClassVar = (TorchEngine,)
    leaves: ClassVar[dict[str, Config]] = {"learning": Backpropagation()}
    remedy: ClassVar[str | None] = "lower training.learning_rate"
    kind: Literal["associative_memory"] = "associative_memory"
    energy: Literal["exponential", "quadratic"] = "exponential"
    """exponential: b / 2 |z|^2 - ln mean_j exp(b <z, x_j>), b the precision (Ramsauer et al. 2021). quadratic:
    -1/2 z^T W z over states of equal channels, from the one nearest to the query, W the sum of x_j x_j^T without its
    diagonal (Hopfield 1982)."""
    precision: Annotated[float, Field(ge=1e-3, le=1e6), NUMBER] = 32.0
    """b, or where it begins to be learned."""
    learned: Flag = False
    """Training changes the precision; false: it stays."""
    iterations: Count = 50
    """Most steps; a query that stands stops before. 1: one average."""
