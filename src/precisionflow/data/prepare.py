"""The stage `prepare`: raw data to Parquet, once for every task and split."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import assert_never

from precisionflow.config import Experiment
from precisionflow.config.tasks import Characters, Regression
from precisionflow.data.parts import Prepared
from precisionflow.data.sources.tables import open_table
from precisionflow.data.sources.text import open_text
from precisionflow.data.tasks.characters import write_text
from precisionflow.data.tasks.regression import write_table
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import write_card
from precisionflow.results.layout import PreparedSplit, data_folder
from precisionflow.results.stage import once


def _silent(_line: str) -> None:
    """Report to nobody."""


def prepare(experiments: Sequence[Experiment], *, out: Path, report: Callable[[str], None] = _silent) -> None:
    """Fill `stage.data_folder(out, experiment, split)` for every task and split of `experiments`.

    The experiments are resolved ones: axes already expanded. Each folder holds `train.parquet`,
    `valid.parquet`, `test.parquet` and `dataset.json`; experiments with the same task share it. A finished
    folder is left alone unless the bytes of its source have changed. `report` gets one line for each folder.
    Raises ValueError for a bad source, of which no folder is left.
    """
    folders = {data_folder(out, e, split): (e, split) for e in experiments for split in e.splits}
    for folder, (experiment, split) in folders.items():
        sha256, write = _open(experiment.task, split)
        task = experiment.task.model_dump(mode="json")
        work = partial(_fill, dataset=experiment.dataset, task=task, sha256=sha256, split=split, write=write)
        inputs = {"task": task, "source_sha256": sha256, "split": split}
        ran = once(folder, verb="prepare", inputs=inputs, work=work)
        report(f"{experiment.dataset} split {split}: {'prepared' if ran else 'unchanged'}")


def _open(task: Regression | Characters, split: int) -> tuple[str, Callable[[Path], Prepared]]:
    """The source's sha256, and what writes its parts into a folder."""
    match task:
        case Regression():
            table = open_table(task.source, split)
            fraction = task.validation_fraction
            return table.sha256, partial(write_table, table, validation_fraction=fraction, split=split)
        case Characters():
            if split:
                raise ValueError(
                    f"splits: a text is cut by position, so it has no split {split}; "
                    "keep splits at [0] and repeat with seeds"
                )
            text = open_text(task.source)
            return text.sha256, partial(write_text, text, task=task)
        case _:
            assert_never(task)


def _fill(
    folder: Path,
    *,
    dataset: str,
    task: dict[str, object],
    sha256: str,
    split: int,
    write: Callable[[Path], Prepared],
) -> None:
    prepared = write(folder)
    card = DatasetCard(
        dataset=dataset,
        task=task,
        source_sha256=sha256,
        split=split,
        rows=prepared.rows,
        standardisation=prepared.standardisation,
        features=prepared.features,
        target=prepared.target,
        vocabulary=prepared.vocabulary,
    )
    write_card(card, PreparedSplit(folder).card)
