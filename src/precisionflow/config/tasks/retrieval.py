"""The task of retrieving stored patterns."""

from typing import ClassVar, Literal

from precisionflow.config.base import Count
from precisionflow.config.drawn_tables import StoredPatterns
from precisionflow.config.memories import AssociativeMemory
from precisionflow.config.tasks.without_labels import WithoutLabels


class Retrieval(WithoutLabels):
    """Find the stored pattern that a noisy query is of."""

    networks: ClassVar = (AssociativeMemory,)
    headline: ClassVar = ("log2_capacity", "retrieved")
    metrics: ClassVar = (
        "log2_capacity",
        "retrieved",
        "state_error",
        "patterns_at_rest",
        "steps_to_rest",
        "error_over_bound",
        "retrieval_proven",
        "validation_loss",
    )
    without_zero: ClassVar = ("log2_capacity", "validation_loss")
    kind: Literal["retrieval"] = "retrieval"
    source: StoredPatterns = StoredPatterns()
    valid: Count = 64
    """Queries whose -log p, over the width, is the validation loss."""
    test: Count = 128
    """Queries of the test part; query i is of pattern i modulo `source.patterns`."""

    @property
    def train(self) -> int:
        """Rows of the training part: every stored pattern, with a query of it."""
        return self.source.patterns
