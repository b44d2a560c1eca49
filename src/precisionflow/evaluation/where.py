"""Where it holds: scores of test rows in bins of each feature and of what is stated; coverage and error of numbers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int

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
    """Bins of one number: its values where they are few, else groups of about equally many rows."""

    of_row: Int[np.ndarray, " rows"]
    low: Float[np.ndarray, " bins"]
    """Smallest value in each bin."""
    high: Float[np.ndarray, " bins"]


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
    features: Features,
    seen: Float[np.ndarray, "seen features"],
    names: tuple[str, ...],
) -> pa.Table:
    """A `records.schemas.BINS` without those of the cell; targets and features in their own units.

    For each bin: coverage of the central 95 % interval, root mean square of the stated std, root mean squared error,
    nll in nats, and all but the std in worlds where the predictions are true (`calibration.worlds`). `seen`: features
    of all rows of the data, which the ends of the bins follow from.
    """
    keys = keys_of(predicted.std, features=features, seen=seen, names=names)
    return binned(keys, _measured(predicted, target), _drawn(predicted, row))


def keys_of(
    stated: Rows, *, features: Features, seen: Float[np.ndarray, "seen features"], names: tuple[str, ...]
) -> dict[str, Bins]:
    """Bins of what is stated, SURENESS, and of each feature."""
    own = {SURENESS: bins_of(stated, stated)}
    return own | {name: bins_of(features[:, i], seen[:, i]) for i, name in enumerate(names)}


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


def binned(keys: Mapping[str, Bins], measured: Mapping[str, Rows], drawn: Drawn) -> pa.Table:
    """A `records.schemas.BINS` without those of the cell: means of what is `measured` in every bin of every key."""
    rows = [line for name, bins in keys.items() for line in _lines(name, bins, measured, drawn)]
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


def _lines(name: str, bins: Bins, measured: Mapping[str, Rows], drawn: Drawn) -> Iterator[dict[str, Any]]:
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
        if metric in ("std", "rmse"):
            means, chance = np.sqrt(means), np.sqrt(np.maximum(chance, 0))
        for place, index in enumerate(full.tolist()):
            yield {
                "feature": name,
                "bin": index,
                "low": bins.low[index],
                "high": bins.high[index],
                "metric": metric,
                "value": means[place],
                "n": int(count[index]),
                "chance": chance[:, place],
            }


def features_of(table: pa.Table) -> Features:
    """The column `features` of records.schemas.REGRESSION_ROWS."""
    return pc.list_flatten(table["features"]).to_numpy().reshape(table.num_rows, -1)


def features_in_units(data: Path, card: DatasetCard) -> dict[Part, Features]:
    """Features of each part of a prepared split in their own units."""
    parts = {part: read_parquet(PreparedSplit(data).part(part), REGRESSION_ROWS) for part in PARTS}
    return {part: card.table.restore_features(features_of(rows)) for part, rows in parts.items()}
