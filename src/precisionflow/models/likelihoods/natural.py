"""The Gaussian likelihood in natural parameters: eta1 = precision * mean is free, eta2 = -precision / 2 < 0."""

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.models.likelihoods.density import Density, Raw, limited
from precisionflow.models.likelihoods.mixture import Mixture


class Natural(Density):
    """-log N(y; eta1 / precision, 1 / precision); raw outputs are eta1 and log precision."""

    def predictive(self, raw: Raw) -> Mixture:
        eta, log_precision = raw.chunk(2, dim=-1)
        log_precision = limited(log_precision)
        location = eta * torch.exp(-log_precision)
        return Mixture(self.family, location, log_precision, torch.zeros_like(location))

    def fisher_root(self, raw: Float[Tensor, "rows 2"]) -> Float[Tensor, "rows 2 2"]:
        """d mean = d eta1 / precision - mean d log precision."""
        predictive = self.predictive(raw.double())
        mean, log_precision = predictive.location[..., 0], predictive.log_precision[..., 0]
        root = torch.zeros(*raw.shape[:-1], 2, 2, dtype=torch.float64, device=raw.device)
        root[..., 0, 0], root[..., 1, 1] = (-0.5 * log_precision).exp(), 0.5**0.5
        root[..., 0, 1] = -(0.5 * log_precision).exp() * mean
        return root

    def location_gradient(
        self, raw: Float[Tensor, "rows 2"], jacobian: Float[Tensor, "rows 2 weights"]
    ) -> Float[Tensor, "rows weights"]:
        """d eta1 / precision - mean d log precision."""
        predictive = self.predictive(raw.double())
        mean, log_precision = predictive.location, predictive.log_precision
        return torch.exp(-log_precision) * jacobian[:, 0] - mean * jacobian[:, 1]
