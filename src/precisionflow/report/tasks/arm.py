"""The report's arm for the task: the only place of this package that asks which task an experiment has."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import assert_never

from precisionflow.ablation.design import Variant
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
    VideoAllocation,
)
from precisionflow.report.tasks.base import TaskReport
from precisionflow.report.tasks.classes import Classes, ClassWords
from precisionflow.report.tasks.episodes import Episodes
from precisionflow.report.tasks.images import Unlabelled
from precisionflow.report.tasks.numbers import Numbers
from precisionflow.report.tasks.unstated import Unstated

CHARACTERS = ClassWords(
    rows="characters",
    answer="character",
    dependence="; neighbours depend on each other, so the true band is wider",
)

SEQUENCES = ClassWords(
    rows="targets",
    answer="class",
    dependence="; targets of one sequence depend on each other, so the true band is wider",
)

ROWS = ClassWords(rows="rows", answer="class", dependence="")

IMAGES = ClassWords(rows="images", answer="class", dependence="")

TEXTS = ClassWords(rows="texts", answer="class", dependence="")

WORDS = ClassWords(
    rows="words",
    answer="tag",
    dependence="; words of a sentence depend on each other, so the true band is wider",
)


def of_task(
    experiment: Experiment, *, variants: Sequence[Variant], folders: Mapping[str, Sequence[Path]]
) -> TaskReport:
    """The task's part of the report on the data set that `variants` share.

    `folders` maps the names of the variants to their evaluated cells.
    """
    given = (experiment, tuple(variants), folders)
    match experiment.task:
        case Regression():
            return Numbers(*given)
        case Classification():
            return Classes(*given, ROWS)
        case Images():
            return Classes(*given, IMAGES) if experiment.task.source.labelled else Unlabelled(*given)
        case NextToken():
            return Classes(*given, CHARACTERS)
        case SequenceClassification():
            return Classes(*given, TEXTS)
        case Synthetic():
            return Classes(*given, SEQUENCES)
        case Objects():
            return Unstated(*given, "Groups of pixels are found")
        case Allocation():
            return Classes(*given, IMAGES)
        case VideoAllocation() | StageAllocation():
            return Unstated(*given, "Tokens are shared")
        case Retrieval():
            return Unstated(*given, "Patterns are retrieved")
        case Tagging():
            return Classes(*given, WORDS)
        case Planning():
            return Episodes(*given)
        case _ as unknown:
            assert_never(unknown)
