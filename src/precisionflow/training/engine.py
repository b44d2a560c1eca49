"""The machinery under training: plain torch, or DeepSpeed ZeRO (the only import of deepspeed)."""

from pathlib import Path
from typing import Any, Protocol, assert_never, runtime_checkable

import torch
from torch import Tensor, nn

from precisionflow.config.engine import BatchedEngine, DeepSpeedEngine, TorchEngine
from precisionflow.config.engine import Engine as EnginePart
from precisionflow.config.training import Training
from precisionflow.training.batches import Batch
from precisionflow.training.checkpoint import reading, saving
from precisionflow.training.learner import Learner, Taught
from precisionflow.training.ranks import Ranks

REST = "readout.rest."
"""In the names of the weights of the head beside the mean."""


@runtime_checkable
class Engine(Protocol):
    """What the loop needs; every method is called by all ranks at once."""

    def step(self, batch: Batch, learning_rate: float) -> Taught:
        """One optimiser step on this rank's share of a batch."""
        ...

    def losses(self, batch: Batch) -> Tensor:
        """Loss of each sample by one plain forward pass."""
        ...

    def save(self, folder: Path) -> None:
        """Weights and optimiser state into an empty folder."""
        ...

    def weights(self) -> dict[str, Tensor]:
        """Whole weights on the CPU, complete on the first rank."""
        ...

    def close(self) -> None:
        """Let go of the memory."""
        ...


def open_engine(
    learner: Learner, part: EnginePart, training: Training, ranks: Ranks, *, resume: Path | None = None
) -> Engine:
    """The engine of a configuration, at the state in `resume` (the folder of a checkpoint that `save` filled) if given.

    ValueError for a state that cannot be read.
    """
    match part:
        case TorchEngine():
            return _Torch(learner, training, ranks, resume=resume)
        case DeepSpeedEngine():
            return _DeepSpeed(learner, part, training, ranks, resume=resume)
        case BatchedEngine():
            raise TypeError("cells that train together are no engine of one learner; see training.together")
        case _:
            assert_never(part)


def pick_device(part: EnginePart) -> torch.device:
    """The configured device; ValueError where a GPU is asked for and torch finds none."""
    if part.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("engine.device: given 'cuda', but torch finds no GPU; use auto or cpu")
    if part.device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    index = Ranks.of_process(torch.device("cpu")).index % torch.cuda.device_count()
    return torch.device("cuda", index)


def _optimiser(learner: nn.Module, training: Training) -> torch.optim.AdamW:
    """AdamW with the objective's own weight decay for the head beside the mean, where it has one."""
    apart = getattr(learner.objective, "precision_weight_decay", None)
    groups: dict[float, list[Tensor]] = {}
    for name, parameter in learner.named_parameters():
        decay = training.weight_decay if apart is None or REST not in name else apart
        groups.setdefault(decay, []).append(parameter)
    return torch.optim.AdamW(
        [{"params": parameters, "weight_decay": decay} for decay, parameters in groups.items()],
        lr=training.learning_rate,
    )


class _Torch:
    """One process, no DeepSpeed."""

    def __init__(self, learner: Learner, training: Training, ranks: Ranks, *, resume: Path | None) -> None:
        self.learner = learner.to(ranks.device)
        self.clip = training.gradient_clip
        self.optimiser = _optimiser(learner, training)
        if resume:
            with reading(resume / "state.pt", checkpoint=resume.parent) as file:
                state = torch.load(file, map_location=ranks.device, weights_only=True)
            self.learner.model.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])

    def step(self, batch: Batch, learning_rate: float) -> Taught:
        self.learner.train()
        _set_learning_rate(self.optimiser, learning_rate)
        taught = _teach(self.learner, batch)
        self.optimiser.zero_grad(set_to_none=True)
        taught.surrogate.backward()  # type: ignore[no-untyped-call]
        if self.clip:
            nn.utils.clip_grad_norm_(self.learner.parameters(), self.clip)
        self.optimiser.step()
        return taught

    def losses(self, batch: Batch) -> Tensor:
        self.learner.eval()
        with torch.no_grad():
            return self.learner(batch.inputs, batch.target)  # type: ignore[no-any-return]

    def save(self, folder: Path) -> None:
        state = {"model": self.learner.model.state_dict(), "optimiser": self.optimiser.state_dict()}
        with saving(folder / "state.pt") as file:
            torch.save(state, file)

    def weights(self) -> dict[str, Tensor]:
        return {
            name: tensor.detach().cpu().clone() for name, tensor in self.learner.model.state_dict().items()
        }

    def close(self) -> None:
        del self.learner, self.optimiser


class _DeepSpeed:
    """ZeRO stage 0-3 over torch.distributed."""

    def __init__(
        self,
        learner: Learner,
        part: DeepSpeedEngine,
        training: Training,
        ranks: Ranks,
        *,
        resume: Path | None,
    ) -> None:
        from precisionflow.training.engines import zero

        self.stage = part.zero_stage
        self.engine = zero.initialise(
            learner.to(ranks.device),
            lambda whole: _optimiser(whole, training),
            zero.settings(part, training, ranks),
            resume=resume,
            ranks=ranks,
        )

    def step(self, batch: Batch, learning_rate: float) -> Taught:
        self.engine.train()
        _set_learning_rate(self.engine.optimizer, learning_rate)
        taught = _teach(self.engine, batch)
        self.engine.backward(taught.surrogate)
        self.engine.step()
        return taught

    def losses(self, batch: Batch) -> Tensor:
        self.engine.eval()
        with torch.no_grad():
            return self.engine(batch.inputs, batch.target)  # type: ignore[no-any-return]

    def save(self, folder: Path) -> None:
        with saving(folder):
            self.engine.save_checkpoint(str(folder), tag="state")

    def weights(self) -> dict[str, Tensor]:
        from precisionflow.training.engines import zero

        return zero.whole_weights(self.engine.module.model, partitioned=self.stage == 3)

    def close(self) -> None:
        self.engine.destroy()
        del self.engine


def _teach(learner: Any, batch: Batch) -> Taught:
    """What this rank's share teaches; the mean over ranks is that of the whole batch."""
    taught = learner(batch.inputs, batch.target, batch.progress)
    return Taught(*(batch.weight * part for part in taught))


def _set_learning_rate(optimiser: Any, learning_rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = learning_rate
