"""Sharing over the frames of a video: a filter of ln w of every patch, and plans that change tokens where it pays."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.config import Experiment
from precisionflow.config.allocation import FrameAllocator
from precisionflow.config.tasks import VideoAllocation
from precisionflow.inference.allocation.budget import Bounds, Whole
from precisionflow.inference.allocation.planned import Change, Plan, Videos, planned, worth
from precisionflow.inference.allocation.posterior import levels, potentials
from precisionflow.inference.allocation.utility import Utility
from precisionflow.models.networks.layered import Layered

Numbers = Float[Tensor, "videos numbers"]
"""ln w of all frames and patches as seen, then as it is."""
Weights = Float[Tensor, "videos frames patches"]


class Filtered(NamedTuple):
    """What is believed of ln w after each frame."""

    mean: Weights
    variance: Float[Tensor, "frames"]
    """The same of all patches and videos."""
    log_evidence: Weights
    """ln p(seen | what was seen before), in nats."""


class Spent(NamedTuple):
    """What became of videos."""

    tokens: Plan
    utility: Videos
    """Nats, over all frames, at the true weights."""
    cost: Videos
    """Nats, of all changes."""


class LocalLevel(nn.Module):
    """ln w_t = ln w_t-1 + N(0, drift), seen with N(0, flicker): a Kalman filter of every patch by itself.

    The first state is N(middle, spread). The output is ln p of what is seen.
    """

    def __init__(self, task: VideoAllocation) -> None:
        super().__init__()
        self.frames, self.patches = task.source.frames, task.source.patches**2
        self.log_drift, self.log_flicker = (nn.Parameter(torch.tensor(-1.0)) for _ in range(2))
        self.middle, self.log_spread = (nn.Parameter(torch.tensor(0.0)) for _ in range(2))

    def forward(self, numbers: Numbers) -> Float[Tensor, "videos seen"]:
        return self.filtered(self.parted(numbers)[0]).log_evidence.flatten(1)

    def parted(self, numbers: Numbers) -> tuple[Weights, Weights]:
        """ln w as seen and as it is."""
        seen, true = numbers.unflatten(-1, (2, self.frames, self.patches)).unbind(1)
        return seen, true

    def filtered(self, seen: Weights) -> Filtered:
        """After each frame, from that frame and all before."""
        mean, variance = self.middle.expand(seen[:, 0].shape), self.log_spread.exp()
        means, variances, evidence = [], [], []
        for frame in seen.unbind(1):
            total = variance + self.log_flicker.exp()
            error = frame - mean
            evidence.append(-(error.square() / total + (2 * math.pi * total).log()) / 2)
            gain = variance / total
            mean, after = mean + gain * error, variance * (1 - gain)
            means.append(mean)
            variances.append(after)
            variance = after + self.log_drift.exp()
        return Filtered(torch.stack(means, 1), torch.stack(variances), torch.stack(evidence, 1))


def spend(config: FrameAllocator, task: VideoAllocation, layer: LocalLevel, numbers: Numbers) -> Spent:
    """Tokens of all frames: each is the first of a plan for it and the frames after it; the first frame is free."""
    seen, true = layer.parted(numbers)
    with torch.no_grad():
        believed = layer.filtered(seen)
    tokens: list[Whole] = []
    for frame in range(layer.frames):
        ahead = min(config.horizon, layer.frames - frame)
        log_weight = (
            true[:, frame : frame + ahead].transpose(0, 1)
            if config.foresight == "told"
            else _expected(believed, layer, frame, ahead)
        )
        before = tokens[-1] if tokens else None
        tokens.append(_first(config, task, log_weight.double(), before))
    plan = torch.stack(tokens)
    weight = true.transpose(0, 1).double().exp()
    gained, cost = worth(plan, _utility(task, weight), Change(task.change_cost))
    return Spent(plan, gained, cost)


def _expected(
    believed: Filtered, layer: LocalLevel, frame: int, ahead: int
) -> Float[Tensor, "frames videos patches"]:
    """ln E[w] of this frame and those after it: the mean of a logarithm that drifts, and half its variance."""
    later = torch.arange(ahead, device=layer.log_drift.device)[:, None, None] * layer.log_drift.detach().exp()
    return believed.mean[:, frame] + (believed.variance[frame] + later) / 2


def _first(
    config: FrameAllocator,
    task: VideoAllocation,
    log_weight: Float[Tensor, "frames videos patches"],
    before: Whole | None,
) -> Whole:
    bounds = Bounds(config.lowest, config.highest)
    at = levels(bounds, grain=config.grain)
    given = potentials(_utility(task, log_weight.exp()), at)
    change = Change(task.change_cost, before) if config.change else Change(0.0)
    return planned(given, at, config.budget, change).tokens[0]


def _utility(task: VideoAllocation, weight: Float[Tensor, "frames videos patches"]) -> Utility:
    return Utility(weight, torch.full_like(weight, task.ratio))


def frame_allocator(experiment: Experiment) -> Layered:
    """inputs: Float "videos numbers"; output: Float "videos seen", ln p of what is seen."""
    task = experiment.task
    assert isinstance(task, VideoAllocation)
    layer = LocalLevel(task)
    return Layered([layer], nn.Identity(), states=[(layer.frames * layer.patches,)])
