"""The test predictions of several cells, one after the other, as columns that the figures draw."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Bool

from precisionflow.evaluation.columns import Rows
from precisionflow.evaluation.distribution import Distribution
from precisionflow.evaluation.predictions import predictive_distribution
from precisionflow.records.files import read_together
from precisionflow.records.schemas import CLASS_PREDICTIONS, PREDICTIONS, only
from precisionflow.results.layout import EvaluatedCell

TOGETHER = 256
"""Cells whose predictions are put into one table."""
_OF_CLASSES = only(CLASS_PREDICTIONS, "row", "confidence", "correct")


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
    for table, predicted in _distributions(folders):
        target = table["target"].to_numpy()
        cells.append(
            (target, predicted.mean, predicted.std, predicted.cdf(target), *predicted.interval(0.95))
        )
        rows.append(table["row"].to_numpy())
    target, mean, std, pit, lower, upper = (np.concatenate(parts) for parts in zip(*cells, strict=True))
    return NumberPredictions(target, mean, std, pit, lower, upper, effective_rows(np.concatenate(rows)))


def _distributions(folders: Sequence[Path]) -> Iterator[tuple[pa.Table, Distribution]]:
    """Rows and what they predict: of many cells at once where they are alike, else of each."""
    files = [EvaluatedCell(folder).predictions for folder in folders]
    for some in (files[start : start + TOGETHER] for start in range(0, len(files), TOGETHER)):
        table, rows = read_together(some, PREDICTIONS)
        try:
            found = [(table, predictive_distribution(table))]
        except ValueError:
            ends = np.cumsum(rows).tolist()
            parts = [table.slice(end - n, n) for end, n in zip(ends, rows, strict=True)]
            found = [
                (part, predictive_distribution(part, origin=str(file)))
                for part, file in zip(parts, some, strict=True)
            ]
        yield from found


def read_classes(folders: Sequence[Path]) -> ClassPredictions:
    """The pooled records.schemas.CLASS_PREDICTIONS of evaluated cells."""
    table, _ = read_together([EvaluatedCell(folder).predictions for folder in folders], _OF_CLASSES)
    row, confidence, correct = (table[name].to_numpy() for name in _OF_CLASSES.names)
    return ClassPredictions(confidence, correct, effective_rows(row))
