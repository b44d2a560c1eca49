"""The point posterior: the trained weights, taken as certain."""

from torch import nn

from precisionflow.models.likelihoods.density import Density
from precisionflow.models.likelihoods.mixture import Mixture
from precisionflow.models.networks.layered import Layered
from precisionflow.models.posteriors.predictive import Features


class Point(nn.Module):
    """One network and its likelihood."""

    def __init__(self, model: Layered, likelihood: Density) -> None:
        super().__init__()
        self.model = model
        self.likelihood = likelihood

    def predict(self, features: Features) -> Mixture:
        return self.likelihood.predictive(self.model(features))
