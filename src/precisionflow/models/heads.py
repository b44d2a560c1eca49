"""Readouts that state a distribution."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.models.numerics import at_least_float32

LOG_PRECISION_LIMIT = 10.0
"""Log precisions are kept within this distance of 0: of a standardised target, stds between 0.007 and 148."""

GaussianParameters = tuple[Float[Tensor, " rows"], Float[Tensor, " rows"]]
"""Mean and log precision of a Gaussian for each row."""


class HeteroscedasticHead(nn.Module):
    """Mean and log precision, each a linear map of the features; the precision starts at 1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mean = nn.Linear(width, 1)
        self.log_precision = nn.Linear(width, 1)
        nn.init.zeros_(self.log_precision.weight)
        nn.init.zeros_(self.log_precision.bias)

    def forward(self, features: Float[Tensor, "rows width"]) -> GaussianParameters:
        log_precision = at_least_float32(self.log_precision(features).squeeze(-1))
        return at_least_float32(self.mean(features).squeeze(-1)), log_precision.clamp(
            -LOG_PRECISION_LIMIT, LOG_PRECISION_LIMIT
        )


class HomoscedasticHead(nn.Module):
    """Mean a linear map of the features, one learned log precision for all rows, starting at 0."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mean = nn.Linear(width, 1)
        self.log_precision = nn.Parameter(torch.zeros(1))

    def forward(self, features: Float[Tensor, "rows width"]) -> GaussianParameters:
        mean = at_least_float32(self.mean(features).squeeze(-1))
        return mean, self.log_precision.clamp(-LOG_PRECISION_LIMIT, LOG_PRECISION_LIMIT).expand_as(mean)
