"""What is minimised: the loss of each sample from the network's raw output and the target."""

import math
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from precisionflow.config.likelihoods import (
    CRPS,
    CrossEntropy,
    Faithful,
    Homoscedastic,
    Objective,
    RegressionObjective,
    RunningVariance,
)
from precisionflow.inference.predictive_coding.energy import Losses
from precisionflow.models.likelihoods import Mixture, mixture
from precisionflow.models.numerics import at_least_float32

Raw = Float[Tensor, "*rows outputs"]
Rows = Float[Tensor, "*rows"]


def cross_entropy(
    logits: Float[Tensor, "batch tokens vocabulary"], target: Int[Tensor, "batch tokens"]
) -> Float[Tensor, "batch tokens"]:
    """-log p(target) under the softmax of the logits, in nats."""
    return functional.cross_entropy(
        at_least_float32(logits).flatten(0, 1), target.flatten(), reduction="none"
    ).view_as(target)


def negative_log_likelihood(raw: Raw, target: Rows, *, part: RegressionObjective) -> Rows:
    """-log p(target) of the distribution that the raw outputs state, in nats: what validation measures."""
    return -mixture(part, raw).log_density(target)


def gaussian_crps(mean: Rows, std: Rows, target: Rows) -> Rows:
    """std (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)), z = (target - mean) / std (Gneiting & Raftery 2007)."""
    z = (target - mean) / std
    density = torch.exp(-0.5 * z.square()) / math.sqrt(2 * math.pi)
    return std * (z * torch.erf(z / math.sqrt(2)) + 2 * density - 1 / math.sqrt(math.pi))


def objective_losses(raw: Raw, target: Rows, *, part: RegressionObjective, progress: float) -> Rows:
    """The loss of each row when the share `progress` of the steps has been taken."""
    stated = mixture(part, raw)
    if isinstance(part, Homoscedastic):
        return -stated.log_density(target)
    squared_error = 0.5 * (target - stated.mean).square()
    if isinstance(part, RunningVariance):
        return squared_error - _without_mean(stated).log_density(target)
    if progress < part.mean_warmup:
        return squared_error
    match part:
        case Faithful():
            losses = squared_error - _without_mean(stated).log_density(target)
        case CRPS():
            std = torch.exp(-0.5 * stated.log_precision[..., 0])
            losses = gaussian_crps(stated.mean, std, target)
        case _:
            losses = -stated.log_density(target)
    if beta := getattr(part, "beta", 0.0):
        losses = losses * torch.exp(-beta * stated.log_precision[..., 0]).detach()
    if part.variance_penalty:
        losses = losses + part.variance_penalty * _variance(stated)
    return losses


def _without_mean(stated: Mixture) -> Mixture:
    """The same numbers; the locations learn nothing from them."""
    return stated._replace(location=stated.location.detach())


def _variance(stated: Mixture) -> Rows:
    """Mean over components of the squared scale."""
    return (stated.log_weight.exp() * torch.exp(-stated.log_precision)).sum(-1)


def teaching_losses(part: Objective, *, progress: float) -> Losses:
    """The losses whose gradient is followed when the share `progress` of the steps has been taken."""
    if isinstance(part, CrossEntropy):
        return _losses(cross_entropy)
    return _losses(partial(objective_losses, part=part, progress=progress))


def validation_losses(part: Objective) -> Losses:
    """The losses that validation measures: negative log-likelihoods in nats, whatever is minimised."""
    if isinstance(part, CrossEntropy):
        return _losses(cross_entropy)
    return _losses(partial(negative_log_likelihood, part=part))


def _losses(function: Any) -> Losses:
    return function  # type: ignore[no-any-return]
