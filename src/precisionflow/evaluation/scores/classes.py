"""Proper scores of class probabilities."""

import numpy as np
from jaxtyping import Float, Integer

from precisionflow.evaluation.columns import Rows, refuse

Probabilities = Float[np.ndarray, "rows classes"]
"""One distribution over classes for each prediction."""

SUM_TOLERANCE = 1e-4
"""How far from 1 the probabilities of a row may sum: a float32 softmax over 10^5 classes stays inside."""


def brier(probabilities: Probabilities, target: Integer[np.ndarray, " rows"]) -> Rows:
    """Sum over classes of (p_k - [k = target])^2, between 0 and 2 (Brier 1950).

    ValueError for rows that are no distribution and for targets that are no class.
    """
    stated = _distributions(probabilities)
    rows, classes = stated.shape
    if target.shape != (rows,):
        raise ValueError(
            f"probabilities {stated.shape} and target {target.shape} do not match; give one target a row"
        )
    refuse(
        (target < 0) | (target >= classes),
        "target",
        target,
        wanted=f"should be a class between 0 and {classes - 1}",
    )
    right = stated[np.arange(rows), target]
    return np.einsum("nk,nk->n", stated, stated) - right**2 + (right - 1) ** 2


def entropy(probabilities: Probabilities) -> Rows:
    """-sum over classes of p_k log p_k in nats, between 0 and log(classes); 0 log 0 is 0.

    ValueError for rows that are no distribution.
    """
    probabilities = _distributions(probabilities)
    logarithms = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    return -np.einsum("nk,nk->n", probabilities, logarithms)


def _distributions(probabilities: np.ndarray) -> np.ndarray:
    array = np.asarray(probabilities, dtype=np.float64)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(
            f"probabilities: shape {array.shape}; should be (rows, classes) with at least one of each"
        )
    total = array.sum(axis=1)
    refuse(~(np.abs(total - 1) <= SUM_TOLERANCE), "probabilities", total, wanted="the row should sum to 1")
    lowest = array.min(axis=1)
    refuse(lowest < 0, "probabilities", lowest, wanted="should not be negative")
    return array
