"""Ranks: the processes of one training run, and what they compute together."""

import contextlib
import os
from collections.abc import Iterator
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
        """Elementwise sum over ranks; the values given stay what they are."""
        summed = values.clone()
        if self.count > 1:
            dist.all_reduce(summed)
        return summed

    def all(self, condition: bool) -> bool:
        """Whether the condition holds on every rank."""
        if self.count == 1:
            return condition
        votes = self.sum(torch.tensor([float(condition)], device=self.device))
        return bool(votes.item() == self.count)

    def greatest(self, value: int) -> int:
        """The greatest value of a rank."""
        if self.count == 1:
            return value
        values = torch.tensor([value], device=self.device)
        dist.all_reduce(values, op=dist.ReduceOp.MAX)
        return int(values.item())

    def first_told(self, text: str) -> str:
        """The text of the first rank whose own is not empty; else empty."""
        if self.count == 1:
            return text
        encoded = text.encode()
        sizes = torch.zeros(self.count, dtype=torch.int64, device=self.device)
        sizes[self.index] = len(encoded)
        told = [(rank, size) for rank, size in enumerate(self.sum(sizes).tolist()) if size]
        if not told:
            return ""
        (teller, size), *_ = told
        sent = encoded if self.index == teller else bytes(size)
        return bytes(self.sum(torch.tensor(list(sent), device=self.device)).tolist()).decode()

    @contextlib.contextmanager
    def agreed(self, kind: type[ValueError]) -> Iterator[None]:
        """An error of this kind, met inside by one rank alone, is met by all of them at the end of the block.

        The message is that of the first rank whose error has one, and a rank that has met the same raises what it met.
        Inside, a rank that goes on must not wait for another that may not.
        """
        met: ValueError | None = None
        try:
            yield
        except kind as error:
            met = error
        if self.all(met is None):
            return
        told = self.first_told("" if met is None else str(met))
        if met is not None and str(met) == told:
            raise met
        raise kind(told) from met

    def lost(self, error: RuntimeError) -> bool:
        """Whether an error says that another rank ended or cannot be reached."""
        return self.count > 1 and (isinstance(error, dist.DistError) or "gloo" in str(error))

    def barrier(self) -> None:
        """Wait until every rank is here."""
        if self.count > 1:
            dist.barrier()
