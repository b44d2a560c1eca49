"""What inference asks of ranks: processes that each hold a part of one problem."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Ranks(Protocol):
    """Processes in an order, such as `training.ranks.Ranks`; all call the same sums."""

    @property
    def index(self) -> int:
        """Place of this one."""
        ...

    @property
    def count(self) -> int:
        """Number of all."""
        ...

    def sum(self, values: Tensor) -> Tensor:
        """Elementwise sum over ranks."""
        ...


@dataclass(frozen=True)
class Alone:
    """One process."""

    index: int = 0
    count: int = 1

    def sum(self, values: Tensor) -> Tensor:
        return values


ALONE = Alone()


def of_each(values: Tensor, ranks: Ranks) -> Tensor:
    """The values of all ranks in their order, by one sum."""
    every = torch.zeros(ranks.count, *values.shape, dtype=values.dtype, device=values.device)
    every[ranks.index] = values
    return ranks.sum(every)
