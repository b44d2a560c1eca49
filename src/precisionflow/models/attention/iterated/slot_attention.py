"""Slot attention: learned features of observations, for which slots compete."""

from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.models.attention.iterated.settle import settle
from precisionflow.models.numerics import at_least_float32, outside_autocast


class Grouped(NamedTuple):
    """Slots, and what each has of every observation."""

    slots: Float[Tensor, "*problems slots width"]
    shares: Float[Tensor, "*problems slots observations"]


class SlotAttention(nn.Module):
    """Slots that descend the free energy of their edges to k_j = W x_j + b.

    Slot attention (Locatello et al. 2020) is that of Gaussian edges, with the free energy's own step in place of its
    recurrent unit, and with keys as values, so that F never rises. The caller draws where the slots start: equal starts
    stay equal.
    """

    def __init__(self, channels: int, width: int, *, iterations: int, edges: Any) -> None:
        """`edges` is a module that is a `Latent`."""
        super().__init__()
        self.key = nn.Linear(channels, width)
        self.edges = edges
        self.iterations = iterations

    def forward(
        self,
        x: Float[Tensor, "*problems observations channels"],
        start: Float[Tensor, "*problems slots width"],
    ) -> Grouped:
        observed = at_least_float32(self.key(x))
        with outside_autocast(x.device):
            model = self.edges.model(observed)
            state = settle(model, self.edges.begun(start), iterations=self.iterations, tolerance=0.0).state
            return Grouped(self.edges.slots(state), self.edges.shares(model, state))
