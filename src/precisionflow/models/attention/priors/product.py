"""A product of priors."""

import math
from collections.abc import Iterable
from typing import Any

from torch import nn

from precisionflow.models.attention.log_prior import EVERY_EDGE, LogPrior
from precisionflow.models.attention.sites import Sites


class Product(nn.ModuleList):
    """log p(edge) = sum of the logarithms of several priors."""

    horizon: int | None

    def __init__(self, priors: Iterable[Any]) -> None:
        """`priors` are modules, each a `Prior`."""
        factors = list(priors)
        super().__init__(factors)
        self.horizon = min((of.horizon for of in factors if of.horizon is not None), default=None)

    def log(self, queries: Sites, keys: Sites) -> LogPrior:
        return math.prod((prior.log(queries, keys) for prior in self), start=EVERY_EDGE)  # type: ignore[operator]
