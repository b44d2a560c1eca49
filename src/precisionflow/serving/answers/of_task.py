"""Answers of a served model, for each task."""

from typing import assert_never

from precisionflow.config import Experiment
from precisionflow.config.tasks import (
    Allocation,
    Classification,
    Images,
    NextToken,
    Objects,
    Planning,
    Regression,
    Retrieval,
    SequenceClassification,
    StageAllocation,
    Synthetic,
    Tagging,
    Task,
    VideoAllocation,
)
from precisionflow.records.cards import DatasetCard
from precisionflow.serving.answers.contract import Contract
from precisionflow.serving.answers.histories import ActionsOfHistories
from precisionflow.serving.answers.numbers import GroupsOfPixels, SharedTokens, StatesAtRest
from precisionflow.serving.answers.rows import ClassesOfRows, Energies, Intervals
from precisionflow.serving.answers.tags import TagsOfWords
from precisionflow.serving.answers.texts import ClassesOfSequences, ClassesOfTexts, NextTokens
from precisionflow.serving.answers.unread import is_read

Answers = (
    Intervals
    | ClassesOfRows
    | Energies
    | GroupsOfPixels
    | SharedTokens
    | StatesAtRest
    | NextTokens
    | ClassesOfTexts
    | ClassesOfSequences
    | TagsOfWords
    | ActionsOfHistories
)


def contract_of(experiment: Experiment, card: DatasetCard) -> Contract:
    """What a model takes and gives; columns that its answers do not depend on are not asked for."""
    found = answers_of(experiment.task).contract(card)
    inputs = {name: kind for name, kind in found.inputs.items() if is_read(name, experiment)}
    return found._replace(inputs=inputs)


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
        case Retrieval():
            return StatesAtRest()
        case Tagging():
            return TagsOfWords(task)
        case Planning():
            return ActionsOfHistories(task)
        case _:
            assert_never(task)
