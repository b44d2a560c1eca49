"""Slot attention: learned features of observations, for which slots compete."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.models.attention.iterated.settle import settle
from precisionflow.models.attention.iterated.slots import GaussianSlots
from precisionflow.models.likelihoods.density import limited


class Grouped(NamedTuple):
    """Slots, and what each has of every observation."""

    slots: Float[Tensor, "*problems slots width"]
    shares: Float[Tensor, "*problems slots observations"]


class SlotAttention(nn.Module):
    """Slots that descend F of `GaussianSlots` over k_j = W x_j + b, with a learned precision that starts at 1.

    Slot attention (Locatello et al. 2020) with the free energy's own step in place of its recurrent unit, and with keys
    as values, so that F never rises. The caller draws where the slots start: equal starts stay equal.
    """

    def __init__(self, channels: int, width: int, *, iterations: int) -> None:
        super().__init__()
        self.key = nn.Linear(channels, width)
        self.log_precision = nn.Parameter(torch.zeros(1))
        self.iterations = iterations

    def forward(
        self,
        x: Float[Tensor, "*problems observations channels"],
        start: Float[Tensor, "*problems slots width"],
    ) -> Grouped:
        model = GaussianSlots(self.key(x), precision=limited(self.log_precision).exp()[0])
        slots = settle(model, start, iterations=self.iterations, tolerance=0.0).state
        return Grouped(slots, model.posterior(slots))
