"""What tasks have in common whose rows or episodes are drawn, and whose models lower a free energy without labels."""

from typing import ClassVar

from precisionflow.config.base import Config
from precisionflow.config.engine import TorchEngine
from precisionflow.config.evaluation import Evaluation
from precisionflow.config.likelihoods import FreeEnergy
from precisionflow.config.source import Splits


class WithoutLabels(Config):
    """No probability is there to recalibrate; where there are several splits, each draws parts of its own."""

    likelihoods: ClassVar[tuple[type[Config], ...]] = (FreeEnergy,)
    engines: ClassVar = (TorchEngine,)
    recalibrations: ClassVar[tuple[str, ...]] = ()
    several_splits: ClassVar[Splits] = "drawn"
    causal: ClassVar = False
    predicts_tokens: ClassVar = False
    metrics: ClassVar[tuple[str, ...]] = ()
    without_zero: ClassVar[tuple[str, ...]] = ("validation_loss",)

    def measured(self, evaluation: Evaluation) -> tuple[str, ...]:  # noqa: ARG002 - nothing is recalibrated
        """Names of all metrics."""
        return self.metrics
