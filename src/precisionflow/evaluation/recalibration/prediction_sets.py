"""Prediction sets of classes that hold the true one at a stated rate (Romano et al. 2020, Angelopoulos et al. 2021).

The score of class k of a row is the probability of all classes that are more probable, plus a share u of its own; RAPS
adds `PENALTY` for every rank beyond `FREE_RANKS`. The set has the classes whose score is at most the conformal quantile
of the true classes' scores on calibration rows. u is a function of the row's probabilities alone, so that a row's set
does not depend on its neighbours; validity needs no more than that scores are exchangeable.
"""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Integer

from precisionflow.evaluation.recalibration.conformal import conformal_quantile
from precisionflow.evaluation.scores.classes import Probabilities

Method = Literal["aps", "raps"]
PENALTY, FREE_RANKS = 0.1, 2
"""Of RAPS: what each further rank costs, and ranks that cost nothing."""
_MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)

Scores = Float[np.ndarray, "rows classes"]


def set_scores(probabilities: Probabilities, *, method: Method) -> Scores:
    """Score of every class of every row; equally probable classes stand in their order."""
    p = np.asarray(probabilities, dtype=float)
    order = np.argsort(-p, axis=1, kind="stable")
    ranked = np.take_along_axis(p, order, axis=1)
    score = ranked.cumsum(axis=1) - ranked + uniform(p)[:, None] * ranked
    if method == "raps":
        score = score + PENALTY * np.maximum(np.arange(1, p.shape[1] + 1) - FREE_RANKS, 0)
    found = np.empty_like(score)
    np.put_along_axis(found, order, score, axis=1)
    return found


def set_quantile(
    probabilities: Probabilities, target: Integer[np.ndarray, " rows"], *, level: float, method: Method
) -> float:
    """Conformal quantile of the true classes' scores; ValueError where calibration rows are too few for the level."""
    scores = set_scores(probabilities, method=method)
    return conformal_quantile(np.take_along_axis(scores, target[:, None], axis=1)[:, 0], level=level)


def prediction_sets(
    probabilities: Probabilities, *, quantile: float, method: Method
) -> Bool[np.ndarray, "rows classes"]:
    """True at the classes of each row's set; never empty: the most probable class is in it."""
    inside = set_scores(probabilities, method=method) <= quantile + 1e-12
    most = np.asarray(probabilities).argmax(axis=1)
    inside[np.arange(len(inside)), most] = True
    return inside


def set_metrics(
    inside: Bool[np.ndarray, "rows classes"], target: Integer[np.ndarray, " rows"], *, level: str
) -> dict[str, float]:
    """set_coverage_<per cent>, share of rows whose class is in the set; set_size_<per cent>, mean number of classes."""
    return {
        f"set_coverage_{level}": float(np.take_along_axis(inside, target[:, None], axis=1).mean()),
        f"set_size_{level}": float(inside.sum(axis=1).mean()),
    }


def uniform(probabilities: Float[np.ndarray, "rows classes"]) -> Float[np.ndarray, "rows"]:
    """A number in [0, 1) for each row, by splitmix64 over the bits of its probabilities."""
    state = np.zeros(len(probabilities), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for column in np.ascontiguousarray(probabilities, dtype=np.float64).view(np.uint64).T:
            state = (state ^ column) + _MIX[0]
            state = (state ^ (state >> np.uint64(30))) * _MIX[1]
            state = (state ^ (state >> np.uint64(27))) * _MIX[2]
            state = state ^ (state >> np.uint64(31))
    return (state >> np.uint64(11)).astype(np.float64) / 2.0**53
