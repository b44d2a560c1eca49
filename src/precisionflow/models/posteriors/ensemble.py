"""Ensembles: networks that differ in initial weights, order of batches and rows, all of equal weight."""

import math

import torch
from torch import Tensor, nn
from torch.func import functional_call

from precisionflow.config.posteriors import Ensemble as EnsembleConfig
from precisionflow.models.likelihoods.categorical import Voices
from precisionflow.models.likelihoods.mixture import Mixture
from precisionflow.models.networks.layered import Layered, Mask
from precisionflow.models.posteriors.predictive import Likelihood
from precisionflow.models.posteriors.spread import spread
from precisionflow.models.posteriors.weights import Weights

SPREAD = "spread"
"""The posterior's tensor of an ensemble whose spread is fitted: one factor."""


class Ensemble(nn.Module):
    """Networks side by side: every tensor of the weights has a leading axis of members."""

    def __init__(
        self,
        model: Layered,
        likelihood: Likelihood,
        weights: dict[str, Tensor],
        *,
        members: int,
        factor: float = 1.0,
    ) -> None:
        """RuntimeError for weights of another network."""
        super().__init__()
        _check_stacked(model, weights, members=members)
        self.model = model
        self.likelihood = likelihood
        self.members = members
        self.factor = factor
        """On the spread about the mean."""
        self.names = list(weights)
        for index, tensor in enumerate(weights.values()):
            self.register_buffer(f"stacked_{index}", tensor)

    def predict(self, inputs: Tensor, mask: Mask | None = None) -> Mixture | Voices:
        stacked = dict(zip(self.names, self.buffers(recurse=False), strict=True))
        outputs = [
            functional_call(self.model, {n: of[member] for n, of in stacked.items()}, (inputs, mask))
            for member in range(self.members)
        ]
        predictive = self.likelihood.pooled([self.likelihood.predictive(raw) for raw in outputs])
        if isinstance(predictive, Voices):
            return predictive
        return predictive if self.factor == 1 else spread(predictive, self.factor)


def ensemble(config: EnsembleConfig, model: Layered, likelihood: Likelihood, weights: Weights) -> Ensemble:
    """The ensemble of trained weights; RuntimeError for weights of another network."""
    factor = float(weights.believed(SPREAD)) if config.spread == "fitted" else 1.0
    if not (math.isfinite(factor) and factor > 0):
        raise RuntimeError(f"posterior.spread is {factor}, wanted a positive number")
    return Ensemble(model, likelihood, weights.network, members=config.members, factor=factor)


def _check_stacked(model: Layered, weights: dict[str, Tensor], *, members: int) -> None:
    wanted = {name: (members, *tensor.shape) for name, tensor in model.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if wanted != given:
        different = sorted(name for name in wanted | given if wanted.get(name) != given.get(name))
        raise RuntimeError(
            f"{different[0]} has the shape {given.get(different[0])}, wanted {wanted.get(different[0])}"
        )


def as_tensor(factor: float) -> dict[str, Tensor]:
    """A fitted factor as the posterior's tensors."""
    return {SPREAD: torch.tensor(factor, dtype=torch.float64)}
