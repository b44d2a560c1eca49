"""Ranks: the processes of one training run, and what they compute together."""

import os
from dataclasses import dataclass

import torch
from torch import Tensor
from torch import distributed as dist

VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun sets for every rank; fewer of them, such as a RANK that was left in a shell, make no rank."""


def is_rank() -> bool:
    """Whether the environment has all variables of a rank."""
    return set(VARIABLES) <= os.environ.keys()


def _number(variable: str) -> int:
    text = os.environ[variable]
    if not text.isdecimal():
        raise ValueError(
            f"{variable}: given {text!r}; should be a whole number; unset {', '.join(VARIABLES)} or start by torchrun"
        )
    return int(text)


@dataclass(frozen=True)
class Ranks:
    """Rank `index` of `count`; with count 1 nothing is sent."""

    index: int = 0
    count: int = 1
    device: torch.device = torch.device("cpu")  # noqa: RUF009 - a constant

    @classmethod
    def of_process(cls, device: torch.device) -> "Ranks":
        """The ranks that torchrun or a TrainJob has set up in the environment, or this process alone."""
        return cls(_number("RANK"), _number("WORLD_SIZE"), device) if is_rank() else cls(device=device)

    def shares(self, stages: int) -> "Ranks":
        """Pipelines of so many stages, by which a batch is shared: that of this rank, and their number.

        DeepSpeed's order: the first stages of all pipelines, then the second ones.
        """
        count = self.count // stages
        return Ranks(self.index % count, count, self.device)

    @property
    def first(self) -> bool:
        return self.index == 0

    def sum(self, values: Tensor) -> Tensor:
        """Elementwise sum over ranks."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def all(self, condition: bool) -> bool:
        """Whether the condition holds on every rank."""
        if self.count == 1:
            return condition
        votes = self.sum(torch.tensor([float(condition)], device=self.device))
        return bool(votes.item() == self.count)

    def lost(self, error: RuntimeError) -> bool:
        """Whether an error says that another rank ended or cannot be reached."""
        return self.count > 1 and (isinstance(error, dist.DistError) or "gloo" in str(error))

    def barrier(self) -> None:
        """Wait until every rank is here."""
        if self.count > 1:
            dist.barrier()
