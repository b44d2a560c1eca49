"""The engine `torch`: one process, plain torch."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from precisionflow.config.training import Training
from precisionflow.training.batches import Batch
from precisionflow.training.engines.single import Feed, SingleNetwork
from precisionflow.training.files import reading, saving
from precisionflow.training.optimiser import adamw, set_learning_rate
from precisionflow.training.ranks import Ranks
from precisionflow.training.rules import Lesson
from precisionflow.training.rules.learner import Learner

STATE = "state.pt"


class Torch(SingleNetwork):
    """Weights and optimiser of this process alone."""

    def __init__(
        self, learner: Learner, training: Training, feed: Feed, ranks: Ranks, *, resume: Path | None
    ) -> None:
        super().__init__(training, feed, ranks, resume=resume)
        self.learner = learner.to(ranks.device)
        self.optimiser = adamw(
            learner.named_parameters(),
            training,
            precision_head=learner.precision_head,
            precision_weight_decay=learner.objective.precision_weight_decay,
        )
        if resume:
            with reading(resume / STATE, checkpoint=resume.parent) as file:
                state = torch.load(file, map_location=ranks.device, weights_only=True)
            self.learner.load_state_dict(state["learner"])
            self.optimiser.load_state_dict(state["optimiser"])

    def learn(self, batch: Batch, learning_rate: float, carried: Any) -> Lesson:
        self.learner.train()
        set_learning_rate(self.optimiser, learning_rate)
        lesson: Lesson = self.learner(batch, carried).weighted(batch.weight)
        self.optimiser.zero_grad(set_to_none=True)
        lesson.surrogate.backward()  # type: ignore[no-untyped-call]
        if self.training.gradient_clip:
            nn.utils.clip_grad_norm_(self.learner.parameters(), self.training.gradient_clip)
        self.optimiser.step()
        return lesson

    def losses(self, batch: Batch) -> Tensor:
        self.learner.eval()
        with torch.no_grad():
            return self.learner(batch)  # type: ignore[no-any-return]

    def whole_weights(self) -> dict[str, Tensor]:
        state = self.learner.model.state_dict()
        return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}

    def save_state(self, folder: Path) -> None:
        state = {"learner": self.learner.state_dict(), "optimiser": self.optimiser.state_dict()}
        with saving(folder / STATE) as file:
            torch.save(state, file)

    def close(self) -> None:
        del self.learner, self.optimiser
