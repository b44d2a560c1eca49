"""The task of a class of rows."""

from typing import ClassVar, Literal, get_args

from precisionflow.config.base import Fraction
from precisionflow.config.engine import BatchedEngine, DeepSpeedEngine, TorchEngine
from precisionflow.config.evaluation import ClassRecalibration, Evaluation, SetRecalibration
from precisionflow.config.external import Classifier, PredictionFile
from precisionflow.config.networks import MLP
from precisionflow.config.source import Splits
from precisionflow.config.sources import ClassSource, ScikitLearnClasses
from precisionflow.config.tasks.classes import CLASS_METRICS, PARTS_OF_ENTROPY, ClassTask, told_apart


class Classification(ClassTask):
    """Predict the class of a row of numbers."""

    networks: ClassVar = (MLP, *get_args(Classifier), PredictionFile)
    engines: ClassVar = (TorchEngine, BatchedEngine, DeepSpeedEngine)
    recalibrations: ClassVar = (*get_args(ClassRecalibration), *get_args(SetRecalibration))
    several_splits: ClassVar[Splits] = "cut"
    causal: ClassVar = False
    headline: ClassVar = ("nll", "ece", "accuracy")
    beside: ClassVar = PARTS_OF_ENTROPY
    metrics: ClassVar = (*CLASS_METRICS, *beside)
    kind: Literal["classification"] = "classification"
    source: ClassSource = ScikitLearnClasses()
    """`target` of a file names the column with the class."""
    validation_fraction: Fraction = 0.1
    """Share of the training rows that early stopping may look at; the test rows are never in it."""
    unknown: tuple[str, ...] = ()
    """Classes whose rows are left out of all parts; they are predicted beside the test rows, to be told from them."""

    def measured(self, evaluation: Evaluation) -> tuple[str, ...]:
        """Names of all metrics; with unknown classes those of how well they are told."""
        told = told_apart("confidence", "entropy", "energy", "mutual_information") if self.unknown else ()
        return (*super().measured(evaluation), *told)
