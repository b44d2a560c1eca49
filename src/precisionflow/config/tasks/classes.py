"""Tasks whose targets are classes: what they share."""

from typing import ClassVar, get_args

from precisionflow.config.base import Config
from precisionflow.config.engine import DeepSpeedEngine, TorchEngine
from precisionflow.config.evaluation import ClassRecalibration, Evaluation, SetRecalibration
from precisionflow.config.likelihoods import CrossEntropy
from precisionflow.config.networks import Transformer

CLASS_METRICS = (
    "nll",
    "ece",
    "ece_equal_mass",
    "mce",
    "class_wise_ece",
    "brier",
    "brier_reliability",
    "brier_resolution",
    "brier_uncertainty",
    "accuracy",
    "aurc",
    "validation_loss",
)
"""Metrics of class probabilities that evaluation measures."""
PARTS_OF_ENTROPY = ("predictive_entropy", "mutual_information")
"""What the networks of a posterior state of their classes."""


class ClassTask(Config):
    """Tasks whose targets are classes: networks of tokens, cross-entropy, temperature."""

    networks: ClassVar[tuple[type[Config], ...]] = (Transformer,)
    likelihoods: ClassVar[tuple[type[Config], ...]] = (CrossEntropy,)
    engines: ClassVar[tuple[type[Config], ...]] = (TorchEngine, DeepSpeedEngine)
    recalibrations: ClassVar[tuple[str, ...]] = get_args(ClassRecalibration)
    predicts_tokens: ClassVar = False
    metrics: ClassVar[tuple[str, ...]] = CLASS_METRICS
    """What evaluation measures."""
    beside: ClassVar[tuple[str, ...]] = ()
    """Those of them that are no scores of one network's probabilities: no recalibration gives them anew."""
    without_zero: ClassVar[tuple[str, ...]] = ()

    def measured(self, evaluation: Evaluation) -> tuple[str, ...]:
        """Names of all metrics, and of those that a recalibration gives."""
        after = [
            f"{m}_after_{method}"
            for method in evaluation.recalibration
            for m in self.after(method, evaluation)
        ]
        return (*self.metrics, *after)

    def after(self, method: str, evaluation: Evaluation) -> tuple[str, ...]:
        """Metrics that a recalibration gives: of a prediction set, or all scores of probabilities anew."""
        if method in get_args(SetRecalibration):
            return evaluation.sets
        return tuple(metric for metric in self.metrics if metric not in ("validation_loss", *self.beside))


def told_apart(*measures: str) -> tuple[str, ...]:
    """Metrics of how well unknown classes are told by each measure."""
    return tuple(f"ood_{score}_{measure}" for measure in measures for score in ("auroc", "fpr95"))
