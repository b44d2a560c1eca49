"""Monte Carlo dropout: networks that differ in the units that are dropped (Gal & Ghahramani 2016)."""

import torch
from torch import nn

from precisionflow.models.likelihoods.density import Density
from precisionflow.models.likelihoods.mixture import Mixture, pooled
from precisionflow.models.networks.layered import Layered
from precisionflow.models.posteriors.predictive import Chosen, Features


class Dropout(nn.Module):
    """Units are dropped anew for each sample, the same at every call."""

    def __init__(self, model: Layered, likelihood: Density, *, samples: int) -> None:
        super().__init__()
        self.model = model
        self.likelihood = likelihood
        self.samples = samples

    def predict(self, features: Features, *, among: Chosen | None = None) -> Mixture:  # noqa: ARG002
        self.model.train()
        devices = [features.device] if features.is_cuda else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(0)
            outputs = [self.model(features) for _ in range(self.samples)]
        self.model.eval()
        return pooled([self.likelihood.predictive(raw) for raw in outputs])
