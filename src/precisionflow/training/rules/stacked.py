"""Interface of a rule to the engine `batched`: many networks of one form learn at once, each from its own rows."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from precisionflow.config.optimiser import GroupName

Stacked = Mapping[str, Tensor]
"""Weights by name, each with a leading axis of networks."""
NetworkLosses = Float[Tensor, "networks"]


class StackedBatch(NamedTuple):
    """Rows of one step for each network.

    The weights of a network's rows sum to 1, with weights of rows on average over its batches; unused rows weigh 0.
    """

    inputs: Float[Tensor, "networks rows features"]
    target: Float[Tensor, "networks rows"]
    weight: Float[Tensor, "networks rows"]
    progress: float
    """Share of the training steps that come before this batch."""
    keys: Int[Tensor, "networks"]
    """Decide the units that each network drops."""


class Gradients(NamedTuple):
    """Each network's loss, and the gradients of the weights in their order: the optimiser takes a step."""

    losses: NetworkLosses
    gradients: Sequence[Tensor]


class NewWeights(NamedTuple):
    """Each network's loss before the batch, and the weights after it: no optimiser, no learning rate."""

    losses: NetworkLosses
    weights: Stacked


@runtime_checkable
class StackedRule(Protocol):
    """A way of learning for many networks."""

    groups: dict[str, GroupName]
    """Group of each parameter."""

    def learn(self, weights: Stacked, batch: StackedBatch) -> Gradients | NewWeights:
        """What a batch teaches."""
        ...

    def outputs(self, weights: Stacked, inputs: Float[Tensor, "networks rows features"]) -> Any:
        """Outputs of each network for its rows, in evaluation mode."""
        ...

    def negative_log_likelihood(
        self, outputs: Any, target: Float[Tensor, "networks rows"]
    ) -> Float[Tensor, "networks rows"]:
        """-log p(target) of each row, in nats: what validation measures."""
        ...
