"""The stage `prepare`: raw data to Parquet, once for every task and split."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import assert_never

from precisionflow.config import Experiment
from precisionflow.config.task import (
    Characters,
    HeteroscedasticSine,
    Regression,
    ScikitLearnTable,
    TableFile,
    TableSource,
    UciFolder,
)
from precisionflow.data.parts import Prepared
from precisionflow.data.scikit_learn import open_scikit_learn
from precisionflow.data.sine import open_sine
from precisionflow.data.table import Table, write_table
from precisionflow.data.table_file import open_table_file
from precisionflow.data.text import open_text, write_text
from precisionflow.data.uci_folder import open_uci_folder
from precisionflow.records import DatasetCard, write_card
from precisionflow.stage import data_folder, once


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
            table = _open_table(task.source, split)
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


def _open_table(source: TableSource, split: int) -> Table:
    match source:
        case ScikitLearnTable():
            return open_scikit_learn(source, split=split)
        case HeteroscedasticSine():
            return open_sine(source, split=split)
        case UciFolder():
            return open_uci_folder(source, split=split)
        case TableFile():
            return open_table_file(source, split=split)
        case _:
            assert_never(source)


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
    write_card(card, folder / "dataset.json")
