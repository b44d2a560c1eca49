"""Columns of a model's training data that its answers do not depend on."""

from precisionflow.config import Experiment
from precisionflow.config.allocation import FrameAllocator, Oracle, PatchReader, StageAllocator
from precisionflow.config.memories import AssociativeMemory

STANDS = 1.0
"""Value that stands for a cell of such a column: a patch that there is, a precision above 0, any ln w."""


def is_read(column: str, experiment: Experiment) -> bool:
    """False for the truth, which a policy reads that is told it, and no other."""
    match experiment.model:
        case (
            StageAllocator(share="told") | FrameAllocator(foresight="told") | PatchReader(allocation=Oracle())
        ):
            return True
        case StageAllocator():
            return not column.startswith("precision_")
        case FrameAllocator():
            return not column.startswith("true_")
        case PatchReader():
            return column != "patch"
        case AssociativeMemory():
            return not column.startswith("pattern_")
        case _:
            return True
