"""Rules, the ways of learning, one file each: from a network and a batch to what the optimiser follows.

A rule of one network gives a lesson, a scalar with the gradient of the weights; a rule that takes several steps on a
batch says what the next lesson goes on from. A rule of many networks gives gradients or new weights.
"""

from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor


class Lesson(NamedTuple):
    """What one optimiser step on a batch learns from."""

    surrogate: Float[Tensor, ""]
    """Its gradient is the gradient of the weights."""
    loss: Float[Tensor, ""]
    """Mean loss of the plain forward pass, in nats: the same quantity for every way of learning. Of a model of images
    the free energy at the settled states, as in validation."""
    energy: Float[Tensor, ""]
    """Energy after settling, mean over samples; the loss where nothing settles."""
    carried: Any = None
    """What the next step on the same batch goes on from; none: the batch is done."""

    def weighted(self, weight: float) -> "Lesson":
        """All three scalars times a weight."""
        if weight == 1.0:
            return self
        return self._replace(
            surrogate=weight * self.surrogate, loss=weight * self.loss, energy=weight * self.energy
        )

    def detached(self) -> "Lesson":
        """The numbers, without what they were computed from."""
        return self._replace(surrogate=self.surrogate.detach())
