"""The stage `prepare`: raw data to Parquet, once for every task and split."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
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
from precisionflow.data.parts import Opened, Prepared
from precisionflow.data.tasks.allocation import open_allocation
from precisionflow.data.tasks.classification import open_classification
from precisionflow.data.tasks.images import open_images
from precisionflow.data.tasks.next_token import open_next_token
from precisionflow.data.tasks.objects import open_objects
from precisionflow.data.tasks.planning import open_planning
from precisionflow.data.tasks.regression import open_regression
from precisionflow.data.tasks.retrieval import open_retrieval
from precisionflow.data.tasks.sequence_classification import open_sequence_classification
from precisionflow.data.tasks.stages import open_stages
from precisionflow.data.tasks.synthetic import open_synthetic_task
from precisionflow.data.tasks.tagging import open_tagging
from precisionflow.data.tasks.videos import open_videos
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card, write_card
from precisionflow.records.raw import Stamps
from precisionflow.results.cells import preparation_inputs
from precisionflow.results.layout import PreparedSplit, data_folder
from precisionflow.results.stage import once

_NUMBER = re.compile(r"(?<![\w'\"./-])-?[0-9]+([.,][0-9]+)*(e[-+]?[0-9]+)?(?![\w'\"/])")
"""A number that is no part of a name or a path."""


def _silent(_line: str) -> None:
    """Report to nobody."""


def prepare(experiments: Sequence[Experiment], *, out: Path, report: Callable[[str], None] = _silent) -> None:
    """Fill `results.layout.data_folder(out, experiment, split)` for every task and split of `experiments`.

    The experiments are resolved ones: axes already expanded. Each folder holds `train.parquet`,
    `valid.parquet`, `test.parquet` and `dataset.json`; experiments with the same task share it. A finished
    folder is left alone unless the bytes of its source have changed. `report` gets one line for each folder, and one
    for everything that was done to a source; what differs from split to split in numbers alone is told of the first.
    Raises ValueError for a bad source and for one that changed while it was read, of which no folder is left.
    """
    told, alike = set[str](), Counter[Path]()
    folders = {data_folder(out, e, split): (e, split) for e in experiments for split in e.splits}
    for folder, (experiment, split) in folders.items():
        ran, notes = _prepared(folder, experiment, split)
        new = [note for note in dict.fromkeys(notes) if note not in told]
        shown = [note for note in new if _without_numbers(note, folder) not in told]
        alike[folder.parent] += len(new) - len(shown)
        for note in shown:
            report(note)
        told.update(notes, (_without_numbers(note, folder) for note in notes))
        report(f"{experiment.dataset} split {split}: {'prepared' if ran else 'unchanged'}")
    for folder, count in alike.items():
        if count:
            said = "1 note differs" if count == 1 else f"{count} notes differ"
            report(f"{folder}: {said} from another split's in numbers alone; read dataset.json of each split")


def _prepared(folder: Path, experiment: Experiment, split: int) -> tuple[bool, tuple[str, ...]]:
    """(whether the folder was written, the notes of its card)."""
    before = Stamps.of(experiment.task.source.files)
    opened = open_task(experiment.task, split)
    cards: list[DatasetCard] = []

    def work(unfinished: Path) -> None:
        card = _card(opened.write(unfinished), experiment, split, source_sha256=opened.sha256)
        before.check()
        write_card(card, PreparedSplit(unfinished).card)
        cards.append(card)

    inputs = preparation_inputs(experiment, source_sha256=opened.sha256, split=split)
    if once(folder, verb="prepare", inputs=inputs, work=work):
        return True, cards[0].notes
    return False, read_card(PreparedSplit(folder).card, DatasetCard).notes


def _without_numbers(note: str, folder: Path) -> str:
    """What a note has in common with those of other splits of a data set: numbers in names and paths, but no others."""
    return f"{folder.parent} {_NUMBER.sub('#', note)}"


def open_task(task: Task, split: int) -> Opened:
    """The source of a task; ValueError for a bad one."""
    match task:
        case Regression():
            return open_regression(task, split=split)
        case NextToken():
            return open_next_token(task, split=split)
        case SequenceClassification():
            return open_sequence_classification(task, split=split)
        case Classification():
            return open_classification(task, split=split)
        case Images():
            return open_images(task, split=split)
        case Synthetic():
            return open_synthetic_task(task)
        case Objects():
            return open_objects(task, split=split)
        case Allocation():
            return open_allocation(task)
        case VideoAllocation():
            return open_videos(task, split=split)
        case StageAllocation():
            return open_stages(task, split=split)
        case Retrieval():
            return open_retrieval(task, split=split)
        case Tagging():
            return open_tagging(task, split=split)
        case Planning():
            return open_planning(task)
        case _:
            assert_never(task)


def _card(prepared: Prepared, experiment: Experiment, split: int, *, source_sha256: str) -> DatasetCard:
    return DatasetCard(
        dataset=experiment.dataset,
        task=experiment.task.model_dump(mode="json"),
        source_sha256=source_sha256,
        split=split,
        rows=prepared.rows,
        standardisation=prepared.standardisation,
        features=prepared.features,
        target=prepared.target,
        notes=(*prepared.notes, *prepared.repeats),
        vocabulary=prepared.vocabulary,
        sizes=prepared.sizes,
        classes=prepared.classes,
        auxiliary=dict(prepared.auxiliary),
        optimum=prepared.optimum,
        shape=prepared.shape,
        columns=prepared.columns,
        form=prepared.form,
    )
