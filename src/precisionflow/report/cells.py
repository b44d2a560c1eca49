"""What the training and evaluation of every cell left behind, looked up by cell."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from precisionflow.ablation.design import Variant, expand
from precisionflow.ablation.measured import cells_of
from precisionflow.config import Experiment
from precisionflow.records.cards import ModelCard
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.marker import read_marker
from precisionflow.records.schemas import CELL, HISTORY, METRICS, only
from precisionflow.results.cells import Cell
from precisionflow.results.failures import parted
from precisionflow.results.layout import EvaluatedCell, TrainedCell, cell_folders
from precisionflow.results.stage import input_key

_NAMES = only(METRICS, *CELL)
"""Columns that say which cell metrics are of."""


@dataclass(frozen=True)
class Trained:
    """One training run: its card, and metric -> step -> value."""

    card: ModelCard
    history: Mapping[str, Mapping[int, float]]


def trained_cells(roots: Sequence[Path]) -> dict[Cell, Path]:
    """The `model` folder of every cell."""
    return _by_cell(roots, _trained_cell)


def evaluated_cells(roots: Sequence[Path]) -> dict[Cell, Path]:
    """The `evaluation` folder of every cell."""
    return _by_cell(roots, _evaluated_cell)


def _by_cell(roots: Sequence[Path], identify: Callable[[Path], Cell]) -> dict[Cell, Path]:
    """ValueError when two folders hold different results of one cell."""
    found: dict[Cell, Path] = {}
    keys: dict[Cell, str] = {}
    for folder in parted(cell_folders(roots))[0]:
        cell, key = identify(folder), input_key(folder)
        known = found.setdefault(cell, folder)
        if keys.setdefault(cell, key) != key:
            raise ValueError(f"{known} and {folder} differ, both are {cell}; keep the results of one run")
    return found


def _trained_cell(folder: Path) -> Cell:
    card = read_card(TrainedCell(folder).card, ModelCard)
    e = card.experiment
    return Cell(e.name, e.dataset, e.variant, card.seed, card.split)


def _evaluated_cell(folder: Path) -> Cell:
    first = read_parquet(EvaluatedCell(folder).metrics, _NAMES).slice(0, 1).to_pylist()[0]
    return Cell(*(first[name] for name in Cell._fields))


def kept(folders: Iterable[Path]) -> list[str]:
    """Results of other code that `--trust-code` has kept: a line for each stage and code."""
    markers = [marker for folder in folders if (marker := read_marker(folder))]
    counts = Counter((m.verb, m.code, m.trusted) for m in markers if m.trusted)
    return [
        f"{verb}: {count} of code {code}, kept under code {other}"
        for (verb, code, other), count in sorted(counts.items())
    ]


def keys(folders: Mapping[Cell, Path]) -> list[str]:
    """Sorted keys of the stages that wrote the folders."""
    return sorted(input_key(folder) for folder in folders.values())


def failed_cells(failures: pa.Table) -> frozenset[Cell]:
    """The cells of records.schemas.FAILURES."""
    return frozenset(Cell(*(row[name] for name in Cell._fields)) for row in failures.to_pylist())


def absent(experiment: Experiment, evaluated: Mapping[Cell, Path], failures: pa.Table) -> frozenset[Cell]:
    """The cells of an experiment that are neither evaluated nor failed."""
    asked = (
        cell for variant in expand(experiment) for unit in cells_of(variant, experiment) for cell in unit
    )
    return frozenset(asked) - evaluated.keys() - failed_cells(failures)


def of_variant(
    folders: Mapping[Cell, Path], variant: Variant, experiment: Experiment, *, without: Collection[Cell] = ()
) -> list[Path]:
    """The folders of one variant's cells but those `without` one, in the order of splits and seeds.

    ValueError names a cell that has none.
    """
    wanted = [cell for unit in cells_of(variant, experiment) for cell in unit if cell not in without]
    for cell in wanted:
        if cell not in folders:
            raise ValueError(f"no folder of {cell}; train and evaluate it, or give its folder")
    return [folders[cell] for cell in wanted]


def read_trained(folder: Path) -> Trained:
    """Card and history of one cell."""
    table = read_parquet(TrainedCell(folder).history, HISTORY)
    metric = table["metric"].combine_chunks().dictionary_encode()
    code, step, value = (of.to_numpy() for of in (metric.indices, table["step"], table["value"]))
    history = {
        name: dict(zip(step[code == index].tolist(), value[code == index].tolist(), strict=True))
        for index, name in enumerate(metric.dictionary.to_pylist())
    }
    return Trained(read_card(TrainedCell(folder).card, ModelCard), history)
