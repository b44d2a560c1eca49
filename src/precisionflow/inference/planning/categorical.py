"""Arithmetic of categorical distributions: entropies and divergences in nats, along one axis, with 0 log 0 = 0."""

import numpy as np
from jaxtyping import Float
from scipy.special import entr, logsumexp, xlogy

Array = np.ndarray


def entropy(probability: Float[Array, "..."], axis: int = -1) -> Float[Array, "..."]:
    """-sum p ln p."""
    return np.asarray(entr(probability).sum(axis=axis))


def divergence(
    probability: Float[Array, "..."], other: Float[Array, "..."], axis: int = -1
) -> Float[Array, "..."]:
    """KL[p || r] = sum p (ln p - ln r) >= 0; infinite where r is 0 and p is not."""
    return np.asarray((xlogy(probability, probability) - xlogy(probability, other)).sum(axis=axis))


def log_softmax(value: Float[Array, "..."], axis: int = -1) -> Float[Array, "..."]:
    """v - ln sum exp v: logarithms of probabilities that are proportional to exp v."""
    return np.asarray(value - logsumexp(value, axis=axis, keepdims=True))


def drawn(probability: Float[Array, "draws outcomes"], uniform: Float[Array, "draws"]) -> Array:
    """Index of an outcome for every row, by inversion: the first whose cumulative probability is above `uniform`."""
    cumulative = np.cumsum(probability, axis=1)
    return np.argmax(cumulative > uniform[:, None] * cumulative[:, -1:], axis=1)
