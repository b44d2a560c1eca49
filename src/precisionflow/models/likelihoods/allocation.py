"""The ELBO of a class that is told from tokens: how likely it is by what they show, and what their allocation costs."""

from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from precisionflow.models.likelihoods.categorical import Classes, cross_entropy


class Read(NamedTuple):
    """What a reader of patches states of images."""

    logits: Float[Tensor, "images classes"]
    complexity: Float[Tensor, "images"]
    """KL[allocation || all allocations of the budget alike], in nats."""
    precision_loss: Float[Tensor, "images"]
    """(tau e^2 - ln tau) / 2, mean over patches and readings; 0 where no precision is stated."""


@dataclass(frozen=True)
class ElboOfAllocation:
    """-log p(class | tokens) + complexity KL + precision_loss (tau e^2 - ln tau) / 2, in nats."""

    complexity: float
    precision_loss: float

    def losses(self, *, progress: float) -> "ElboOfAllocation":  # noqa: ARG002 - the same from the first step to the last
        return self

    def __call__(self, raw: Read, target: Classes) -> Float[Tensor, "images"]:
        costs = self.complexity * raw.complexity + self.precision_loss * raw.precision_loss
        return self.negative_log_likelihood(raw, target) + costs

    @staticmethod
    def negative_log_likelihood(raw: Read, target: Classes) -> Float[Tensor, "images"]:
        return cross_entropy(raw.logits, target)
