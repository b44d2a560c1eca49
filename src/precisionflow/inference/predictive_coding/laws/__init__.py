"""Error laws, one file each: -log p(error; precision), its normaliser, and a step down the energy.

A law is a module: parameters that it learns are the learner's, so the optimiser sees them. Each has at least one axis:
DeepSpeed broadcasts none without. Every channel of an error is independent of the others.
"""

from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

Errors = Float[Tensor, "*samples channels"]
Precisions = Float[Tensor, "..."]
"""Above 0, of a shape that broadcasts to that of the errors."""

StepSize = Float[Tensor, "..."] | float
"""Of each error, in units of 1 / curvature; it broadcasts too."""


class Stepped(NamedTuple):
    """An error after a step."""

    error: Errors
    score: Errors
    """d -log p(error) / d error: a layer's weights learn from it."""


@runtime_checkable
class Law(Protocol):
    """The distribution of an error, given its precision."""

    def energy(self, error: Errors, precision: Precisions) -> Errors:
        """-log p(e) + log p(0) of each error: 0 at 0."""
        ...

    def total_energy(self, error: Errors, precision: Precisions) -> Float[Tensor, ""]:
        """The sum of all of them."""
        ...

    def log_normaliser(self, precision: Precisions) -> Precisions:
        """-log p(0): with the energy, -log p(e)."""
        ...

    def score(self, error: Errors, precision: Precisions) -> Errors:
        """d -log p(e) / de."""
        ...

    def cdf(self, error: Errors, precision: Precisions) -> Errors:
        """P(E <= e) of each error: 1/2 at 0."""
        ...

    def curvature(self, precision: Precisions) -> Precisions:
        """Largest d^2 -log p(e) / de^2: a step is in units of 1 / curvature."""
        ...

    def stepped(
        self, error: Errors, gradient: Errors, precision: Precisions, *, step_size: StepSize
    ) -> Stepped:
        """The error after one step down energy + output loss.

        `gradient` is that of the output loss alone.
        """
        ...
