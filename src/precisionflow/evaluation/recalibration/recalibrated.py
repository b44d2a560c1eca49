"""Recalibrations of predicted distributions: fitted on held-out rows, applied to any rows."""

from collections.abc import Callable, Sequence
from typing import assert_never

import numpy as np
from jaxtyping import Float

from precisionflow.config.evaluation import TableRecalibration
from precisionflow.evaluation.columns import Rows
from precisionflow.evaluation.distribution import Distribution
from precisionflow.evaluation.metrics import interval_metrics
from precisionflow.evaluation.recalibration import conformal
from precisionflow.evaluation.recalibration.quantile_map import QuantileMap, check_rows, quantile_map
from precisionflow.evaluation.recalibration.variance_scaling import scaled, variance_scale
from precisionflow.evaluation.scores.crps import crps
from precisionflow.records.recalibration import ConformalFit, MapFit, SpreadFit, TableFit

Calibration = tuple[Distribution, Float[np.ndarray, "calibration"]]
"""Predictions of rows by networks that did not train on them, and their targets."""
Intervals = Callable[[float], tuple[Rows, Rows]]
"""level -> ends of each row's interval."""


def fitted(method: TableRecalibration, calibration: Calibration, *, levels: Sequence[float]) -> TableFit:
    """What a method learns from the calibration rows; a conformal one learns it for these `levels` alone.

    ValueError for fewer rows than a level needs.
    """
    predictive, target = calibration
    match method:
        case "variance_scaling":
            return SpreadFit(factor=variance_scale(predictive, target))
        case "quantile_map":
            check_rows(len(target), level=max(levels))
            found = quantile_map(predictive.normal_score(target))
            return MapFit(forecast=tuple(found.forecast.tolist()), observed=tuple(found.observed.tolist()))
        case "conformal_split" | "conformal_normalised" | "conformal_quantile":
            quantiles = [
                conformal.conformal_quantile(_misses(method, predictive, target, level=level), level=level)
                for level in levels
            ]
            return ConformalFit(method=method, levels=tuple(levels), quantiles=tuple(quantiles))
        case _:
            assert_never(method)


def _misses(method: str, predictive: Distribution, target: Rows, *, level: float) -> Rows:
    """Scores of a conformal method; those of `conformal_quantile` depend on the level."""
    match method:
        case "conformal_split":
            return conformal.absolute_scores(target, predictive.mean)
        case "conformal_normalised":
            return conformal.normalised_scores(target, predictive.mean, predictive.std)
        case _:
            return conformal.quantile_scores(target, *predictive.interval(level))


def spread_after(fit: TableFit, predicted: Distribution) -> Distribution:
    """The distribution after a recalibration; those that give intervals alone leave it as it is."""
    return scaled(predicted, fit.factor) if isinstance(fit, SpreadFit) else predicted


def intervals_after(fit: TableFit, predicted: Distribution) -> Intervals:
    """Intervals of the predicted rows after a recalibration; ValueError for a level that a conformal one lacks."""
    match fit:
        case SpreadFit():
            return spread_after(fit, predicted).interval
        case MapFit():
            found = QuantileMap(np.array(fit.forecast), np.array(fit.observed))
            return lambda level: found.interval(predicted, level)
        case ConformalFit():
            return lambda level: _conformal_ends(fit, predicted, level)
        case _:
            assert_never(fit)


def _conformal_ends(fit: ConformalFit, predicted: Distribution, level: float) -> tuple[Rows, Rows]:
    quantile = fit.quantile(level)
    match fit.method:
        case "conformal_split":
            return conformal.absolute_interval(predicted.mean, quantile=quantile)
        case "conformal_normalised":
            return conformal.normalised_interval(predicted.mean, predicted.std, quantile=quantile)
        case "conformal_quantile":
            return conformal.quantile_interval(*predicted.interval(level), quantile=quantile)


def fitted_recalibrations(
    calibration: Calibration, *, methods: Sequence[TableRecalibration], levels: Sequence[float]
) -> tuple[TableFit, ...]:
    """Every method fitted on `calibration`; ValueError that names the method whose rows are too few."""
    fits = []
    for method in methods:
        try:
            fits.append(fitted(method, calibration, levels=levels))
        except ValueError as error:
            raise ValueError(f"evaluation.recalibration {method}, evaluation.levels: {error}") from None
    return tuple(fits)


def recalibrated_metrics(
    fits: Sequence[TableFit], predicted: Distribution, target: Rows, *, levels: Sequence[float]
) -> dict[str, float]:
    """`<metric>_after_<method>` of every fit on the predicted rows.

    Coverage, width and interval score of each level; nll and crps where the method gives a density.
    """
    values: dict[str, float] = {}
    for fit in fits:
        after: dict[str, float] = {}
        if isinstance(fit, SpreadFit):
            whole = spread_after(fit, predicted)
            after["nll"] = -float(np.mean(whole.log_density(target)))
            after["crps"] = float(np.mean(crps(whole, target)))
        intervals = intervals_after(fit, predicted)
        for level in levels:
            after |= interval_metrics(target, *intervals(level), level=level)
        values |= {f"{name}_after_{fit.method}": value for name, value in after.items()}
    return values
