"""The test predictions of several cells, one after the other, as columns that the figures draw."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from precisionflow.evaluation.columns import Rows
from precisionflow.evaluation.predictions import predictive_distribution
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import CLASS_PREDICTIONS, PREDICTIONS
from precisionflow.results.layout import EvaluatedCell


@dataclass(frozen=True)
class NumberPredictions:
    """Predicted distributions of numbers, in the target's own units."""

    target: Rows
    mean: Rows
    std: Rows
    pit: Rows
    """Predicted probability below the target."""
    lower: Rows
    upper: Rows
    """Ends of the central 95 % interval."""
    effective_rows: int
    """`effective_rows` of the pooled cells."""


@dataclass(frozen=True)
class ClassPredictions:
    """Most probable classes."""

    confidence: Rows
    """The largest probability."""
    correct: Bool[np.ndarray, " rows"]
    effective_rows: int
    """`effective_rows` of the pooled cells."""


def effective_rows(row: np.ndarray) -> int:
    """(sum_r c_r)^2 / sum_r c_r^2, c_r the number of cells that predict row r (Kish 1965), rounded down.

    Number of rows that a sampling band may count if predicting a row again says nothing new.
    """
    _, counts = np.unique(row, return_counts=True)
    return int(counts.sum() ** 2 / np.square(counts).sum())


def read_numbers(folders: Sequence[Path]) -> NumberPredictions:
    """The pooled records.schemas.PREDICTIONS of evaluated cells; ValueError names the file of a broken row."""
    cells, rows = [], []
    for file in (EvaluatedCell(folder).predictions for folder in folders):
        table = read_parquet(file, PREDICTIONS)
        predicted, target = predictive_distribution(table, origin=str(file)), table["target"].to_numpy()
        cells.append(
            (target, predicted.mean, predicted.std, predicted.cdf(target), *predicted.interval(0.95))
        )
        rows.append(table["row"].to_numpy())
    target, mean, std, pit, lower, upper = (np.concatenate(parts) for parts in zip(*cells, strict=True))
    return NumberPredictions(target, mean, std, pit, lower, upper, effective_rows(np.concatenate(rows)))


def read_classes(folders: Sequence[Path]) -> ClassPredictions:
    """The pooled records.schemas.CLASS_PREDICTIONS of evaluated cells."""
    tables = [read_parquet(EvaluatedCell(folder).predictions, CLASS_PREDICTIONS) for folder in folders]
    row, confidence, correct = (
        np.concatenate([table[name].to_numpy() for table in tables])
        for name in ("row", "confidence", "correct")
    )
    return ClassPredictions(confidence, correct, effective_rows(row))
