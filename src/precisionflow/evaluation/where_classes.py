"""Where it holds, of classes: accuracy, confidence and sets in bins of each feature and of the confidence."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Integer

from precisionflow.evaluation.calibration.chance import drawn_classes
from precisionflow.evaluation.calibration.worlds import Index, thinned
from precisionflow.evaluation.metrics import per_cent
from precisionflow.evaluation.recalibration.prediction_sets import prediction_sets
from precisionflow.evaluation.where import DRAWN_ROWS, LEVEL, Drawn, Features, binned, keys_of
from precisionflow.records.recalibration import ClassFit, SetFit

Probabilities = Float[np.ndarray, "rows classes"]
Sets = dict[str, Bool[np.ndarray, "rows classes"]]
"""Method -> classes in the set of each row."""


def class_bins_table(
    probabilities: Probabilities,
    target: Integer[np.ndarray, " rows"],
    *,
    log_probabilities: Probabilities,
    row: Index,
    features: Features,
    seen: Float[np.ndarray, "seen features"],
    names: tuple[str, ...],
    fits: Sequence[ClassFit] = (),
) -> pa.Table:
    """A `records.schemas.BINS` without those of the cell; arguments as of `where.bins_table`.

    For each bin: accuracy, mean of the largest probability, nll in nats, coverage and mean size of the conformal sets
    of 95 % among `fits`. In worlds where the probabilities are true classes are drawn from them: a set that holds its
    class at its level over all rows does so more often in some bins and less often in others.
    """
    confidence = probabilities.max(axis=1)
    keys = keys_of(confidence, features=features, seen=seen, names=names)
    sets: Sets = {
        fit.method: prediction_sets(probabilities, quantile=fit.quantile(LEVEL), method=fit.method)
        for fit in fits
        if isinstance(fit, SetFit) and LEVEL in fit.levels
    }
    measured = _measured(log_probabilities, target, sets) | {"confidence": confidence}
    return binned(keys, measured, _drawn(log_probabilities, row, sets))


def coverage_name(method: str) -> str:
    """set_coverage_95_after_aps."""
    return f"set_coverage_{per_cent(LEVEL)}_after_{method}"


def size_name(method: str) -> str:
    """set_size_95_after_aps."""
    return f"set_size_{per_cent(LEVEL)}_after_{method}"


def _measured(
    log_probabilities: Probabilities, target: Integer[np.ndarray, " rows"], sets: Sets
) -> dict[str, Float[np.ndarray, " rows"]]:
    """Means of these over the rows of a bin are the scores."""
    rows = np.arange(len(target))
    found = {
        "accuracy": (log_probabilities.argmax(axis=1) == target).astype(float),
        "nll": -log_probabilities[rows, target],
    }
    for method, inside in sets.items():
        found[coverage_name(method)] = inside[rows, target].astype(float)
        found[size_name(method)] = inside.sum(axis=1).astype(float)
    return found


def _drawn(log_probabilities: Probabilities, row: Index, sets: Sets) -> Drawn:
    kept, _ = thinned(row, DRAWN_ROWS)
    row, stated = row[kept], log_probabilities[kept]
    classes = drawn_classes(np.exp(stated), row)

    def of_drawn(values: np.ndarray) -> np.ndarray:
        return np.take_along_axis(values, classes.T, axis=1).T

    covered = {coverage_name(method): of_drawn(inside[kept]).astype(float) for method, inside in sets.items()}
    accuracy = (classes == stated.argmax(axis=1)).astype(float)
    return Drawn(kept, row, {"accuracy": accuracy, "nll": -of_drawn(stated), **covered})
