"""Error laws, one file each: -log p(error) of the layers that a law governs, its normaliser, and what it teaches.

A law is a module: parameters that it learns are the learner's, so the optimiser sees them. Each has at least one axis:
DeepSpeed broadcasts none without.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Law(Protocol):
    """The distribution of the errors of one or more layers."""

    def energy(self, errors: Sequence[Tensor]) -> Float[Tensor, ""]:
        """-log p(errors) up to `log_normaliser`, summed over layers and samples."""
        ...

    def log_normaliser(self, errors: Sequence[Tensor]) -> Float[Tensor, ""]:
        """-log p(errors) - energy(errors): what does not depend on the errors, but on the law's parameters."""
        ...

    def descended(self, error: Tensor, gradient: Tensor, *, step_size: float) -> Tensor:
        """The error after one gradient step on energy + output loss, in units of the law's variance.

        `gradient` is that of the output loss alone.
        """
        ...

    def lesson(self, prediction: Tensor, error: Tensor) -> Float[Tensor, ""]:
        """A scalar whose gradient in `prediction` is d energy(state - prediction) at the fixed state.

        Its gradient in the law's own parameters is that of energy + log_normaliser at the fixed error.
        """
        ...
