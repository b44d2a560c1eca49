"""Objectives: a likelihood and a weighting of its rows, made of a configuration."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, assert_never, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.config import likelihoods as kinds
from precisionflow.models.likelihoods.allocation import ElboOfAllocation
from precisionflow.models.likelihoods.beside import Beside
from precisionflow.models.likelihoods.categorical import (
    clustered_cross_entropy,
    cross_entropy,
    smoothed_cross_entropy,
)
from precisionflow.models.likelihoods.crps import GaussianCRPS
from precisionflow.models.likelihoods.density import Density, Raw, Rows, squared_errors
from precisionflow.models.likelihoods.faithful import Faithful
from precisionflow.models.likelihoods.gaussian import Gaussian
from precisionflow.models.likelihoods.homoscedastic import Homoscedastic
from precisionflow.models.likelihoods.laplace import Laplace
from precisionflow.models.likelihoods.mixture import Mixture
from precisionflow.models.likelihoods.mixture_density import MixtureDensity
from precisionflow.models.likelihoods.natural import Natural
from precisionflow.models.likelihoods.running_variance import RunningVariance
from precisionflow.models.likelihoods.student_t import StudentT

Losses = Callable[[Any, Tensor], Float[Tensor, "..."]]
"""Loss of each sample (row or token) from the network's output and the target."""


@runtime_checkable
class Objective(Protocol):
    """Losses to minimise, and those that validation measures."""

    def losses(self, *, progress: float) -> Losses:
        """The losses to minimise once the share `progress` of the steps has been taken."""
        ...

    @property
    def negative_log_likelihood(self) -> Losses:
        """The losses that validation measures, in nats, whatever is minimised."""
        ...


@dataclass(frozen=True)
class Weighting:
    """Weights of the rows' losses, and a penalty that is added to them."""

    beta: float = 0.0
    """Every row's loss times its predicted squared scale to the power of beta, as a constant (Seitzer 2022)."""
    mean_warmup: float = 0.0
    """Share of the steps, from the first, in which the mean alone learns, by squared error."""
    variance_penalty: float = 0.0
    """Factor of the predicted variance that is added to the loss."""

    def weighted(self, losses: Rows, predictive: Mixture) -> Rows:
        if self.beta:
            losses = losses * torch.exp(-self.beta * predictive.log_precision[..., 0]).detach()
        if self.variance_penalty:
            losses = losses + self.variance_penalty * _variance(predictive)
        return losses


@dataclass(frozen=True)
class DensityObjective:
    """Objective of a real target: a likelihood and a weighting."""

    likelihood: Density
    weighting: Weighting = Weighting()

    def losses(self, *, progress: float) -> Losses:
        return partial(self._losses, progress=progress)

    @property
    def negative_log_likelihood(self) -> Losses:
        return self.likelihood.negative_log_likelihood

    def _losses(self, raw: Raw, target: Rows, *, progress: float) -> Rows:
        predictive = self.likelihood.predictive(raw)
        if progress < self.weighting.mean_warmup:
            return squared_errors(predictive, target)
        return self.weighting.weighted(self.likelihood.losses(predictive, target), predictive)


@dataclass(frozen=True)
class ClassObjective:
    """Objective of a class: cross-entropy is the negative log-likelihood, and the loss where nothing is smoothed."""

    cross_entropy: Losses = cross_entropy
    label_smoothing: float = 0.0

    def losses(self, *, progress: float) -> Losses:  # noqa: ARG002 - the same from the first step to the last
        smoothed = partial(smoothed_cross_entropy, smoothing=self.label_smoothing)
        return partial(_beside, each=smoothed if self.label_smoothing else self.cross_entropy)

    @property
    def negative_log_likelihood(self) -> Losses:
        return self.cross_entropy


def _beside(raw: Any, target: Tensor, *, each: Losses) -> Tensor:
    """The losses of a class, and of what is learned beside it."""
    return raw.losses(target, each) if isinstance(raw, Beside) else each(raw, target)


class Explained:
    """Objective of images whose network states log p(colour) of every pixel: less its mean."""

    def losses(self, *, progress: float) -> Losses:  # noqa: ARG002 - the same from the first step to the last
        return self.negative_log_likelihood

    @staticmethod
    def negative_log_likelihood(raw: Raw, target: Rows) -> Rows:  # noqa: ARG004 - the image is its own target
        return -raw.mean(-1)


def objective(
    config: kinds.Objective,
) -> DensityObjective | ClassObjective | Explained | ElboOfAllocation:
    """The objective of a configuration."""
    match config:
        case kinds.CrossEntropy(label_smoothing=smoothing):
            return ClassObjective(label_smoothing=smoothing)
        case kinds.AdaptiveSoftmax():
            return ClassObjective(clustered_cross_entropy)
        case kinds.FreeEnergy():
            return Explained()
        case kinds.AllocationElbo(complexity=complexity, precision_loss=precision_loss):
            return ElboOfAllocation(complexity, precision_loss)
        case kinds.ExpectedFreeEnergy():
            raise TypeError("an expected free energy is of policies, not of an output")
        case _:
            return density_objective(config)


def density_objective(config: kinds.RegressionObjective) -> DensityObjective:
    """The objective of a real target."""
    match config:
        case kinds.Weighted():
            weighting = Weighting(config.beta, config.mean_warmup, config.variance_penalty)
        case kinds.TwoHeads():
            weighting = Weighting(0.0, config.mean_warmup, config.variance_penalty)
        case _:
            return DensityObjective(density(config))
    return DensityObjective(density(config), weighting)


def density(config: kinds.RegressionObjective) -> Density:
    """The likelihood of a real target."""
    match config:
        case kinds.GaussianNLL():
            return Gaussian()
        case kinds.Natural():
            return Natural()
        case kinds.Faithful():
            return Faithful()
        case kinds.StudentT():
            return StudentT()
        case kinds.LaplaceNLL():
            return Laplace()
        case kinds.MixtureDensity(components=components):
            return MixtureDensity(components)
        case kinds.CRPS():
            return GaussianCRPS()
        case kinds.Homoscedastic():
            return Homoscedastic()
        case kinds.RunningVariance():
            return RunningVariance()
        case _:
            assert_never(config)


def _variance(predictive: Mixture) -> Rows:
    """Mean over components of the squared scale."""
    return (predictive.log_weight.exp() * torch.exp(-predictive.log_precision)).sum(-1)
