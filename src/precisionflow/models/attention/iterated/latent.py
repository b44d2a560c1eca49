"""What iterated models have beside observations and slots: precisions, memory nodes, causes; by the configuration.

`heads` are the last axes of the problems that have a distribution each: none where all problems have one.
"""

import math
from typing import Any, ClassVar, Protocol, assert_never, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.config import attention as kinds
from precisionflow.config.optimiser import GroupName
from precisionflow.models.attention.iterated import State
from precisionflow.models.attention.iterated.block_slots import BlockSlots
from precisionflow.models.attention.iterated.predictive_coding import PredictiveCoding
from precisionflow.models.attention.iterated.slots import (
    DotProductSlots,
    GaussianSlots,
    Observations,
    Present,
)
from precisionflow.models.likelihoods.density import limited

Slots = Float[Tensor, "*problems slots width"]
Shares = Float[Tensor, "*problems slots observations"]
Heads = tuple[int, ...]


@runtime_checkable
class Latent(Protocol):
    """Interface of edges to slot attention."""

    def model(self, observations: Observations, present: Present | None = None) -> Any:
        """A `Descending` of these observations, of which padding is no one; none: all are present."""
        ...

    def begun(self, slots: Slots) -> State:
        """All latent nodes where slots start."""
        ...

    def slots(self, state: State) -> Slots:
        """The slots among all latent nodes."""
        ...

    def shares(self, model: Any, state: State) -> Shares:
        """p(edge j -> i | x_j, z): what each slot has of each observation."""
        ...


class SlotsAlone(nn.Module):
    """The slots are all latent nodes."""

    def begun(self, slots: Slots) -> State:
        return slots

    def slots(self, state: State) -> Slots:
        return state

    def shares(self, model: DotProductSlots | GaussianSlots | BlockSlots, state: State) -> Shares:
        return model.posterior(state)


class Gaussian(SlotsAlone):
    """`GaussianSlots` of a learned precision that starts at 1."""

    group: ClassVar[GroupName] = "distribution"

    def __init__(self, *, heads: Heads) -> None:
        super().__init__()
        self.log_precision = nn.Parameter(torch.zeros(*heads, 1))

    def model(self, observations: Observations, present: Present | None = None) -> GaussianSlots:
        precision = limited(self.log_precision).exp()[..., None]
        return GaussianSlots(observations, precision=precision, present=present)


class DotProduct(SlotsAlone):
    """`DotProductSlots` of n observations over sqrt(n): slots are sums, and <z, x> keeps its scale whatever n is."""

    def model(self, observations: Observations, present: Present | None = None) -> DotProductSlots:
        return DotProductSlots(spread(observations, present), present)


class Blocks(SlotsAlone):
    """`BlockSlots` of the same observations, their memory nodes learned."""

    group: ClassVar[GroupName] = "distribution"

    def __init__(self, width: int, *, blocks: int, memories: int, heads: Heads) -> None:
        super().__init__()
        self.memory = nn.Parameter(torch.randn(*heads, blocks, memories, width // blocks))

    def model(self, observations: Observations, present: Present | None = None) -> BlockSlots:
        return BlockSlots(spread(observations, present), self.memory, present)


class Causes(nn.Module):
    """`PredictiveCoding` of two latent layers: causes, slots. An observation is predicted by its slot as it is.

    Learned are the causes' means, weights of causes on slots, which start at 1, and a precision of either layer's
    errors, which starts at 1, as that of the causes is.
    """

    group: ClassVar[GroupName] = "distribution"

    def __init__(self, width: int, *, count: int, causes: int, heads: Heads) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.randn(*heads, causes, width))
        self.weights = nn.Parameter(torch.ones(*heads, count, causes))
        self.log_precision = nn.Parameter(torch.zeros(*heads, 2))

    def model(self, observations: Observations, present: Present | None = None) -> PredictiveCoding:
        slots, seen, heads = self.weights.shape[-2], observations.shape[-2], self.mean.shape[:-2]
        of_slots, of_observations = limited(self.log_precision).exp().split(1, -1)
        return PredictiveCoding(
            observations,
            weights=[self.weights, observations.new_ones(seen, slots)],
            precisions=[of_slots.expand(*heads, slots), of_observations.expand(*heads, seen)],
            mean=self.mean,
            prior_precision=1.0,
            present=present,
        )

    def begun(self, slots: Slots) -> State:
        return torch.cat([self.mean.expand(*slots.shape[:-2], -1, -1), slots], dim=-2)

    def slots(self, state: State) -> Slots:
        return state[..., self.mean.shape[-2] :, :]

    def shares(self, model: PredictiveCoding, state: State) -> Shares:
        return model.posterior(state)[-1].mT


def latent(config: kinds.Iterated, *, count: int, width: int, heads: Heads = ()) -> nn.Module:
    """A module that is a `Latent`, of so many slots of a width."""
    match config:
        case kinds.GaussianSlots():
            return Gaussian(heads=heads)
        case kinds.DotProductSlots():
            return DotProduct()
        case kinds.BlockSlots(blocks=blocks, memories=memories):
            return Blocks(width, blocks=blocks, memories=memories, heads=heads)
        case kinds.PredictiveCodingSlots(causes=causes):
            return Causes(width, count=count, causes=causes, heads=heads)
        case _:
            assert_never(config)


def spread(observations: Observations, present: Present | None) -> Observations:
    """x_j / sqrt(n), n the number of those that are present."""
    if present is None:
        return observations / math.sqrt(observations.shape[-2])
    return observations / present.sum(-1, dtype=observations.dtype)[..., None, None].clamp(min=1).sqrt()
