"""A mixture of Gaussians about 0: p(e) = sum_k share_k N(e; 0, 1 / (ratio_k precision)), of ratios at most 1."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.inference.predictive_coding.laws import Errors, Precisions
from precisionflow.inference.predictive_coding.laws.smooth import Smooth


class Mixture(Smooth):
    """-log p(e) = -logsumexp_k (log share_k + 1/2 log(ratio_k precision / 2 pi) - ratio_k precision / 2 e^2)."""

    def __init__(self, log_shares: Any, ratios: Any) -> None:
        """Modules from any tensor to one number of each component in its type; the first ratio is 1, the largest."""
        super().__init__()
        self.log_shares = log_shares
        self.ratios = ratios

    def energy(self, error: Errors, precision: Precisions) -> Errors:
        """-log p(e) + log p(0)."""
        heights = self._log_heights(error)
        fall = 0.5 * (precision * error.square())[..., None] * self.ratios(error)
        return heights.logsumexp(dim=-1) - (heights - fall).logsumexp(dim=-1)

    def log_normaliser(self, precision: Precisions) -> Precisions:
        """-log sum_k share_k sqrt(ratio_k precision / 2 pi)."""
        return 0.5 * (math.log(2 * math.pi) - precision.log()) - self._log_heights(precision).logsumexp(
            dim=-1
        )

    def score(self, error: Errors, precision: Precisions) -> Errors:
        """precision e sum_k p(k | e) ratio_k."""
        ratios = self.ratios(error)
        fall = 0.5 * (precision * error.square())[..., None] * ratios
        belongs = (self._log_heights(error) - fall).softmax(dim=-1)
        return precision * error * (belongs * ratios).sum(dim=-1)

    def cdf(self, error: Errors, precision: Precisions) -> Errors:
        """sum_k share_k Phi(sqrt(ratio_k precision) e)."""
        each = torch.erfc(-((precision / 2).sqrt() * error)[..., None] * self.ratios(error).sqrt())
        return 0.5 * (self.log_shares(error).exp() * each).sum(dim=-1)

    def curvature(self, precision: Precisions) -> Precisions:
        """precision, that of the narrow component."""
        return precision

    def _log_heights(self, like: Tensor) -> Float[Tensor, "components"]:
        """Logarithms of the components' densities at 0, without sqrt(precision / 2 pi)."""
        return self.log_shares(like) + 0.5 * torch.log(self.ratios(like))
