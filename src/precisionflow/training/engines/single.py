"""One network in a plain loop of steps: the part that plain torch and DeepSpeed share."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from precisionflow.config.training import Training
from precisionflow.models.numerics import counted_sum
from precisionflow.training.batches import Batch
from precisionflow.training.files import load_weights, reading, save_weights
from precisionflow.training.ranks import Ranks
from precisionflow.training.rules import Lesson
from precisionflow.training.schedule import learning_rate
from precisionflow.training.standing import Interval

BEST = "best.safetensors"
"""Kept weights inside a checkpoint."""


class Feed(NamedTuple):
    """What a network learns from and is validated on."""

    batch: Callable[[int], Batch]
    """step -> this rank's share of the step's batch."""
    valid: Sequence[Batch]
    """Every validation sample once."""


class SingleNetwork(ABC):
    """An `Engine` of one network; a subclass takes one optimiser step and evaluates one batch."""

    measures: ClassVar[tuple[str, ...]] = ("train_loss", "energy")
    count = 1

    def __init__(self, training: Training, feed: Feed, ranks: Ranks, *, resume: Path | None) -> None:
        self.training = training
        self.feed = feed
        self.ranks = ranks
        self.best: dict[str, Tensor] = {}
        """Kept weights, on the first rank."""
        if resume:
            with reading(resume / BEST, checkpoint=resume.parent) as file:
                self.best = load_weights(file) if file.exists() else {}

    @abstractmethod
    def learn(self, batch: Batch, learning_rate: float, carried: Any) -> Lesson:
        """One optimiser step on this rank's share of a batch."""

    @abstractmethod
    def losses(self, batch: Batch) -> Tensor:
        """Negative log-likelihood of each sample by one plain forward pass."""

    @abstractmethod
    def whole_weights(self) -> dict[str, Tensor]:
        """The network's weights on the CPU, complete on the first rank."""

    @abstractmethod
    def save_state(self, folder: Path) -> None:
        """Weights and optimiser state."""

    def step(self, batch: Batch, learning_rate: float) -> Lesson:
        """Take all steps on a batch; the lesson of the first."""
        first = lesson = self.learn(batch, learning_rate, None)
        while lesson.carried is not None:
            lesson = self.learn(batch, learning_rate, lesson.carried)
        return first

    def advance(self, first: int, last: int, interval: Interval) -> None:
        for step in range(first, last):
            start = time.perf_counter()
            lesson = self.step(self.feed.batch(step), learning_rate(step, self.training))
            measured = torch.stack([lesson.loss.detach(), lesson.energy.detach()])[None]
            interval.add(measured, seconds=time.perf_counter() - start)

    def validate(self, going: Bool[Tensor, "networks"]) -> Float64[Tensor, "networks"]:  # noqa: ARG002
        return torch.tensor([self.validation_loss()], dtype=torch.float64)

    def validation_loss(self) -> float:
        """Mean loss over all validation targets; ranks take batches in turn, each the same number of them."""
        valid, ranks = self.feed.valid, self.ranks
        total = torch.zeros(2, dtype=torch.float64, device=ranks.device)
        for first in range(0, len(valid), ranks.count):
            index = first + ranks.index
            batch = valid[min(index, len(valid) - 1)].to(ranks.device)
            losses = self.losses(batch).double()
            if index < len(valid):
                counts = None if batch.counts is None else batch.counts.double()
                total += torch.stack([counted_sum(losses, counts), losses.new_tensor(batch.counted)])
        loss, count = ranks.sum(total).tolist()
        return float(loss / count)

    def keep(self, which: Bool[Tensor, "networks"]) -> None:
        """Without early stopping the weights of the end are kept: nothing to remember before."""
        if which.all() and self.training.patience is not None:
            self.best = self.whole_weights()

    def leave(self, gone: Bool[Tensor, "networks"]) -> None:
        if gone.all() and self.training.patience is None:
            self.best = self.whole_weights()

    def weights(self) -> list[dict[str, Tensor]]:
        return [self.best]

    def out_of_fold(self) -> list[Float[Tensor, "valid outputs"]]:
        return []

    def save(self, folder: Path) -> None:
        self.save_state(folder)
        if self.best and self.ranks.first:
            save_weights(self.best, folder / BEST)
