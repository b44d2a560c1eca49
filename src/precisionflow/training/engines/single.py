"""One network in a plain loop of steps: the part that plain torch and DeepSpeed share."""

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor, nn

from precisionflow.config.training import Training
from precisionflow.inference.predictive_coding.settle import Unsettled
from precisionflow.models.numerics import counted_sum
from precisionflow.training.average import RunningMean
from precisionflow.training.batches import Batch
from precisionflow.training.engines.not_finite import watching_outputs
from precisionflow.training.files import load_weights, reading, save_weights
from precisionflow.training.phases import Profile
from precisionflow.training.ranks import Ranks
from precisionflow.training.rules import Lesson
from precisionflow.training.rules.generative import GenerativeLearner
from precisionflow.training.rules.learner import Learner
from precisionflow.training.rules.monitored import AttentionRow, Monitored
from precisionflow.training.schedule import share_of_average, share_of_peak
from precisionflow.training.standing import Interval

BEST = "best.safetensors"
"""Kept weights inside a checkpoint."""
AVERAGE = "average.safetensors"
"""Running mean of the weights inside a checkpoint."""


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
        self.profile = Profile(training.profile, device=ranks.device, network=lambda: self.network)
        self.mean: RunningMean | None = None
        """Running mean of the weights, which is validated and kept in their place."""
        if resume:
            with reading(resume / BEST, checkpoint=resume.parent) as file:
                self.best = load_weights(file) if file.exists() else {}

    @abstractmethod
    def learn(self, parts: Sequence[Batch], share: float, carried: Sequence[Any]) -> list[Lesson]:
        """One optimiser step on this rank's share of a batch, in parts; what each part taught.

        `share` is that of the peak learning rates; `carried` is that of each part's lesson before.
        """

    @abstractmethod
    def losses(self, batch: Batch) -> Tensor:
        """Negative log-likelihood of each sample by one plain forward pass."""

    @property
    @abstractmethod
    def teacher(self) -> Learner | GenerativeLearner:
        """The network with what teaches it."""

    @property
    @abstractmethod
    def network(self) -> nn.Module:
        """The network alone, without what teaches it."""

    def whole(self) -> contextlib.AbstractContextManager[None]:
        """Inside, this rank has all weights, and its passes wait for no other rank."""
        return contextlib.nullcontext()

    @abstractmethod
    def whole_weights(self) -> dict[str, Tensor]:
        """The network's weights on the CPU, complete on the first rank."""

    @abstractmethod
    def save_state(self, folder: Path) -> None:
        """Weights and optimiser state."""

    def step(self, batch: Batch, step: int) -> Float[Tensor, "measures"]:
        """Take all optimiser steps on the batch of a step; what the first of them measured."""
        parts, share = batch.parts(self.training.accumulate), share_of_peak(step, self.training)
        first = lessons = self.learn(parts, share, [None] * len(parts))
        while lessons[0].carried is not None:
            lessons = self.learn(parts, share, [lesson.carried for lesson in lessons])
        if self.mean and self.training.average:
            self.mean.follow(share_of_average(step, self.training.average))
        return torch.stack([torch.stack([one.loss.detach(), one.energy.detach()]) for one in first]).mean(
            dim=0
        )

    def advance(self, first: int, last: int, interval: Interval) -> None:
        for step in range(first, last):
            start = time.perf_counter()
            with self.profile.step():
                measured = self.step(self.feed.batch(step), step)
            interval.add(measured[None], seconds=time.perf_counter() - start)

    def profiled(self) -> list[dict[str, float]]:
        return [self.profile.take()]

    def monitored(self, step: int) -> list[Monitored]:
        """Of the first part of this rank's share, where training.accumulate cuts it."""
        part, *_ = self.feed.batch(step).parts(self.training.accumulate)
        with self.whole():
            found = self.teacher.monitored(part, step=step)
        return [] if found is None else [found]

    def attended(self, step: int) -> list[list[AttentionRow]]:
        """Of the same part."""
        part, *_ = self.feed.batch(step).parts(self.training.accumulate)
        if not isinstance(self.teacher, Learner):
            return []
        with self.whole():
            return [self.teacher.attended(part, step=step, ranks=self.ranks)]

    def validate(self, going: Bool[Tensor, "networks"]) -> Float64[Tensor, "networks"]:  # noqa: ARG002
        with self._validating():
            return torch.tensor([self.validation_loss()], dtype=torch.float64)

    def not_finite(self, place: int, *, step: int | None) -> str | None:  # noqa: ARG002 - there is one network
        """By a plain forward pass, which drops no unit out."""
        passes = self._validating() if step is None else self._passing(step)
        with passes, watching_outputs(self.network) as found, contextlib.suppress(Unsettled):
            self.validation_loss()
        return self.ranks.first_told(found[0] if found else "") or None

    def validation_loss(self) -> float:
        """Mean loss over all validation targets; ranks take batches in turn, each the same number of them.

        Unsettled on every rank where settling an image of one of them raised its energy.
        """
        valid, ranks = self.feed.valid, self.ranks
        total = torch.zeros(2, dtype=torch.float64, device=ranks.device)
        with ranks.agreed(Unsettled):
            for first in range(0, len(valid), ranks.count):
                index = first + ranks.index
                batch = valid[min(index, len(valid) - 1)].to(ranks.device)
                losses = self.losses(batch).double()
                if index < len(valid):
                    factors = None if batch.factors is None else batch.factors.double()
                    total += torch.stack([counted_sum(losses, factors), losses.new_tensor(batch.counted)])
        loss, count = ranks.sum(total).tolist()
        return float(loss / count)

    def keep(self, which: Bool[Tensor, "networks"]) -> None:
        """Without early stopping the weights of the end are kept: nothing to remember before."""
        if which.all() and self.training.patience is not None:
            self.best = self._validated_weights()

    def leave(self, gone: Bool[Tensor, "networks"]) -> None:
        if gone.all() and self.training.patience is None:
            self.best = self._validated_weights()

    def weights(self) -> list[dict[str, Tensor]]:
        return [self.best]

    def out_of_fold(self) -> list[Float[Tensor, "valid outputs"]]:
        return []

    def save(self, folder: Path) -> None:
        self.save_state(folder)
        average = self._validated_weights() if self.mean else {}
        for weights, name in ((self.best, BEST), (average, AVERAGE)):
            if weights and self.ranks.first:
                save_weights(weights, folder / name)

    def average(self, mean: RunningMean, *, resume: Path | None) -> None:
        """Keep a running mean of the weights, which goes on from a checkpoint where one is resumed."""
        if self.training.average:
            self.mean = mean
            if resume:
                with reading(resume / AVERAGE, checkpoint=resume.parent) as file:
                    mean.load(load_weights(file))

    @contextlib.contextmanager
    def _validating(self) -> Iterator[None]:
        """Inside, the weights are those that are validated; images settle with all of them, each in its own steps."""
        with self._mean_in_place(), self._apart():
            yield

    @contextlib.contextmanager
    def _passing(self, step: int) -> Iterator[None]:
        """Inside, the validation is that of every rank's share of a step's batch, by the weights that learn."""
        feed, parts = self.feed, self.feed.batch(step).parts(self.training.accumulate)
        self.feed = feed._replace(valid=[part for part in parts for _ in range(self.ranks.count)])
        try:
            with self._apart():
                yield
        finally:
            self.feed = feed

    def _apart(self) -> contextlib.AbstractContextManager[None]:
        return self.whole() if isinstance(self.teacher, GenerativeLearner) else contextlib.nullcontext()

    def _mean_in_place(self) -> contextlib.AbstractContextManager[None]:
        return self.mean.in_place() if self.mean else contextlib.nullcontext()

    def _validated_weights(self) -> dict[str, Tensor]:
        with self._mean_in_place():
            return self.whole_weights()
