"""Interface of an engine to the training loop."""

from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from jaxtyping import Bool, Float, Float64
from torch import Tensor

from precisionflow.training.rules.monitored import AttentionRow, Monitored
from precisionflow.training.standing import Interval


@runtime_checkable
class Engine(Protocol):
    """Steps, validations and weights of one network or many; every method is called by all ranks at once."""

    measures: ClassVar[tuple[str, ...]]
    """Names of what is measured at every step."""
    count: int
    """Number of networks that it started with."""

    def advance(self, first: int, last: int, interval: Interval) -> None:
        """Optimiser steps [first, last); what they measure is added to the interval."""
        ...

    def profiled(self) -> list[dict[str, float]]:
        """Seconds of a step of each network by phase and layer, and its peak of memory, once they are known."""
        ...

    def monitored(self, step: int) -> list[Monitored]:
        """What is seen of each network's lesson on the batch of a step; empty where nothing settles."""
        ...

    def attended(self, step: int) -> list[list[AttentionRow]]:
        """What attention does in each network with the batch of a step; empty without any."""
        ...

    def validate(self, going: Bool[Tensor, "networks"]) -> Float64[Tensor, "networks"]:
        """Validation loss of each network, in nats; those `going` have not stopped."""
        ...

    def not_finite(self, place: int, *, step: int | None) -> str | None:
        """The first layer of a network whose output for the batch of a step is not finite; none: only the loss is not.

        Without a step its validation. The same on every rank.
        """
        ...

    def keep(self, which: Bool[Tensor, "networks"]) -> None:
        """Keep the weights of some networks as they were validated last."""
        ...

    def leave(self, gone: Bool[Tensor, "networks"]) -> None:
        """Go on without some networks, whose kept weights are final."""
        ...

    def weights(self) -> list[dict[str, Tensor]]:
        """Kept weights of every network that has left, on the CPU, complete on the first rank."""
        ...

    def out_of_fold(self) -> list[Float[Tensor, "valid outputs"]]:
        """Raw outputs of every network for its validation rows; empty where not asked for."""
        ...

    def save(self, folder: Path) -> None:
        """All that is needed to go on, into an empty folder."""
        ...

    def close(self) -> None:
        """Free the memory."""
        ...
