"""Bands of counts: where a calibrated model falls."""

import numpy as np
from scipy import special

from precisionflow.evaluation.columns import aligned, fraction, refuse


def binomial_band(n: np.ndarray, p: np.ndarray, *, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """The (1 - confidence) / 2 and (1 + confidence) / 2 quantiles of Binomial(n, p), elementwise."""
    tail = (1 - fraction("confidence", confidence)) / 2
    return _binomial_quantile(tail, n, p), _binomial_quantile(1 - tail, n, p)


def _binomial_quantile(probability: float, n: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Smallest k with P(X <= k) >= probability, X ~ Binomial(n, p)."""
    k = np.ceil(special.bdtrik(probability, n, p))
    below = np.maximum(k - 1, 0)
    return np.where(special.bdtr(below, n, p) >= probability, below, k)


def unit_interval(pit: np.ndarray) -> np.ndarray:
    (pit,) = aligned(pit=pit)
    refuse((pit < 0) | (pit > 1), "pit", pit, wanted="should lie in [0, 1]")
    return pit


def equal_edges(bins: int) -> np.ndarray:
    if bins < 2:
        raise ValueError(f"bins: given {bins}; should be at least 2")
    return np.arange(bins + 1) / bins
