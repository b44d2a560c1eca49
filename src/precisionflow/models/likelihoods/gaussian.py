"""The Gaussian likelihood: raw outputs are mean and log precision."""

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.models.likelihoods.density import Density


class Gaussian(Density):
    """-log N(y; mean, 1 / precision) (Nix & Weigend 1994)."""

    def fisher_root(self, raw: Float[Tensor, "rows 2"]) -> Float[Tensor, "rows 2 2"]:
        """In (mean, log precision) F = diag(precision, 1/2)."""
        log_precision = self.predictive(raw.double()).log_precision[..., 0]
        root = torch.zeros(*raw.shape[:-1], 2, 2, dtype=torch.float64, device=raw.device)
        root[..., 0, 0], root[..., 1, 1] = (0.5 * log_precision).exp(), 0.5**0.5
        return root

    def location_gradient(
        self,
        raw: Float[Tensor, "rows 2"],  # noqa: ARG002 - the location is the first output itself
        jacobian: Float[Tensor, "rows 2 weights"],
    ) -> Float[Tensor, "rows weights"]:
        return jacobian[:, 0]
