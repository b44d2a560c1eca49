"""Monte Carlo dropout: networks that differ in the units that are dropped (Gal & Ghahramani 2016)."""

import torch
from jaxtyping import Int
from torch import Tensor, nn

from precisionflow.models.likelihoods.categorical import Voices
from precisionflow.models.likelihoods.mixture import Mixture
from precisionflow.models.networks.dropout import UNITS, Draw, derived, dropping
from precisionflow.models.networks.layered import Layered, Mask
from precisionflow.models.posteriors.predictive import Likelihood

KEY = "dropout"
"""The posterior's tensor: the key of the samples."""


def as_tensor(key: int) -> dict[str, Tensor]:
    """A key as the posterior's tensors."""
    return {KEY: torch.tensor(key)}


class Dropout(nn.Module):
    """A sample is a network: it drops the same units of every row, at every call; of tokens those of each place."""

    def __init__(self, model: Layered, likelihood: Likelihood, *, key: Int[Tensor, ""], samples: int) -> None:
        """`key` decides which units."""
        super().__init__()
        self.model = model
        self.likelihood = likelihood
        self.samples = samples
        self.key: Tensor
        self.register_buffer("key", key)

    def predict(self, inputs: Tensor, mask: Mask | None = None) -> Mixture | Voices:
        every_row = torch.zeros(1, dtype=torch.int64, device=inputs.device)
        outputs = []
        for sample in range(self.samples):
            with dropping(self.model, Draw(derived(self.key, sample), every_row), kinds=UNITS):
                outputs.append(self.model(inputs, mask))
        return self.likelihood.pooled([self.likelihood.predictive(raw) for raw in outputs])
