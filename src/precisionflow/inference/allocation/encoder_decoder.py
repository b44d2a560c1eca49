"""Sharing over the stages of an encoder and a decoder: what each infers of its precision, and tokens by that."""

from typing import NamedTuple, assert_never

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.config import Experiment
from precisionflow.config.allocation import StageAllocator
from precisionflow.config.tasks import StageAllocation
from precisionflow.inference.allocation.budget import Bounds, Whole, rounded, whole
from precisionflow.inference.allocation.stages import Stages, chain, expected, utility_of
from precisionflow.inference.variational import Gamma
from precisionflow.inference.variational.elbo import free_energy_of_each
from precisionflow.inference.variational.staged import infer_staged
from precisionflow.inference.variational.updates import Inferred
from precisionflow.models.networks.layered import Layered

Numbers = Float[Tensor, "rows numbers"]
"""What is given to the first stage, the readings of all stages, their true precisions."""
OfStages = Float[Tensor, "rows stages"]
SHAPE, PRECISION = 1.0, 10.0
"""Of what is believed of a stage's precision at the start: the Gamma's shape, and its mean."""


class Parts(NamedTuple):
    """The numbers of rows, taken apart."""

    given: Float[Tensor, "channels rows"]
    readings: Float[Tensor, "stages channels rows"]
    true: OfStages


class Spent(NamedTuple):
    """What became of rows."""

    tokens: Whole
    utility: Float[Tensor, "rows"]
    """Nats, at the true precisions."""
    precisions: OfStages
    """<tau>."""
    elbo: Float[Tensor, "rows"]
    """Nats."""


class StagePrecisions(nn.Module):
    """Beliefs about the precision of every stage before its readings, Gamma(shape, shape / mean); both are learned.

    Stages infer beside each other, with beliefs about the others that are up to `delay` updates old. The output is the
    ELBO of a row over its readings: its gradient is that at fixed beliefs, which are the best where inference has come
    to its end.
    """

    def __init__(self, config: StageAllocator, task: StageAllocation) -> None:
        super().__init__()
        self.config, self.source = config, task.source
        self.log_shape = nn.Parameter(torch.full((task.source.stages,), SHAPE).log())
        self.log_mean = nn.Parameter(torch.full((task.source.stages,), PRECISION).log())

    def forward(self, numbers: Numbers) -> Float[Tensor, "rows 1"]:
        parts = self.parted(numbers)
        found, inferred = self.infer(parts)
        # a model of its own: what families have kept of inference has no gradients
        learned = self._chain(parts).model
        beliefs = {
            mine: found[its] for mine, its in zip(learned.variables, inferred.model.variables, strict=True)
        }
        elbo = -free_energy_of_each(learned, beliefs)
        return (elbo / parts.readings[..., 0].numel()).to(numbers.dtype)[:, None]

    def parted(self, numbers: Numbers) -> Parts:
        """In float64."""
        stages, channels = self.source.stages, self.source.channels
        given, readings, true = numbers.double().split([channels, stages * channels, stages], dim=-1)
        return Parts(given.T, readings.T.unflatten(0, (stages, channels)), true)

    def infer(self, parts: Parts) -> tuple[Inferred, Stages]:
        """Beliefs of all stages after their updates."""
        with torch.no_grad():
            stages = self._chain(parts)
            found = infer_staged(
                stages.model,
                stages.parts,
                period=self.config.delay,
                step=self.config.step,
                exchanges=self.config.updates // self.config.delay,
                tolerance=0.0,
            )
        return found, stages

    def _chain(self, parts: Parts) -> Stages:
        shape = self.log_shape.double().exp()
        rate = shape / self.log_mean.double().exp()
        return chain(
            parts.given,
            list(parts.readings),
            gains=[self.source.gain] * self.source.stages,
            reading=self.source.reading,
            priors=[Gamma.of(*of) for of in zip(shape, rate, strict=True)],
            rows=(len(parts.true),),
        )


def spend(config: StageAllocator, task: StageAllocation, layer: StagePrecisions, numbers: Numbers) -> Spent:
    """Tokens of the stages of all rows, and what they tell."""
    parts = layer.parted(numbers)
    found, stages = layer.infer(parts)
    precisions, bounds = expected(stages, found), Bounds(config.lowest, config.highest)
    match config.share:
        case "inferred":
            tokens = whole(utility_of(precisions, task.token), config.budget, bounds)
        case "told":
            tokens = whole(utility_of(parts.true, task.token), config.budget, bounds)
        case "uniform":
            tokens = rounded(torch.full_like(parts.true, config.budget / task.source.stages), config.budget)
        case _:
            assert_never(config.share)
    told = utility_of(parts.true, task.token).total(tokens.double())
    return Spent(tokens, told, precisions, -free_energy_of_each(stages.model, found.beliefs).detach())


def stage_allocator(experiment: Experiment) -> Layered:
    """inputs: Float "rows numbers"; output: Float "rows 1", the ELBO over the number of readings."""
    config, task = experiment.model, experiment.task
    assert isinstance(config, StageAllocator)
    assert isinstance(task, StageAllocation)
    return Layered([StagePrecisions(config, task)], nn.Identity(), states=[(1,)])
