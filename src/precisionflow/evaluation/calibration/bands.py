"""Bands of chance: where a calibrated model falls."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float
from scipy import special

from precisionflow.evaluation.columns import Rows, aligned, fraction, refuse
from precisionflow.evaluation.distribution import Distribution


def sampling_band(
    score: Callable[[Rows], float],
    predicted: Distribution,
    *,
    confidence: float = 0.95,
    repeats: int = 400,
    seed: int = 0,
) -> tuple[float, float]:
    """Central `confidence` quantiles of score(target) over targets that are drawn from the prediction itself.

    What chance does to a perfectly calibrated model with these predictions: a measured value outside says that the
    model is not one. Exact up to the noise of `repeats` draws.
    """
    return central(sampled_scores(score, predicted, repeats=repeats, seed=seed), confidence=confidence)


def sampled_scores(
    score: Callable[[Rows], float], predicted: Distribution, *, repeats: int, seed: int
) -> Float[np.ndarray, " repeats"]:
    """score(target) of targets that are drawn from the prediction itself, again and again."""
    random = np.random.default_rng(seed)
    return np.array([score(predicted.sample(random)) for _ in range(repeats)])


def uniform_band(
    score: Callable[[Rows], float],
    *,
    rows: int,
    cells: int = 1,
    confidence: float = 0.95,
    repeats: int = 400,
    seed: int = 0,
) -> tuple[float, float]:
    """Central `confidence` quantiles of the mean over `cells` of score(pit), each pit `rows` uniform values.

    Where a calibrated model falls by chance, whatever it predicts: for scores of the PIT alone and independent rows.
    Exact up to the noise of `repeats` draws.
    """
    random = np.random.default_rng(seed)
    means = [float(np.mean([score(random.random(rows)) for _ in range(cells)])) for _ in range(repeats)]
    return central(means, confidence=confidence)


def central(
    values: Sequence[float] | Float[np.ndarray, " repeats"], *, confidence: float
) -> tuple[float, float]:
    """The (1 - confidence) / 2 and (1 + confidence) / 2 quantiles of drawn values."""
    tail = (1 - fraction("confidence", confidence)) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


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
