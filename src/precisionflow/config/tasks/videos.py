"""The task of sharing tokens over the frames of a video."""

from typing import ClassVar, Literal

from precisionflow.config.allocation import FrameAllocator
from precisionflow.config.base import Count, NonNegative, Positive
from precisionflow.config.drawn_tables import MovingWeights
from precisionflow.config.tasks.without_labels import WithoutLabels


class VideoAllocation(WithoutLabels):
    """Share tokens among the patches of every frame, where a change of tokens costs."""

    networks: ClassVar = (FrameAllocator,)
    headline: ClassVar = ("net_utility",)
    metrics: ClassVar = ("net_utility", "utility", "change_cost", "validation_loss")
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
