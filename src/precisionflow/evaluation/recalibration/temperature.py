"""One temperature for the logits of all rows, fitted by likelihood."""

import numpy as np
from jaxtyping import Float
from scipy import optimize, special

from precisionflow.evaluation.scores.classes import Probabilities


def temperature(probabilities: Probabilities, target: np.ndarray) -> float:
    """The T > 0 whose p_k^(1/T) / sum_j p_j^(1/T) has the highest likelihood of the targets (Guo et al. 2017).

    Of n rows 1 / (n + 2) is counted as wrong, as in Platt (1999): it minimises the mean of
    -(1 - 1 / (n + 2)) log p_target - 1 / (n + 2) log p_second, p_second the second largest probability of a row.
    Without it rows that are all right have their highest likelihood at T = 0, which makes everything certain.
    """
    log_probabilities = np.log(np.maximum(np.asarray(probabilities, dtype=float), np.finfo(float).tiny))
    chosen = np.take_along_axis(log_probabilities, np.asarray(target)[:, None], axis=1)[:, 0]
    second = np.partition(log_probabilities, -2, axis=1)[:, -2]
    wrong = 1 / (len(chosen) + 2)
    counted = (1 - wrong) * chosen + wrong * second

    def loss(log_temperature: float) -> float:
        factor = np.exp(-log_temperature)
        return float(np.mean(special.logsumexp(log_probabilities * factor, axis=1) - counted * factor))

    found = optimize.minimize_scalar(loss, bounds=(-5.0, 5.0), method="bounded", options={"xatol": 1e-8})
    return float(np.exp(found.x))


def log_tempered(
    log_probabilities: Float[np.ndarray, "rows classes"], factor: float
) -> Float[np.ndarray, "rows classes"]:
    """log of p_k^(1/T) / sum_j p_j^(1/T), T = `factor`, in nats."""
    return special.log_softmax(log_probabilities / factor, axis=1)
