"""Fit of a model of one feature: its predictive distributions along that feature, the curve behind a figure."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from precisionflow.evaluation.distribution import Distribution
from precisionflow.evaluation.where import features_of
from precisionflow.records.cards import Standardisation
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import FIT, REGRESSION_ROWS
from precisionflow.results.layout import Part, PreparedSplit

POINTS = 200
MARGIN = 0.1
"""How far the grid goes beyond the data on either side, as a share of their range."""


def fitted_curve(
    data: Path,
    *,
    scales: Standardisation,
    predict: Callable[[Float[np.ndarray, "rows features"]], Distribution],
) -> pa.Table | None:
    """records.schemas.FIT: the test rows, then an even grid over the range of all rows and beyond (target NaN).

    `predict` takes features in their own units. None for a model of several features: no plane shows it.
    """
    if len(scales.feature_mean) != 1:
        return None

    def points(part: Part) -> tuple[np.ndarray, np.ndarray]:
        rows = read_parquet(PreparedSplit(data).part(part), REGRESSION_ROWS)
        x = scales.restore_features(features_of(rows))[:, 0]
        return x, scales.restore_target(rows["target"].to_numpy())

    test, target = points("test")
    seen = np.concatenate([points("train")[0], test])
    beyond = MARGIN * np.ptp(seen)
    x = np.concatenate([test, np.linspace(seen.min() - beyond, seen.max() + beyond, POINTS)])
    predicted = predict(x[:, None])
    (low_95, high_95), (low_50, high_50) = predicted.interval(0.95), predicted.interval(0.5)
    columns = {
        "x": x,
        "target": np.concatenate([target, np.full(POINTS, np.nan)]),
        "mean": predicted.mean,
        "epistemic": np.sqrt(predicted.epistemic),
        "low_95": low_95,
        "low_50": low_50,
        "high_50": high_50,
        "high_95": high_95,
    }
    return pa.table(columns, schema=FIT)
