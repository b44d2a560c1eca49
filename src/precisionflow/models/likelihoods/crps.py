"""The continuous ranked probability score of a Gaussian: proper, and robust where the likelihood is not."""

import math

import torch

from precisionflow.models.likelihoods.density import Density, Rows
from precisionflow.models.likelihoods.mixture import Mixture


class GaussianCRPS(Density):
    """CRPS of N(mean, 1 / precision), in units of the standardised target."""

    def losses(self, predictive: Mixture, target: Rows) -> Rows:
        std = torch.exp(-0.5 * predictive.log_precision[..., 0])
        return gaussian_crps(predictive.mean, std, target)


def gaussian_crps(mean: Rows, std: Rows, target: Rows) -> Rows:
    """std (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)), z = (target - mean) / std (Gneiting & Raftery 2007)."""
    z = (target - mean) / std
    density = torch.exp(-0.5 * z.square()) / math.sqrt(2 * math.pi)
    return std * (z * torch.erf(z / math.sqrt(2)) + 2 * density - 1 / math.sqrt(math.pi))
