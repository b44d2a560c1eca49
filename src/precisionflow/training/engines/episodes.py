"""The engine of an agent: each step plays a batch of episodes and adds what was seen to its counts."""

import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from precisionflow.config import Experiment
from precisionflow.data.streams import Stream
from precisionflow.inference.planning.agent import COUNTS, knowledge, played_by
from precisionflow.inference.planning.play import Played
from precisionflow.training.files import load_weights, reading, save_weights
from precisionflow.training.rules.monitored import AttentionRow, Monitored
from precisionflow.training.standing import Interval

STATE, BEST = "counts.safetensors", "best.safetensors"


class Episodes:
    """One agent; its loss is -ln p(o) of an observation under its model, in nats."""

    measures: ClassVar[tuple[str, ...]] = ("train_loss", "reward")
    count = 1

    def __init__(
        self,
        experiment: Experiment,
        *,
        stream: Stream,
        train: Int[np.ndarray, "train"],
        valid: Int[np.ndarray, "valid"],
        resume: Path | None,
    ) -> None:
        self.experiment, self.stream = experiment, stream
        self.train, self.valid = train, valid
        self.known = knowledge(experiment)
        self.best: dict[str, Tensor] = {}
        if resume and self._weights():
            with reading(resume / STATE, checkpoint=resume.parent) as file:
                self.known.load_state_dict(load_weights(file))
            with reading(resume / BEST, checkpoint=resume.parent) as file:
                self.best = load_weights(file) if file.exists() else {}

    def advance(self, first: int, last: int, interval: Interval) -> None:
        size = self.experiment.training.batch_size
        for step in range(first, last):
            start = time.perf_counter()
            episodes = self.train[np.arange(step * size, (step + 1) * size) % len(self.train)]
            played = played_by(self.known, self.experiment, self.stream, episodes)
            self._learn(played)
            measured = torch.tensor([[played.surprise.mean(), played.reward.mean()]])
            interval.add(measured, seconds=time.perf_counter() - start)

    def _learn(self, played: Played) -> None:
        held = dict(self.known.named_parameters())
        for index, seen in enumerate(played.counts):
            if seen is not None:
                counts = held[COUNTS.format(index)]
                counts.add_(torch.from_numpy(seen).view_as(counts))

    def monitored(self, step: int) -> list[Monitored]:  # noqa: ARG002 - nothing settles
        return []

    def profiled(self) -> list[dict[str, float]]:
        return []

    def attended(self, step: int) -> list[list[AttentionRow]]:  # noqa: ARG002 - no agent attends
        return []

    def validate(self, going: Bool[Tensor, "networks"]) -> Float64[Tensor, "networks"]:  # noqa: ARG002
        played = played_by(self.known, self.experiment, self.stream, self.valid)
        return torch.tensor([played.surprise.mean()], dtype=torch.float64)

    def not_finite(self, place: int, *, step: int | None) -> str | None:  # noqa: ARG002 - counts are finite
        return None

    def keep(self, which: Bool[Tensor, "networks"]) -> None:
        if which.all():
            self.best = self._weights()

    def leave(self, gone: Bool[Tensor, "networks"]) -> None:
        if gone.all() and not self.best:
            self.best = self._weights()

    def weights(self) -> list[dict[str, Tensor]]:
        return [self.best]

    def out_of_fold(self) -> list[Float[Tensor, "valid outputs"]]:
        return []

    def save(self, folder: Path) -> None:
        for weights, name in ((self._weights(), STATE), (self.best, BEST)):
            if weights:
                save_weights(weights, folder / name)

    def close(self) -> None:
        self.best = {}

    def _weights(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.known.state_dict().items()}
