"""The engine `deepspeed`: ZeRO stage 0-3 over torch.distributed."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from precisionflow.config.engine import DeepSpeedEngine
from precisionflow.config.training import Training
from precisionflow.models.networks.groups import parameter_groups
from precisionflow.training.batches import Batch
from precisionflow.training.engines import zero
from precisionflow.training.engines.single import Feed, SingleNetwork
from precisionflow.training.files import saving
from precisionflow.training.optimiser import optimiser, set_learning_rates
from precisionflow.training.phases import phase
from precisionflow.training.ranks import Ranks
from precisionflow.training.rules import Lesson
from precisionflow.training.rules.generative import GenerativeLearner
from precisionflow.training.rules.learner import Learner


class DeepSpeed(SingleNetwork):
    """A partitioned optimiser, from stage 3 on partitioned weights."""

    def __init__(
        self,
        learner: Learner | GenerativeLearner,
        config: DeepSpeedEngine,
        training: Training,
        feed: Feed,
        ranks: Ranks,
        *,
        resume: Path | None,
    ) -> None:
        super().__init__(training, feed, ranks, resume=resume)
        self.stage = config.zero_stage
        learner = learner.to(ranks.device)
        if self.stage == 3 and isinstance(learner, GenerativeLearner):
            zero.gathered_at_once(learner)
        chosen = optimiser(learner.named_parameters(), training, groups=parameter_groups(learner))
        settings = zero.settings(config, training, ranks.count)
        self.engine = zero.initialise(learner, chosen, settings, resume=resume, ranks=ranks)
        self.average(zero.running_mean(self.engine, partitioned=self.stage == 3), resume=resume)

    def learn(self, parts: Sequence[Batch], share: float, carried: Sequence[Any]) -> list[Lesson]:
        """DeepSpeed takes the mean of the parts' gradients, and its step after the last part."""
        self.engine.train()
        set_learning_rates(self.engine.optimizer, share)
        lessons = []
        for part, before in zip(parts, carried, strict=True):
            with phase("forward"):
                lesson: Lesson = self.engine(part, before).weighted(part.weight)
            with phase("backward"):
                self.engine.backward(lesson.surrogate)
            with phase("optimiser"):
                self.engine.step()
            lessons.append(lesson.detached())
        return lessons

    def losses(self, batch: Batch) -> Tensor:
        self.engine.eval()
        with torch.no_grad():
            return self.engine(batch)  # type: ignore[no-any-return]

    @property
    def teacher(self) -> Learner | GenerativeLearner:
        return self.engine.module  # type: ignore[no-any-return]

    @property
    def network(self) -> nn.Module:
        return self.engine.module.model  # type: ignore[no-any-return]

    def whole(self) -> contextlib.AbstractContextManager[None]:
        return zero.whole(self.engine.module) if self.stage == 3 else contextlib.nullcontext()

    def whole_weights(self) -> dict[str, Tensor]:
        return zero.whole_weights(self.engine.module.model, partitioned=self.stage == 3)

    def save_state(self, folder: Path) -> None:
        with saving(folder):
            self.engine.save_checkpoint(str(folder), tag="state")

    def close(self) -> None:
        """After an error inside a pass too, which leaves its modules in DeepSpeed's list."""
        learner = self.engine.module
        self.engine.destroy()
        if self.stage == 3:
            zero.forget(learner)
        del self.engine
