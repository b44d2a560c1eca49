"""The full prior: every edge exists, all alike."""

from torch import nn

from precisionflow.models.attention.log_prior import EVERY_EDGE, LogPrior
from precisionflow.models.attention.sites import Sites


class Full(nn.Module):
    """log p(edge i -> j) = 0."""

    horizon = None

    def log(self, queries: Sites, keys: Sites) -> LogPrior:  # noqa: ARG002 - wherever they stand
        return EVERY_EDGE
