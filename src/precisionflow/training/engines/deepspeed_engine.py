"""The engine `deepspeed`: ZeRO stage 0-3 over torch.distributed."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from precisionflow.config.engine import DeepSpeedEngine
from precisionflow.config.training import Training
from precisionflow.training.batches import Batch
from precisionflow.training.engines import zero
from precisionflow.training.engines.single import Feed, SingleNetwork
from precisionflow.training.files import saving
from precisionflow.training.optimiser import adamw, set_learning_rate
from precisionflow.training.ranks import Ranks
from precisionflow.training.rules import Lesson
from precisionflow.training.rules.learner import Learner


class DeepSpeed(SingleNetwork):
    """A partitioned optimiser, from stage 3 on partitioned weights."""

    def __init__(
        self,
        learner: Learner,
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
        optimiser = adamw(
            learner.named_parameters(),
            training,
            precision_head=learner.precision_head,
            precision_weight_decay=learner.objective.precision_weight_decay,
        )
        settings = zero.settings(config, training, ranks)
        self.engine = zero.initialise(learner, optimiser, settings, resume=resume, ranks=ranks)

    def learn(self, batch: Batch, learning_rate: float, carried: Any) -> Lesson:
        self.engine.train()
        set_learning_rate(self.engine.optimizer, learning_rate)
        lesson: Lesson = self.engine(batch, carried).weighted(batch.weight)
        self.engine.backward(lesson.surrogate)
        self.engine.step()
        return lesson

    def losses(self, batch: Batch) -> Tensor:
        self.engine.eval()
        with torch.no_grad():
            return self.engine(batch)  # type: ignore[no-any-return]

    def whole_weights(self) -> dict[str, Tensor]:
        return zero.whole_weights(self.engine.module.model, partitioned=self.stage == 3)

    def save_state(self, folder: Path) -> None:
        with saving(folder):
            self.engine.save_checkpoint(str(folder), tag="state")

    def close(self) -> None:
        self.engine.destroy()
        del self.engine
