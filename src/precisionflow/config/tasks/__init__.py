"""Tasks: a number, a next token, a class or tags, what a synthetic source hides, a world; what fits with each."""

from typing import Annotated

from pydantic import Field

from precisionflow.config.tasks.classes import CLASS_METRICS, ClassTask
from precisionflow.config.tasks.images import IMAGE_METRICS, Allocation, Images, Objects
from precisionflow.config.tasks.numbers import Regression
from precisionflow.config.tasks.planning import PLANNING_METRICS, Planning
from precisionflow.config.tasks.retrieval import Retrieval
from precisionflow.config.tasks.rows import Classification
from precisionflow.config.tasks.stages import StageAllocation
from precisionflow.config.tasks.texts import Auxiliary, NextToken, SequenceClassification, Synthetic, Tagging
from precisionflow.config.tasks.videos import VideoAllocation

__all__ = [
    "CLASS_METRICS",
    "IMAGE_METRICS",
    "PLANNING_METRICS",
    "Allocation",
    "Auxiliary",
    "ClassTask",
    "Classification",
    "Images",
    "NextToken",
    "Objects",
    "Planning",
    "Regression",
    "Retrieval",
    "SequenceClassification",
    "StageAllocation",
    "Synthetic",
    "Tagging",
    "Task",
    "VideoAllocation",
]

Task = Annotated[
    Regression
    | NextToken
    | SequenceClassification
    | Classification
    | Images
    | Tagging
    | Synthetic
    | Planning
    | Objects
    | Allocation
    | VideoAllocation
    | StageAllocation
    | Retrieval,
    Field(discriminator="kind"),
]
