"""The prior of padding: no edge leads to a place where no token stands."""

from precisionflow.models.attention.log_prior import EVERY_EDGE, LogPrior
from precisionflow.models.attention.sites import Sites


def padding(keys: Sites) -> LogPrior:
    """log p(edge i -> j) = 0 where key j is a real token, else -inf."""
    return EVERY_EDGE if keys.present is None else LogPrior(allowed=keys.present[:, None, None, :])
