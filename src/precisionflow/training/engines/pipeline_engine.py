"""The engine `deepspeed` with several `pipeline_stages`: consecutive layers of a network on ranks of their own."""

import contextlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from deepspeed.pipe import PipelineModule
from deepspeed.utils import groups
from torch import Tensor, nn
from torch import distributed as dist

from precisionflow.config.engine import DeepSpeedEngine
from precisionflow.config.training import Training
from precisionflow.models.networks.groups import parameter_groups
from precisionflow.models.networks.layered import Where
from precisionflow.models.numerics import counted_sum
from precisionflow.training.average import RunningMean
from precisionflow.training.batches import Batch
from precisionflow.training.engines import zero
from precisionflow.training.engines.single import Feed, SingleNetwork
from precisionflow.training.files import saving
from precisionflow.training.optimiser import optimiser, set_learning_rates
from precisionflow.training.ranks import Ranks
from precisionflow.training.rules import Lesson
from precisionflow.training.rules.learner import Learner


class Passing:
    """The parts of a batch in the order in which they pass through this stage; every rank draws them for itself."""

    def __init__(self, learner: Learner) -> None:
        self.learner = learner
        self.parts: Sequence[Batch] = ()
        self.index = -1
        self.where: Where = ()

    def begin(self, parts: Sequence[Batch]) -> Iterator[tuple[Tensor, int]]:
        """What the first stage takes of each part, and the number by which the last one finds its target."""
        self.parts, self.index = parts, -1
        return ((self.learner.model.enter(part.inputs), index) for index, part in enumerate(parts))

    def advance(self) -> None:
        """The next part enters the stage."""
        self.index += 1
        part = self.parts[self.index]
        self.where = self.learner.model.where(part.inputs, part.mask)

    def loss(self, output: Any, index: int) -> Tensor:
        """Mean loss of a part as it counts in the batch's; while validating the sum of its losses."""
        part, learner = self.parts[index], self.learner
        with learner.learning(part) as losses:
            if learner.training:
                return part.weight * part.mean(losses(output, part.target))
            each = learner.objective.negative_log_likelihood(output, part.target).double()
            return counted_sum(each, None if part.factors is None else part.factors.double())


class Unit(nn.Module):
    """A layer, or the readout, that is told where the tokens of the passing part stand."""

    def __init__(self, layer: nn.Module, passing: Passing) -> None:
        super().__init__()
        self.layer = layer
        self.passing = passing
        self.first = False
        """Whether it is the first one of its stage."""

    def forward(self, state: Tensor) -> Any:
        if self.first:
            self.passing.advance()
        part = self.passing.parts[self.passing.index]
        with self.passing.learner.learning(part):
            output = self.layer(state, *self.passing.where)
        return output.contiguous() if isinstance(output, Tensor) else output


