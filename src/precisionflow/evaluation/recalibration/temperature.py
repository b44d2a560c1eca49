"""One temperature for the logits of all rows, fitted by likelihood."""

import numpy as np
from jaxtyping import Float
from scipy import optimize, special

from precisionflow.evaluation.scores.classes import Probabilities


def temperature(probabilities: Probabilities, target: np.ndarray) -> float:
    """The T > 0 whose p_k^(1/T) / sum_j p_j^(1/T) has the highest likelihood of the targets (Guo et al. 2017)."""
    log_probabilities = np.log(np.maximum(np.asarray(probabilities, dtype=float), np.finfo(float).tiny))

    def nll(log_temperature: float) -> float:
        logits = log_probabilities / np.exp(log_temperature)
        chosen = np.take_along_axis(logits, np.asarray(target)[:, None], axis=1)[:, 0]
        return float(np.mean(special.logsumexp(logits, axis=1) - chosen))

    found = optimize.minimize_scalar(nll, bounds=(-5.0, 5.0), method="bounded", options={"xatol": 1e-8})
    return float(np.exp(found.x))


def log_tempered(
    log_probabilities: Float[np.ndarray, "rows classes"], factor: float
) -> Float[np.ndarray, "rows classes"]:
    """log of p_k^(1/T) / sum_j p_j^(1/T), T = `factor`, in nats."""
    return special.log_softmax(log_probabilities / factor, axis=1)
