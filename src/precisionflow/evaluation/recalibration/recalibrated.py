"""Test predictions after recalibration on rows that neither trained the network nor are scored."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from precisionflow.config.evaluation import TableRecalibration
from precisionflow.config.networks import ensemble_of
from precisionflow.data.batches import Rows as Part
from precisionflow.data.folds import out_of_fold
from precisionflow.evaluation.columns import Rows
from precisionflow.evaluation.distribution import Distribution
from precisionflow.evaluation.metrics import interval_metrics
from precisionflow.evaluation.predictor import Predictor
from precisionflow.evaluation.recalibration import conformal
from precisionflow.evaluation.recalibration.quantile_map import quantile_map
from precisionflow.evaluation.recalibration.variance_scaling import scaled, variance_scale
from precisionflow.evaluation.scores.crps import crps
from precisionflow.results.layout import PreparedSplit

Held = tuple[Distribution, Float[np.ndarray, "held"]]
"""Predictions of held-out rows and their targets."""
Intervals = Callable[[float], tuple[Rows, Rows]]
"""level -> ends of each row's interval."""


def held_out(predictor: Predictor, data: Path) -> Held:
    """Predictions and targets of rows that the predicting networks did not train on, in the target's units.

    The validation rows; of an ensemble with folds all training and validation rows, each predicted by the members that
    left it out. Early stopping has looked at these rows, so they are predicted a little too well, and by fewer members
    than a test row.
    """
    card = predictor.experiment_card
    valid = Part.read(PreparedSplit(data).part("valid"))
    ensemble = ensemble_of(card.experiment.model)
    if ensemble is None or ensemble.folds is None:
        return predictor.standardised(torch.from_numpy(valid.features)), _in_units(predictor, valid.target)
    train = Part.read(PreparedSplit(data).part("train"))
    features = np.concatenate([train.features, valid.features])
    target = _in_units(predictor, np.concatenate([train.target, valid.target]))
    apart = out_of_fold(ensemble, rows=len(target), seed=card.seed, split=card.split)
    return predictor.standardised(torch.from_numpy(features), among=torch.from_numpy(apart)), target


def _in_units(predictor: Predictor, target: np.ndarray) -> Rows:
    scales = predictor.data_card.standardisation
    assert scales is not None
    return scales.restore_target(target)


def recalibrated_metrics(
    held: Held,
    predicted: Distribution,
    target: Rows,
    *,
    methods: Sequence[TableRecalibration],
    levels: Sequence[float],
) -> dict[str, float]:
    """`<metric>_after_<method>`: every method fitted on `held` alone and applied to the `predicted` test rows.

    Coverage, width and interval score of each level; nll and crps where the method gives a density. ValueError for
    fewer held-out rows than a conformal level needs.
    """
    values: dict[str, float] = {}
    for method in methods:
        after: dict[str, float] = {}
        if method == "variance_scaling":
            whole = scaled(predicted, variance_scale(*held))
            after["nll"] = -float(np.mean(whole.log_density(target)))
            after["crps"] = float(np.mean(crps(whole, target)))
        intervals = intervals_after(method, held, predicted)
        for level in levels:
            try:
                ends = intervals(level)
            except ValueError as error:
                raise ValueError(f"evaluation.recalibration {method}, evaluation.levels: {error}") from None
            after |= interval_metrics(target, *ends, level=level)
        values |= {f"{name}_after_{method}": value for name, value in after.items()}
    return values


def intervals_after(method: TableRecalibration, held: Held, predicted: Distribution) -> Intervals:
    """Intervals of the predicted rows after a method has been fitted on the held-out ones."""
    stated, target = held
    match method:
        case "variance_scaling":
            return scaled(predicted, variance_scale(stated, target)).interval
        case "quantile_map":
            fitted = quantile_map(stated.cdf(target))
            return lambda level: fitted.interval(predicted, level)
        case "conformal_split":
            misses = conformal.absolute_scores(target, stated.mean)
            return lambda level: conformal.absolute_interval(
                predicted.mean, quantile=conformal.conformal_quantile(misses, level=level)
            )
        case "conformal_normalised":
            ratios = conformal.normalised_scores(target, stated.mean, stated.std)
            return lambda level: conformal.normalised_interval(
                predicted.mean, predicted.std, quantile=conformal.conformal_quantile(ratios, level=level)
            )
        case "conformal_quantile":

            def widened(level: float) -> tuple[Rows, Rows]:
                outside = conformal.quantile_scores(target, *stated.interval(level))
                quantile = conformal.conformal_quantile(outside, level=level)
                return conformal.quantile_interval(*predicted.interval(level), quantile=quantile)

            return widened
