"""The causal prior: edges from earlier tokens and from the token itself, all alike."""

from torch import nn

from precisionflow.models.attention.log_prior import LogPrior
from precisionflow.models.attention.sites import Sites


class Causal(nn.Module):
    """log p(edge i -> j) = 0 where the position of key j is at most that of query i, else -inf."""

    def log(self, queries: Sites, keys: Sites) -> LogPrior:
        """The fused kernel knows the case of queries and keys that are the same tokens."""
        if queries.positions is keys.positions:
            return LogPrior(causal=True)
        return LogPrior(allowed=(keys.positions <= queries.positions[:, None])[None, None])
