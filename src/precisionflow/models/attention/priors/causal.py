"""The causal prior: edges from earlier tokens and from the token itself, all alike."""

from torch import nn

from precisionflow.models.attention.log_prior import EVERY_EDGE, LogPrior
from precisionflow.models.attention.sites import Sites


class Causal(nn.Module):
    """log p(edge i -> j) = 0 where the position of key j is at most that of query i, else -inf."""

    horizon = None

    def log(self, queries: Sites, keys: Sites) -> LogPrior:
        """The fused kernel knows the case of queries and keys that are the same tokens; a next token sees all keys."""
        if queries.positions is keys.positions:
            return LogPrior(causal=True)
        if queries.follows(keys):
            return EVERY_EDGE
        return LogPrior(allowed=(keys.positions <= queries.positions[:, None])[None, None])
