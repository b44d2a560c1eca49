"""The task of sharing tokens over the frames of a video."""

from typing import ClassVar, Literal

from precisionflow.config.allocation import FrameAllocator
from precisionflow.config.base import Config, Count, NonNegative, Positive
from precisionflow.config.drawn_tables import MovingWeights
from precisionflow.config.engine import TorchEngine
from precisionflow.config.evaluation import Evaluation
from precisionflow.config.likelihoods import FreeEnergy


class VideoAllocation(Config):
    """Share tokens among the patches of every frame, where a change of tokens costs."""

    networks: ClassVar = (FrameAllocator,)
    likelihoods: ClassVar = (FreeEnergy,)
    engines: ClassVar = (TorchEngine,)
    recalibrations: ClassVar[tuple[str, ...]] = ()
    has_splits: ClassVar = False
    causal: ClassVar = False
    predicts_tokens: ClassVar = False
    headline: ClassVar = ("net_utility",)
    metrics: ClassVar = ("net_utility", "utility", "change_cost", "validation_loss")
    without_zero: ClassVar = ("validation_loss",)
    kind: Literal["video_allocation"] = "video_allocation"
    source: MovingWeights = MovingWeights()
    ratio: Positive = 0.015625
    """rho of every patch: tokens are worth w/2 ln(1 + k rho) nats."""
    change_cost: NonNegative = 0.02
    """Nats for each token more or less than in the frame before."""
    train: Count = 200
    """Videos of the training part."""
    valid: Count = 50
    """Videos whose -log p is the validation loss."""
    test: Count = 100
    """Videos of the test part."""

    def measured(self, evaluation: Evaluation) -> tuple[str, ...]:  # noqa: ARG002 - nothing is recalibrated
        """Names of all metrics."""
        return self.metrics