class Pipeline(SingleNetwork):
    """Every rank holds the layers of one stage; activations go on and gradients come back over torch.distributed.

    DeepSpeed cuts the layers so that stages have about equally many weights, and interleaves the forward and backward
    passes of the parts of a batch (PipeDream-Flush; Narayanan et al. 2021). The gradient is that of one process. The
    other stages' weights stay on the CPU as they began.
    """

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
        self.learner = learner
        self.shares = ranks.shares(config.pipeline_stages)
        self.passing = Passing(learner)
        model = learner.model
        layers = [*model.layers, model.readout]
        if model.inputs is not None:
            model.inputs.to(ranks.device)
        units = [Unit(layer, self.passing) for layer in layers]
        with contextlib.redirect_stdout(io.StringIO()):
            module = PipelineModule(
                units, num_stages=config.pipeline_stages, loss_fn=self.passing.loss, dynamic_shape=True
            )
        self.stage_of = {
            name: module.stage_owner(_unit(name, len(model.layers))) for name in model.state_dict()
        }
        _check_apart(model, self.stage_of)
        self.stage = int(module.stage_id)
        units[module.parts[self.stage]].first = True
        named = parameter_groups(learner)
        mine = [
            (name, of)
            for name, of in learner.named_parameters()
            if self.stage_of[name.removeprefix("model.")] == self.stage
        ]
        for _, of in mine:
            # DeepSpeed clips by the norm of the first stage and of parameters that say so
            of.model_parallel = True  # type: ignore[attr-defined]
        chosen = optimiser(mine, training, groups=named)
        settings = zero.settings(config, training, self.shares.count)
        self.engine = zero.initialise(module, chosen, settings, resume=resume, ranks=ranks)
        self.average(RunningMean(self._own_weights), resume=resume)

    def learn(self, parts: Sequence[Batch], share: float, carried: Sequence[Any]) -> list[Lesson]:  # noqa: ARG002
        self.learner.train()
        set_learning_rates(self.engine.optimizer, share)
        loss = self.engine.train_batch(self.passing.begin(parts)).detach()
        return [Lesson(loss, loss, loss)]

    def losses(self, batch: Batch) -> Tensor:  # noqa: ARG002
        raise TypeError("a stage alone states no losses")

    def validation_loss(self) -> float:
        """Pipelines take batches in turn, each the same number of them; the last stages state the losses."""
        self.learner.eval()
        valid, shares = self.feed.valid, self.shares
        order = range(shares.index, -(-len(valid) // shares.count) * shares.count, shares.count)
        taken = [valid[min(index, len(valid) - 1)].to(shares.device) for index in order]
        sums = self.engine.eval_batch(
            self.passing.begin(taken), reduce_output=None, bcast_loss=False, num_micro_batches=len(taken)
        )
        total = torch.zeros(2, dtype=torch.float64, device=shares.device)
        for index, part, loss in zip(order, taken, sums or (), strict=bool(sums)):
            if index < len(valid):
                total += torch.stack([loss, loss.new_tensor(part.counted)])
        loss, count = self.ranks.sum(total).tolist()
        return float(loss / count)

    @property
    def teacher(self) -> Learner:
        return self.learner

    @property
    def network(self) -> nn.Module:
        return self.learner.model

    def _own_weights(self) -> dict[str, Tensor]:
        named = self.learner.model.named_parameters()
        return {name: of.detach() for name, of in named if self.stage_of[name] == self.stage}

    def whole_weights(self) -> dict[str, Tensor]:
        """Of the first pipeline, whose other stages send theirs to the first rank."""
        whole = {}
        for name, tensor in self.learner.model.state_dict().items():
            sender = self.stage_of[name] * self.shares.count
            mine = tensor.detach().to(self.ranks.device, copy=True).contiguous()
            if sender and self.ranks.index == sender:
                dist.send(mine, 0)
            elif sender and self.ranks.first:
                dist.recv(mine, sender)
            whole[name] = mine.cpu()
        return whole

    def save_state(self, folder: Path) -> None:
        with saving(folder):
            self.engine.save_checkpoint(str(folder), tag="state")

    def close(self) -> None:
        """DeepSpeed would take the stages for those of the next engine too."""
        self.engine.destroy()
        groups.mpu = None
        del self.engine


def _unit(name: str, layers: int) -> int:
    """Number of the layer that a weight is in; a map of the inputs goes with the first, the readout comes last."""
    first, _, rest = name.partition(".")
    match first:
        case "layers":
            return int(rest.partition(".")[0])
        case "readout":
            return layers
        case _:
            return 0


def _check_apart(model: nn.Module, stage_of: dict[str, int]) -> None:
    """ValueError for a weight that layers of two stages share."""
    first: dict[int, str] = {}
    for name, of in model.named_parameters(remove_duplicate=False):
        other = first.setdefault(id(of), name)
        if stage_of[other] != stage_of[name]:
            raise ValueError(
                f"engine.pipeline_stages: {name} is {other}, which lies on another stage; let layers share no weights "
                "or use one stage"
            )
