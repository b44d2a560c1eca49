"""The task of sharing tokens over the stages of an encoder and a decoder."""

from typing import ClassVar, Literal

from precisionflow.config.allocation import StageAllocator
from precisionflow.config.base import Count, Positive
from precisionflow.config.drawn_tables import StageChains
from precisionflow.config.tasks.without_labels import WithoutLabels


class StageAllocation(WithoutLabels):
    """Share tokens among the stages of every row by the precisions that the stages infer, each by itself."""

    networks: ClassVar = (StageAllocator,)
    headline: ClassVar = ("utility",)
    metrics: ClassVar = ("utility", "precision_error", "elbo", "validation_loss")
    without_zero: ClassVar = ("elbo", "validation_loss")
    kind: Literal["stage_allocation"] = "stage_allocation"
    source: StageChains = StageChains()
    token: Positive = 0.2
    """Precision of a token's reading of a state: k tokens of stage i tell ln(1 + k token / tau_i) / 2 nats."""
    train: Count = 512
    """Rows of the training part."""
    valid: Count = 128
    """Rows whose free energy is the validation loss."""
    test: Count = 512
    """Rows of the test part."""
