"""From a table of predictions to the metrics of the catalogue in `records`."""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np
import pyarrow as pa

from precisionflow import records
from precisionflow.config import Experiment
from precisionflow.evaluation import calibration, scores

GAUSSIAN = "gaussian"
"""The `family` of a row whose prediction is N(mean, std^2)."""


def regression_metrics(table: pa.Table, *, levels: Sequence[float]) -> dict[str, float]:
    """nll, crps, rmse, pit_error; coverage_<per cent> and width_<per cent> of the interval of each level.

    `table` is a `records.GAUSSIAN_PREDICTIONS`. nll in nats; crps, rmse and widths in the target's units.
    ValueError for a table without rows, of another family or with values that are no predictions.
    """
    table = _rows(table, records.GAUSSIAN_PREDICTIONS)
    families = table["family"].to_numpy()
    scores.refuse(families != GAUSSIAN, "family", families, wanted=f"should be {GAUSSIAN}")
    target, mean, std = (table[name].to_numpy() for name in ("target", "mean", "std"))
    values = {
        "nll": float(np.mean(scores.gaussian_nll(target, mean, std))),
        "crps": float(np.mean(scores.gaussian_crps(target, mean, std))),
        "rmse": math.sqrt(np.mean(scores.squared_error(target, mean))),
        "pit_error": calibration.pit_error(scores.gaussian_pit(target, mean, std)),
    }
    for level in levels:
        lower, upper = scores.gaussian_interval(mean, std, level=level)
        values[f"coverage_{per_cent(level)}"] = calibration.coverage(target, lower, upper)
        values[f"width_{per_cent(level)}"] = calibration.width(lower, upper)
    return values


def token_metrics(table: pa.Table, *, bins: int) -> dict[str, float]:
    """nll (nats per character), bits_per_character, ece of `bins` confidence bins, brier and accuracy.

    `table` is a `records.TOKEN_PREDICTIONS`. ValueError for a table without rows or with values that are no
    predictions.
    """
    table = _rows(table, records.TOKEN_PREDICTIONS)
    log_probability, confidence, correct, brier = (
        table[name].to_numpy() for name in ("log_probability", "confidence", "correct", "brier")
    )
    scores.refuse(log_probability > 0, "log_probability", log_probability, wanted="should not be positive")
    nll = -float(np.mean(log_probability))
    return {
        "nll": nll,
        "bits_per_character": nll / math.log(2),
        "ece": calibration.expected_calibration_error(confidence, correct, bins=bins),
        "brier": float(np.mean(brier)),
        "accuracy": float(np.mean(correct)),
    }


def metrics_table(
    values: Mapping[str, float], *, experiment: Experiment, seed: int, split: int, n: int
) -> pa.Table:
    """A `records.METRICS` with one row for each value of one cell; n rows or tokens stand behind each.

    ValueError for a name that the catalogue does not have and for a value that is not finite.
    """
    for name in values:
        records.metric(name)
    rows = [
        {
            "experiment": experiment.name,
            "variant": experiment.variant,
            "dataset": experiment.dataset,
            "seed": seed,
            "split": split,
            "metric": name,
            "value": value,
            "n": n,
        }
        for name, value in values.items()
    ]
    return records.check(pa.Table.from_pylist(rows, schema=records.METRICS), records.METRICS, "metrics")


def per_cent(level: float) -> str:
    """The level as it stands in a metric's name: 0.5 -> "50", 0.975 -> "97.5"."""
    return format((Decimal(str(float(level))) * 100).normalize(), "f")


def _rows(table: pa.Table, schema: pa.Schema) -> pa.Table:
    if table.num_rows == 0:
        raise ValueError("predictions: no rows; give at least one")
    return records.check(table, schema, "predictions")
