"""The engine `torch`: one process, plain torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from precisionflow.config.engine import TorchEngine
from precisionflow.config.training import Training
from precisionflow.models.attention.lowerings.distance import compile_distances
from precisionflow.models.networks.groups import parameter_groups
from precisionflow.training.average import RunningMean, weights_of
from precisionflow.training.batches import Batch
from precisionflow.training.engines.single import Feed, SingleNetwork
from precisionflow.training.files import reading, saving
from precisionflow.training.optimiser import optimiser, set_learning_rates
from precisionflow.training.phases import phase
from precisionflow.training.ranks import Ranks
from precisionflow.training.rules import Lesson
from precisionflow.training.rules.generative import GenerativeLearner
from precisionflow.training.rules.learner import Learner

STATE = "state.pt"


class Torch(SingleNetwork):
    """Weights and optimiser of this process alone."""

    def __init__(
        self,
        learner: Learner | GenerativeLearner,
        config: TorchEngine,
        training: Training,
        feed: Feed,
        ranks: Ranks,
        *,
        resume: Path | None,
    ) -> None:
        super().__init__(training, feed, ranks, resume=resume)
        self.learner = learner.to(ranks.device)
        # backward() gives every gradient the strides of its parameter, which is contiguous
        self.optimiser = optimiser(
            learner.named_parameters(), training, groups=parameter_groups(self.learner), fused=True
        )
        if resume:
            with reading(resume / STATE, checkpoint=resume.parent) as file:
                state = torch.load(file, map_location=ranks.device, weights_only=True)
            self.learner.load_state_dict(state["learner"])
            self.optimiser.load_state_dict(state["optimiser"])
        self.parameters = list(self.learner.parameters())
        self.average(RunningMean(weights_of(self.learner.model)), resume=resume)
        if config.compile:
            assert isinstance(self.learner, Learner), "a model of images is not compiled"
            compile_distances(self.learner.model)
            for part in (*self.learner.model.layers, self.learner.model.readout):
                part.compile()

    def learn(self, parts: Sequence[Batch], share: float, carried: Sequence[Any]) -> list[Lesson]:
        if not self.learner.training:
            self.learner.train()
        set_learning_rates(self.optimiser, share)
        for parameter in self.parameters:
            parameter.grad = None
        lessons = []
        for part, before in zip(parts, carried, strict=True):
            with phase("forward"):
                lesson: Lesson = self.learner(part, before).weighted(part.weight)
            with phase("backward"):
                surrogate = lesson.surrogate if len(parts) == 1 else lesson.surrogate / len(parts)
                surrogate.backward()  # type: ignore[no-untyped-call]
            lessons.append(lesson.detached())
        with phase("optimiser"):
            if self.training.gradient_clip:
                nn.utils.clip_grad_norm_(self.parameters, self.training.gradient_clip)
            self.optimiser.step()
        return lessons

    def losses(self, batch: Batch) -> Tensor:
        self.learner.eval()
        with torch.no_grad():
            return self.learner(batch)  # type: ignore[no-any-return]

    @property
    def teacher(self) -> Learner | GenerativeLearner:
        return self.learner

    @property
    def network(self) -> nn.Module:
        return self.learner.model  # type: ignore[no-any-return]

    def whole_weights(self) -> dict[str, Tensor]:
        state = self.learner.model.state_dict()
        return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}

    def save_state(self, folder: Path) -> None:
        state = {"learner": self.learner.state_dict(), "optimiser": self.optimiser.state_dict()}
        with saving(folder / STATE) as file:
            torch.save(state, file)

    def close(self) -> None:
        del self.learner, self.optimiser, self.parameters
        self.mean = None
