"""Where it holds: scores of test rows in bins of each feature and of what is stated; coverage and error of numbers."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int, Integer

from precisionflow.config import Experiment
from precisionflow.evaluation.calibration.worlds import Index, sums, thinned, uniform
from precisionflow.evaluation.columns import Rows
from precisionflow.evaluation.distribution import Distribution
from precisionflow.evaluation.metrics import per_cent
from precisionflow.evaluation.scores.gaussian import squared_error
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import BINS, CELL, REGRESSION_ROWS, SURENESS, without
from precisionflow.results.layout import PARTS, Part, PreparedSplit

MOST_BINS = 10
LEVEL = 0.95
"""Level of the central interval whose coverage is counted."""
COVERAGE = f"coverage_{per_cent(LEVEL)}"
DRAWN_ROWS = 20_000
"""Rows that stand for any larger number of them in the worlds of chance."""
Features = Float[np.ndarray, "rows features"]


@dataclass(frozen=True)
class Bins:
    """Bins of one number, its values where they are few, else groups of about equally many rows; or kinds of rows."""

    of_row: Int[np.ndarray, " rows"]
    low: Float[np.ndarray, " bins"]
    """Smallest value in each bin."""
    high: Float[np.ndarray, " bins"]
    labels: tuple[str, ...] = ()
    """Names of kinds; none: the ends of a bin tell it."""

    @classmethod
    def of_kinds(cls, kind: Integer[np.ndarray, " rows"], labels: Sequence[str]) -> "Bins":
        """A bin for each kind of rows; `kind` is the index of the row's label."""
        ends = np.arange(len(labels), dtype=np.float64)
        return cls(kind, ends, ends, tuple(labels))


def bins_of(values: Rows, seen: Float[np.ndarray, " seen"]) -> Bins:
    """Bins of `values`; what their ends are follows from all values `seen`, these among them.

    A value lies in one bin, however often it occurs: fewer than MOST_BINS where some are frequent.
    """
    distinct = np.unique(seen)
    ends = distinct
    if len(distinct) > MOST_BINS:
        shares = np.arange(1, MOST_BINS + 1) / MOST_BINS
        ends = np.unique(np.quantile(seen, shares, method="inverted_cdf"))
    starts = distinct[np.searchsorted(distinct, ends[:-1], side="right")]
    low = np.concatenate([distinct[:1], starts])
    return Bins(np.searchsorted(ends, values, side="left"), low, ends)


def bins_table(
    predicted: Distribution,
    target: Rows,
    *,
    row: Index,
    keys: Mapping[str, Bins],
) -> pa.Table:
    """A `records.schemas.BINS` without those of the cell; targets in their own units.

    For each bin of the stated std and of `keys`: coverage of the central 95 % interval, root mean square of the stated
    std, root mean squared error, nll in nats, and all but the std in worlds where the predictions are true
    (`calibration.worlds`).
    """
    of_all = {SURENESS: bins_of(predicted.std, predicted.std), **keys}
    return binned(of_all, _measured(predicted, target), _drawn(predicted, row), rooted=("std", "rmse"))


def feature_bins(parts: Mapping[Part, pa.Table], card: DatasetCard) -> dict[str, Bins]:
    """Bins of each feature of the test rows in its own units; their ends follow from the rows of all parts."""
    features = {part: card.table.restore_features(features_of(rows)) for part, rows in parts.items()}
    seen = np.concatenate(list(features.values()))
    return {name: bins_of(features["test"][:, i], seen[:, i]) for i, name in enumerate(card.feature_names)}


def named_cell(table: pa.Table, experiment: Experiment, *, seed: int, split: int) -> pa.Table:
    """Bins of a cell with the columns that name it: a `records.schemas.BINS`."""
    names = (experiment.name, experiment.variant, experiment.dataset, seed, split)
    cell = [pa.array([name] * table.num_rows) for name in names]
    return pa.table([*cell, *table.columns], names=[*CELL, *table.column_names])


@dataclass(frozen=True)
class Drawn:
    """What is measured of targets that are drawn from the predictions, for each draw and kept row."""

    kept: Int[np.ndarray, " kept"]
    row: Index
    values: Mapping[str, Float[np.ndarray, "bases kept"]]


def binned(
    keys: Mapping[str, Bins], measured: Mapping[str, Rows], drawn: Drawn, *, rooted: Collection[str] = ()
) -> pa.Table:
    """A `records.schemas.BINS` without those of the cell: means of what is `measured` in every bin of every key.

    Of the metrics that are `rooted` the root of the mean is the score.
    """
    rows = [line for name, bins in keys.items() for line in _lines(name, bins, measured, drawn, rooted)]
    return pa.Table.from_pylist(rows, schema=without(BINS, *CELL))


def _measured(predicted: Distribution, target: Rows) -> dict[str, Rows]:
    """Means of these over the rows of a bin are the scores, or their squares."""
    return {
        COVERAGE: (np.abs(2 * predicted.cdf(target) - 1) <= LEVEL).astype(float),
        "std": predicted.std**2,
        "rmse": squared_error(target, predicted.mean),
        "nll": -predicted.log_density(target),
    }


def _drawn(predicted: Distribution, row: Index) -> Drawn:
    kept, _ = thinned(row, DRAWN_ROWS)
    row, predicted = row[kept], predicted.rows(kept)
    targets = predicted.drawn(lambda stream: uniform(row, stream))
    values = {
        COVERAGE: (np.abs(2 * uniform(row, 0) - 1) <= LEVEL).astype(float),
        "rmse": (targets - predicted.mean) ** 2,
        "nll": np.stack([-predicted.log_density(target) for target in targets]),
    }
    return Drawn(kept, row, values)


def _lines(
    name: str, bins: Bins, measured: Mapping[str, Rows], drawn: Drawn, rooted: Collection[str]
) -> Iterator[dict[str, Any]]:
    """Rows of the table of one feature, of the bins that have test rows of which some were drawn."""
    size, inside = len(bins.high), bins.of_row[drawn.kept]
    count, kept = np.bincount(bins.of_row, minlength=size), np.bincount(inside, minlength=size)
    full = np.flatnonzero(kept)
    worlds = {
        metric: sums(drawn.row, inside[None], groups=size, weights=values)[:, full] / kept[full]
        for metric, values in drawn.values.items()
    }
    for metric, values in measured.items():
        means = np.bincount(bins.of_row, weights=values, minlength=size)[full] / count[full]
        chance = np.empty((0, len(full)))
        if metric in worlds:
            centre = worlds[metric].mean(axis=0)
            chance = centre + np.sqrt(kept[full] / count[full]) * (worlds[metric] - centre)
        if metric in rooted:
            means, chance = np.sqrt(means), np.sqrt(np.maximum(chance, 0))
        for place, index in enumerate(full.tolist()):
            yield {
                "feature": name,
                "bin": index,
                "low": bins.low[index],
                "high": bins.high[index],
                "label": bins.labels[index] if bins.labels else "",
                "metric": metric,
                "value": means[place],
                "n": int(count[index]),
                "chance": chance[:, place],
            }


def features_of(table: pa.Table) -> Features:
    """The column `features` of records.schemas.REGRESSION_ROWS."""
    return pc.list_flatten(table["features"]).to_numpy().reshape(table.num_rows, -1)


def table_parts(data: Path) -> dict[Part, pa.Table]:
    """The records.schemas.REGRESSION_ROWS of each part of a prepared split."""
    return {part: read_parquet(PreparedSplit(data).part(part), REGRESSION_ROWS) for part in PARTS}
