"""Answers of a served model, for each task."""

from typing import assert_never

from precisionflow.config.tasks import (
    Allocation,
    Classification,
    Images,
    NextToken,
    Objects,
    Planning,
    Regression,
    SequenceClassification,
    StageAllocation,
    Synthetic,
    Tagging,
    Task,
    VideoAllocation,
)
from precisionflow.serving.answers.histories import ActionsOfHistories
from precisionflow.serving.answers.numbers import GroupsOfPixels, SharedTokens
from precisionflow.serving.answers.rows import ClassesOfRows, Energies, Intervals
from precisionflow.serving.answers.tags import TagsOfWords
from precisionflow.serving.answers.texts import ClassesOfSequences, ClassesOfTexts, NextTokens

Answers = (
    Intervals
    | ClassesOfRows
    | Energies
    | GroupsOfPixels
    | SharedTokens
    | NextTokens
    | ClassesOfTexts
    | ClassesOfSequences
    | TagsOfWords
    | ActionsOfHistories
)


def answers_of(task: Task) -> Answers:
    """Signature and answers of a model of the task."""
    match task:
        case Regression():
            return Intervals()
        case Classification():
            return ClassesOfRows()
        case Images():
            return ClassesOfRows() if task.source.labelled else Energies()
        case NextToken():
            return NextTokens()
        case SequenceClassification():
            return ClassesOfTexts(task)
        case Synthetic():
            return ClassesOfSequences()
        case Objects():
            return GroupsOfPixels()
        case Allocation():
            return ClassesOfRows()
        case VideoAllocation() | StageAllocation():
            return SharedTokens()
        case Tagging():
            return TagsOfWords(task)
        case Planning():
            return ActionsOfHistories(task)
        case _:
            assert_never(task)
