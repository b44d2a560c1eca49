"""Regression: distributions of a number for rows of features, and their scores."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int

from precisionflow.config import Experiment
from precisionflow.config.evaluation import TableRecalibration
from precisionflow.config.tasks import Regression
from precisionflow.data.batches import Rows
from precisionflow.data.sources.exact import Mixture, cause_of, exact_mixture
from precisionflow.evaluation.attention import attention_metrics
from precisionflow.evaluation.distribution import Distribution
from precisionflow.evaluation.fit import fitted_curve
from precisionflow.evaluation.metrics import regression_chance, regression_metrics
from precisionflow.evaluation.network import PosteriorNetwork, standardised_features
from precisionflow.evaluation.predictions import predictions_table
from precisionflow.evaluation.recalibration.recalibrated import (
    Calibration,
    fitted_recalibrations,
    recalibrated_metrics,
)
from precisionflow.evaluation.scored import Scored
from precisionflow.evaluation.scores.gaussian import squared_error
from precisionflow.evaluation.where import bins_table, feature_bins, table_parts
from precisionflow.models.posteriors.predictive import Features
from precisionflow.records.cards import DatasetCard
from precisionflow.records.recalibration import TableFit
from precisionflow.records.schemas import PREDICTIONS
from precisionflow.results.layout import Part, PreparedSplit


@dataclass(frozen=True)
class TablePredictor(PosteriorNetwork):
    """Rows of features in, distributions of the target out, both in their own units."""

    predicts: ClassVar = "numbers of a table"
    """Name of what it predicts, in messages."""

    def distribution(self, features: Float[np.ndarray, "rows features"]) -> Distribution:
        """The prediction for features in their own units, in the target's own units.

        ValueError for another number of features and for a value that is not finite.
        """
        return self.standardised(standardised_features(self.data_card, features))

    def standardised(self, features: Features) -> Distribution:
        """The prediction for standardised features."""
        scales = self.data_card.table
        with torch.no_grad():
            mixture = self.model.predict(features.to(self.device))
        location, scale, weight = (
            part.double().cpu().numpy()
            for part in (
                mixture.location,
                torch.exp(-0.5 * mixture.log_precision.double()),
                mixture.log_weight.double().exp(),
            )
        )
        location_std, degrees = (
            None if part is None else part.double().cpu().numpy()
            for part in (mixture.location_std, mixture.degrees_of_freedom)
        )
        return Distribution(
            mixture.family,
            scales.restore_target(location),
            scales.restore_spread(scale),
            weight / weight.sum(axis=1, keepdims=True),
            degrees,
            None if location_std is None else scales.restore_spread(location_std),
        )

    def score(self, experiment: Experiment, data: Path) -> Scored:
        """The test rows' distributions and all their metrics, before and after recalibration."""
        parts = table_parts(data)
        test = Rows.of(parts["test"], PreparedSplit(data).part("test"))
        scored = score_rows(
            self.standardised(torch.from_numpy(test.features)),
            experiment=experiment,
            parts=parts,
            card=self.data_card,
            calibration=lambda: calibration_predictions(self, data),
        )
        task = experiment.task
        assert isinstance(task, Regression)
        cause = cause_of(task.source, test.rows)
        found = {} if cause is None else self.attention(test.features, cause)
        fit = fitted_curve(data, scales=self.data_card.table, predict=self.distribution)
        return scored._replace(metrics=scored.metrics | found, fit=fit)

    def attention(
        self, features: Float[np.ndarray, "rows features"], cause: Int[np.ndarray, "rows causes"]
    ) -> dict[str, float]:
        """What the last token of standardised rows attends to; nothing of a network without attention."""

        def forward(rows: Features) -> None:
            self.model.predict(rows.to(self.device))

        return attention_metrics(self.model, forward, torch.from_numpy(features), cause)


def score_rows(
    predicted: Distribution,
    *,
    experiment: Experiment,
    parts: Mapping[Part, pa.Table],
    card: DatasetCard,
    calibration: Callable[[], Calibration],
) -> Scored:
    """Scores of the test rows' distributions, in the target's units; `parts` are those of `where.table_parts`.

    `calibration` is asked where a method needs it.
    """
    levels, task, scales = experiment.evaluation.levels, experiment.task, card.table
    assert isinstance(task, Regression)
    row = parts["test"]["row"].to_numpy()
    target = scales.restore_target(parts["test"]["target"].to_numpy())
    metrics = regression_metrics(predicted, target, levels=levels)
    metrics |= above_the_optimum(predicted, target, exact_mixture(task.source, row))
    methods = cast("Sequence[TableRecalibration]", experiment.evaluation.recalibration)
    fits: tuple[TableFit, ...] = ()
    if methods:
        fits = fitted_recalibrations(calibration(), methods=methods, levels=levels)
        metrics |= recalibrated_metrics(fits, predicted, target, levels=levels)
    return Scored(
        predictions_table(predicted, row=row, target=target),
        PREDICTIONS,
        metrics,
        regression_chance(predicted, row, levels=levels, recalibrations=[fit.method for fit in fits]),
        recalibrations=fits,
        bins=bins_table(predicted, target, row=row, keys=feature_bins(parts, card)),
    )


def above_the_optimum(
    predicted: Distribution, target: Float[np.ndarray, "rows"], exact: Mixture | None
) -> dict[str, float]:
    """excess_nll and excess_mse: of the predictions less those of the exact ones; nothing where these are not known."""
    if exact is None:
        return {}
    optimum = Distribution("gaussian", exact.mean, exact.std, exact.weight)
    error, least = (np.mean(squared_error(target, stated.mean)) for stated in (predicted, optimum))
    lost = np.mean(optimum.log_density(target) - predicted.log_density(target))
    return {"excess_nll": float(lost), "excess_mse": float(error - least)}


def calibration_predictions(predictor: TablePredictor, data: Path) -> Calibration:
    """Predictions and targets of the validation rows, which no network trained on, in the target's units.

    They are predicted as test rows are. Early stopping has looked at them, but that of an ensemble with folds: its
    predictions of them are a little too good.
    """
    valid = Rows.read(PreparedSplit(data).part("valid"))
    target = predictor.data_card.table.restore_target(valid.target)
    return predictor.standardised(torch.from_numpy(valid.features)), target
