"""Maps of a table's features in front of the first layer."""

import numpy as np
import torch
from jaxtyping import Float, Float32
from scipy import special
from torch import Tensor, nn

KNOTS = 1024
"""Number of different values of a feature up to which scores are exact; beyond, they are linear between knots."""
LOWEST_RANK = 1e-3
"""Ranks are kept within [LOWEST_RANK, 1 - LOWEST_RANK]: an outlier's score is at most 3.09 in size."""


class NormalScores(nn.Module):
    """Each feature and, beside it, z = Phi^-1((r - 1/2) / n) of its rank r among n training rows, ties sharing a rank.

    Between the training values z is linear, outside it is constant: features with long tails arrive without them
    (van der Waerden scores). Nothing here is learned by gradients.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.values: Tensor
        self.scores: Tensor
        self.register_buffer("values", torch.zeros(features, KNOTS))
        self.register_buffer("scores", torch.zeros(features, KNOTS))

    def fit(self, features: Float32[np.ndarray, "rows features"]) -> None:
        """Take the ranks from training rows."""
        for column, (values, scores) in enumerate(zip(self.values, self.scores, strict=True)):
            knots, ranks = _mid_ranks(features[:, column])
            values.copy_(torch.from_numpy(knots))
            scores.copy_(torch.from_numpy(special.ndtri(np.clip(ranks, LOWEST_RANK, 1 - LOWEST_RANK))))

    def forward(self, features: Float[Tensor, "rows features"]) -> Float[Tensor, "rows twice_features"]:
        columns = features.T.contiguous().clamp(self.values[:, :1], self.values[:, -1:])
        right = torch.searchsorted(self.values, columns).clamp(1, KNOTS - 1)
        left = right - 1
        low, high = self.values.gather(1, left), self.values.gather(1, right)
        share = torch.where(high > low, (columns - low) / (high - low).clamp_min(1e-30), 1.0)
        scores = self.scores.gather(1, left).lerp(self.scores.gather(1, right), share)
        return torch.cat([features, scores.T.to(features.dtype)], dim=-1)


def _mid_ranks(column: Float32[np.ndarray, "rows"]) -> tuple[np.ndarray, np.ndarray]:
    """Different values in order and the middle of their ranks over n, KNOTS of each; the last is repeated to fill."""
    values, counts = np.unique(column, return_counts=True)
    ranks = (np.cumsum(counts) - 0.5 * counts) / len(column)
    chosen = np.unique(np.linspace(0, len(values) - 1, KNOTS).round().astype(int))
    chosen = np.concatenate([chosen, np.full(KNOTS - len(chosen), len(values) - 1)])
    return values[chosen], ranks[chosen]
