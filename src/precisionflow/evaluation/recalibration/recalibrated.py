"""Test predictions after recalibration on rows that neither trained the network nor are scored."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from precisionflow.config.evaluation import TableRecalibration
from precisionflow.evaluation.columns import Rows
from precisionflow.evaluation.distribution import Distribution
from precisionflow.evaluation.metrics import interval_metrics
from precisionflow.evaluation.recalibration import conformal
from precisionflow.evaluation.recalibration.quantile_map import quantile_map
from precisionflow.evaluation.recalibration.variance_scaling import scaled, variance_scale
from precisionflow.evaluation.scores.crps import crps

Calibration = tuple[Distribution, Float[np.ndarray, "calibration"]]
"""Predictions of rows by networks that did not train on them, and their targets."""
Intervals = Callable[[float], tuple[Rows, Rows]]
"""level -> ends of each row's interval."""


def recalibrated_metrics(
    calibration: Calibration,
    predicted: Distribution,
    target: Rows,
    *,
    methods: Sequence[TableRecalibration],
    levels: Sequence[float],
) -> dict[str, float]:
    """`<metric>_after_<method>`: every method fitted on `calibration` alone, applied to the test rows.

    Coverage, width and interval score of each level; nll and crps where the method gives a density. ValueError for
    fewer calibration rows than a conformal level needs.
    """
    values: dict[str, float] = {}
    for method in methods:
        after: dict[str, float] = {}
        if method == "variance_scaling":
            whole = scaled(predicted, variance_scale(*calibration))
            after["nll"] = -float(np.mean(whole.log_density(target)))
            after["crps"] = float(np.mean(crps(whole, target)))
        intervals = intervals_after(method, calibration, predicted)
        for level in levels:
            try:
                ends = intervals(level)
            except ValueError as error:
                raise ValueError(f"evaluation.recalibration {method}, evaluation.levels: {error}") from None
            after |= interval_metrics(target, *ends, level=level)
        values |= {f"{name}_after_{method}": value for name, value in after.items()}
    return values


def intervals_after(
    method: TableRecalibration, calibration: Calibration, predicted: Distribution
) -> Intervals:
    """Intervals of the predicted rows after a method has been fitted on the calibration rows."""
    predictive, target = calibration
    match method:
        case "variance_scaling":
            return scaled(predicted, variance_scale(predictive, target)).interval
        case "quantile_map":
            fitted = quantile_map(predictive.cdf(target))
            return lambda level: fitted.interval(predicted, level)
        case "conformal_split":
            misses = conformal.absolute_scores(target, predictive.mean)
            return lambda level: conformal.absolute_interval(
                predicted.mean, quantile=conformal.conformal_quantile(misses, level=level)
            )
        case "conformal_normalised":
            ratios = conformal.normalised_scores(target, predictive.mean, predictive.std)
            return lambda level: conformal.normalised_interval(
                predicted.mean, predicted.std, quantile=conformal.conformal_quantile(ratios, level=level)
            )
        case "conformal_quantile":

            def widened(level: float) -> tuple[Rows, Rows]:
                outside = conformal.quantile_scores(target, *predictive.interval(level))
                quantile = conformal.conformal_quantile(outside, level=level)
                return conformal.quantile_interval(*predicted.interval(level), quantile=quantile)

            return widened
