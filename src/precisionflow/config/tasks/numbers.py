"""The task of a number: regression on rows."""

from typing import ClassVar, Literal, get_args

from precisionflow.config.base import Config, Fraction
from precisionflow.config.engine import BatchedEngine, DeepSpeedEngine, TorchEngine
from precisionflow.config.evaluation import Evaluation, TableRecalibration
from precisionflow.config.external import Estimator, PredictionFile
from precisionflow.config.filters import Filter
from precisionflow.config.likelihoods import RegressionObjective
from precisionflow.config.networks import MLP, TAGI, Fusion, Transformer
from precisionflow.config.source import Splits
from precisionflow.config.sources import ScikitLearnTable, TableSource


class Regression(Config):
    """Predict a number with its uncertainty from a row of numbers."""

    networks: ClassVar = (MLP, Fusion, Filter, TAGI, Transformer, *get_args(Estimator), PredictionFile)
    """Networks that can learn it."""
    likelihoods: ClassVar = get_args(RegressionObjective)
    """Objectives that it can be learned by."""
    engines: ClassVar = (TorchEngine, BatchedEngine, DeepSpeedEngine)
    """Engines that can train it."""
    recalibrations: ClassVar = get_args(TableRecalibration)
    """Methods that its predictions can be recalibrated by."""
    several_splits: ClassVar[Splits] = "cut"
    """Whether its data can be cut anew."""
    causal: ClassVar = False
    """Whether a place of a sequence has to be kept from seeing later ones."""
    predicts_tokens: ClassVar = False
    """Whether its classes are the tokens that it reads."""
    headline: ClassVar = ("nll", "crps", "rmse")
    """Metrics that are contrasted when the experiment names none."""
    metrics: ClassVar = (
        "nll",
        "crps",
        "rmse",
        "pit_error",
        "rmsce_intervals",
        "rmsce_quantiles",
        "ence",
        "ause",
        "sharpness",
        "validation_loss",
    )
    """What evaluation measures, beside coverage, width and score of every interval."""
    without_zero: ClassVar = ("nll", "validation_loss", "coverage_", "excess_")
    """Starts of metrics without a natural zero: a density's logarithm depends on the target's unit, and a distance from
    a nominal level may be 0."""
    kind: Literal["regression"] = "regression"
    source: TableSource = ScikitLearnTable()
    validation_fraction: Fraction = 0.1
    """Share of the training rows that early stopping may look at; the test rows are never in it."""

    def measured(self, evaluation: Evaluation) -> tuple[str, ...]:
        """Names of all metrics; every method gives intervals anew, variance_scaling a density too.

        Of a source that is known exactly also how far the predictions are above the optimum; of one whose rows have
        causes, what a transformer attends to.
        """
        after = [f"{m}_after_{method}" for method in evaluation.recalibration for m in evaluation.intervals]
        if "variance_scaling" in evaluation.recalibration:
            after += ["nll_after_variance_scaling", "crps_after_variance_scaling"]
        beside = ("excess_nll", "excess_mse") if self.source.known else ()
        of_attention = ("attention_on_near_cause", "attention_on_far_cause")[: self.source.causes]
        if self.source.causes:
            of_attention += ("keys_visited",)
        return (*self.metrics, *beside, *of_attention, *evaluation.intervals, *after)

    @property
    def context(self) -> int:
        """Tokens of a row."""
        return self.source.row_tokens
