"""A network that weighs several sources by precisions, which follow the steps of a row."""

from typing import ClassVar, assert_never

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.config.networks import Fusion
from precisionflow.config.optimiser import GroupName
from precisionflow.models.gain.slow_state import LastStep, SlowState
from precisionflow.models.gain.sources import WeighedSources
from precisionflow.models.networks.layered import Layered

Rows = Float[Tensor, "rows features"]


class Evidence(nn.Module):
    """State of a row after its last step: the sources of that step, then what all steps tell about their precisions."""

    def __init__(self, features: int, *, sources: int, steps: int, hidden: int, memory: nn.Module) -> None:
        super().__init__()
        self.sources = sources
        self.steps = steps
        self.tell = nn.Sequential(nn.Linear(features, 2 * hidden), nn.SiLU(), nn.Linear(2 * hidden, hidden))
        self.memory = memory
        self.shape = nn.SiLU()

    def forward(self, rows: Rows) -> Float[Tensor, "rows state"]:
        by_step = rows.unflatten(-1, (self.steps, -1))
        told = self.shape(self.memory(self.tell(by_step)))
        return torch.cat([by_step[..., -1, : self.sources], told], dim=-1)


class FusedReadout(nn.Module):
    """Mean and log precision of the sources that a state begins with, weighed by what follows them."""

    group: ClassVar[GroupName] = "readout"

    def __init__(self, *, sources: int, hidden: int) -> None:
        super().__init__()
        self.sources = sources
        self.weighed = WeighedSources(hidden, sources)

    def forward(self, state: Float[Tensor, "rows state"]) -> Float[Tensor, "rows 2"]:
        return self.weighed(*state.tensor_split([self.sources], dim=-1))  # type: ignore[no-any-return]


def fusion(config: Fusion, *, features: int) -> Layered:
    """inputs: Float "rows features", at each step its sources, then what else it tells; output: mean, log precision.

    ValueError for features that are no such steps.
    """
    each, rest = divmod(features, config.length)
    if rest or each < config.sources:
        raise ValueError(
            f"model.length {config.length} with model.sources {config.sources}: the data have {features} features, "
            f"which are no {config.length} steps of {config.sources} or more; give the numbers of the data"
        )
    evidence = Evidence(
        each, sources=config.sources, steps=config.length, hidden=config.hidden, memory=_memory(config)
    )
    readout = FusedReadout(sources=config.sources, hidden=config.hidden)
    return Layered(
        [evidence], readout, states=[(config.sources + config.hidden,)], layer_kinds=config.layer_kinds
    )


def _memory(config: Fusion) -> nn.Module:
    match config.memory:
        case "slow":
            return SlowState(config.hidden, longest=float(config.length))
        case "none":
            return LastStep()
        case _:
            assert_never(config.memory)
