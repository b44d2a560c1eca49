"""Where it holds, of classes: accuracy, confidence and sets in bins of the confidence and of other keys."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from precisionflow.evaluation.calibration.chance import drawn_classes
from precisionflow.evaluation.calibration.worlds import Index, thinned
from precisionflow.evaluation.metrics import per_cent
from precisionflow.evaluation.recalibration.prediction_sets import prediction_sets
from precisionflow.evaluation.where import DRAWN_ROWS, LEVEL, Bins, Drawn, binned, bins_of
from precisionflow.records.recalibration import Fit, SetFit
from precisionflow.records.schemas import SURENESS

Probabilities = Float[np.ndarray, "rows classes"]
Sets = Mapping[str, Bool[np.ndarray, "rows classes"]]
"""Method -> classes in the set of each row."""


@dataclass
class Kept:
    """log p of the classes, in nats, of the rows that stand for all in the worlds of chance; given batch by batch."""

    row: Index
    """Index of every row in the source."""
    places: Int[np.ndarray, " kept"] = field(init=False)
    """Those of the kept rows, rising."""
    _parts: list[Probabilities] = field(default_factory=list)
    _count: int = 0

    def __post_init__(self) -> None:
        self.places = np.sort(thinned(self.row, DRAWN_ROWS)[0])

    def add(self, log_probabilities: Probabilities) -> None:
        """Keep what is stated of the next rows."""
        first, self._count = self._count, self._count + len(log_probabilities)
        low, high = np.searchsorted(self.places, [first, self._count])
        self._parts.append(log_probabilities[self.places[low:high] - first])

    @property
    def log_probabilities(self) -> Float[np.ndarray, "kept classes"]:
        """Those of all kept rows."""
        return np.concatenate(self._parts)


def class_bins_table(
    predictions: pa.Table, kept: Kept, *, keys: Mapping[str, Bins], sets: Sets | None = None
) -> pa.Table:
    """A `records.schemas.BINS` without those of the cell, of a `records.schemas.CLASS_PREDICTIONS`.

    For each bin of the confidence and of `keys`: accuracy, mean of the largest probability, nll in nats, coverage and
    mean size of the conformal `sets`. In worlds where the probabilities are true classes are drawn from them: a set
    that holds its class at its level over all rows does so more often in some bins and less often in others.
    """
    columns = {name: predictions[name].to_numpy() for name in ("target", "confidence", "log_probability")}
    target, confidence = columns["target"], columns["confidence"]
    measured = {
        "accuracy": predictions["correct"].to_numpy().astype(np.float64),
        "confidence": confidence,
        "nll": -columns["log_probability"],
    }
    for method, inside in (sets or {}).items():
        measured[coverage_name(method)] = inside[np.arange(len(target)), target].astype(np.float64)
        measured[size_name(method)] = inside.sum(axis=1).astype(np.float64)
    of_all = {SURENESS: bins_of(confidence, confidence), **keys}
    return binned(of_all, measured, _drawn(kept, sets or {}))


def sets_of(probabilities: Probabilities, fits: Iterable[Fit]) -> Sets:
    """The conformal sets of 95 % by each of `fits` that has that level."""
    return {
        fit.method: prediction_sets(probabilities, quantile=fit.quantile(LEVEL), method=fit.method)
        for fit in fits
        if isinstance(fit, SetFit) and LEVEL in fit.levels
    }


def coverage_name(method: str) -> str:
    """set_coverage_95_after_aps."""
    return f"set_coverage_{per_cent(LEVEL)}_after_{method}"


def size_name(method: str) -> str:
    """set_size_95_after_aps."""
    return f"set_size_{per_cent(LEVEL)}_after_{method}"


def _drawn(kept: Kept, sets: Sets) -> Drawn:
    row, stated = kept.row[kept.places], kept.log_probabilities
    classes = drawn_classes(np.exp(stated), row)

    def of_drawn(values: np.ndarray) -> np.ndarray:
        return np.take_along_axis(values, classes.T, axis=1).T

    covered = {
        coverage_name(method): of_drawn(inside[kept.places]).astype(np.float64)
        for method, inside in sets.items()
    }
    accuracy = (classes == stated.argmax(axis=1)).astype(np.float64)
    return Drawn(kept.places, row, {"accuracy": accuracy, "nll": -of_drawn(stated), **covered})
