"""Metrics of the catalogue in `records.metrics`, computed from predictions."""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np
import pyarrow as pa

from precisionflow.config import Experiment
from precisionflow.evaluation.calibration import classes
from precisionflow.evaluation.calibration.chance import Draws, coverage_chance, ence_chance, pit_chance
from precisionflow.evaluation.calibration.confidence import expected_calibration_error
from precisionflow.evaluation.calibration.coverage import (
    coverage,
    interval_calibration_error,
    quantile_calibration_error,
    width,
)
from precisionflow.evaluation.calibration.pit import pit_error
from precisionflow.evaluation.calibration.scale import expected_normalised_calibration_error
from precisionflow.evaluation.calibration.sparsification import sparsification
from precisionflow.evaluation.calibration.worlds import Index
from precisionflow.evaluation.columns import Rows, refuse
from precisionflow.evaluation.distribution import Distribution
from precisionflow.evaluation.scores.crps import crps
from precisionflow.evaluation.scores.gaussian import squared_error
from precisionflow.evaluation.scores.interval import interval_score
from precisionflow.records.files import checked
from precisionflow.records.metrics import metric_named
from precisionflow.records.schemas import CLASS_PREDICTIONS, METRICS


def regression_metrics(predicted: Distribution, target: Rows, *, levels: Sequence[float]) -> dict[str, float]:
    """nll, crps, rmse, pit_error, rmsce_intervals, rmsce_quantiles, ence, ause, sharpness; coverage, width and interval
    score of each level.

    nll in nats; crps, rmse, sharpness, widths and interval scores in the target's units. ValueError for values that are
    no numbers.
    """
    mean, std, pit = predicted.mean, predicted.std, predicted.cdf(target)
    values = {
        "nll": -float(np.mean(predicted.log_density(target))),
        "crps": float(np.mean(crps(predicted, target))),
        "rmse": math.sqrt(np.mean(squared_error(target, mean))),
        "pit_error": pit_error(pit),
        "rmsce_intervals": interval_calibration_error(pit),
        "rmsce_quantiles": quantile_calibration_error(pit),
        "ence": expected_normalised_calibration_error(target, mean, std),
        "ause": sparsification(target, mean, std).area,
        "sharpness": float(np.mean(std)),
    }
    for level in levels:
        values |= interval_metrics(target, *predicted.interval(level), level=level)
    return values


def regression_chance(
    predicted: Distribution, row: Index, *, levels: Sequence[float], recalibrations: Sequence[str]
) -> dict[str, Draws]:
    """pit_error, rmsce_intervals, rmsce_quantiles, ence and coverages in worlds where the predictions are true.

    The coverage after a recalibration has the law of that before: the level is what both promise.
    """
    coverages = {
        f"coverage_{per_cent(level)}": draws for level, draws in coverage_chance(row, levels=levels).items()
    }
    after = {f"{name}_after_{m}": draws for m in recalibrations for name, draws in coverages.items()}
    return pit_chance(row) | {"ence": ence_chance(predicted, row)} | coverages | after


def interval_metrics(target: Rows, lower: Rows, upper: Rows, *, level: float) -> dict[str, float]:
    """coverage_<per cent>, width_<per cent> and interval_score_<per cent> of intervals that promise `level`."""
    return {
        f"coverage_{per_cent(level)}": coverage(target, lower, upper),
        f"width_{per_cent(level)}": width(lower, upper),
        f"interval_score_{per_cent(level)}": float(
            np.mean(interval_score(target, lower, upper, level=level))
        ),
    }


def class_metrics(table: pa.Table, *, bins: int) -> dict[str, float]:
    """nll (nats per target), brier, accuracy, aurc and the calibration errors of the most probable class in `bins`
    bins: ece and mce (equal width), ece_equal_mass.

    `table` is a `records.schemas.CLASS_PREDICTIONS`. ValueError for a table without rows or with values that are no
    predictions.
    """
    if table.num_rows == 0:
        raise ValueError("predictions: no rows; give at least one")
    table = checked(table, CLASS_PREDICTIONS, "predictions")
    log_probability, confidence, correct, brier = (
        table[name].to_numpy() for name in ("log_probability", "confidence", "correct", "brier")
    )
    refuse(log_probability > 0, "log_probability", log_probability, wanted="should not be positive")
    return {
        "nll": -float(np.mean(log_probability)),
        "ece": expected_calibration_error(confidence, correct, bins=bins),
        "ece_equal_mass": classes.equal_mass_calibration_error(
            confidence, correct, bins=min(bins, len(correct))
        ),
        "mce": classes.maximum_calibration_error(confidence, correct, bins=bins),
        "brier": float(np.mean(brier)),
        "accuracy": float(np.mean(correct)),
        "aurc": classes.area_under_risk_coverage(confidence, correct),
    }


def class_wise_metrics(binned: classes.ClassBins) -> dict[str, float]:
    """class_wise_ece and the parts of the Brier score, of the probabilities of all classes."""
    parts = classes.brier_decomposition(binned)
    return {
        "class_wise_ece": classes.class_wise_calibration_error(binned),
        "brier_reliability": parts.reliability,
        "brier_resolution": parts.resolution,
        "brier_uncertainty": parts.uncertainty,
    }


def metrics_table(
    values: Mapping[str, float],
    chance: Mapping[str, Draws],
    *,
    experiment: Experiment,
    seed: int,
    split: int,
    n: int,
    n_train: int,
    test: str,
) -> pa.Table:
    """A `records.schemas.METRICS` with one row for each value of one cell.

    n rows or tokens stand behind each; n_train are those of training and validation, `test` is the
    sha256 of the prepared test rows.

    ValueError for a name that the catalogue does not have and for a value that is not finite.
    """
    for name in values:
        metric_named(name)
    rows = [
        {
            "experiment": experiment.name,
            "variant": experiment.variant,
            "dataset": experiment.dataset,
            "seed": seed,
            "split": split,
            "metric": name,
            "value": value,
            "chance": chance.get(name, ()),
            "n": n,
            "n_train": n_train,
            "test": test,
        }
        for name, value in values.items()
    ]
    return checked(pa.Table.from_pylist(rows, schema=METRICS), METRICS, "metrics")


def per_cent(level: float) -> str:
    """The level as it stands in a metric's name: 0.5 -> "50", 0.975 -> "97.5"."""
    return format((Decimal(str(float(level))) * 100).normalize(), "f")
