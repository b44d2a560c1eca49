"""The point posterior: the trained weights, taken as certain."""

from torch import Tensor, nn

from precisionflow.models.likelihoods.categorical import Voices
from precisionflow.models.likelihoods.mixture import Mixture
from precisionflow.models.networks.layered import Layered, Mask
from precisionflow.models.posteriors.predictive import Likelihood


class Point(nn.Module):
    """One network and its likelihood."""

    def __init__(self, model: Layered, likelihood: Likelihood) -> None:
        super().__init__()
        self.model = model
        self.likelihood = likelihood

    def predict(self, inputs: Tensor, mask: Mask | None = None) -> Mixture | Voices:
        return self.likelihood.predictive(self.model(inputs, mask))
