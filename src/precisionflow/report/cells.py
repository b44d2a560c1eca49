"""What the training and evaluation of every cell left behind, looked up by cell."""

import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

import pyarrow as pa

from precisionflow.ablation.design import Variant, expand
from precisionflow.ablation.measured import cells_of
from precisionflow.config import Experiment
from precisionflow.records.cards import ModelCard
from precisionflow.records.files import read_card, read_constants
from precisionflow.records.marker import StageCard
from precisionflow.records.schemas import CELL, METRICS, only
from precisionflow.report import wording
from precisionflow.results.cells import Cell
from precisionflow.results.failures import parted
from precisionflow.results.layout import EvaluatedCell, TrainedCell, cell_folders
from precisionflow.results.stage import input_marker

_NAMES = only(METRICS, *CELL)
"""Columns that say which cell metrics are of."""
Of = TypeVar("Of")


class Mark(NamedTuple):
    """What the marker of a finished stage says of its code, and of where and how long it ran."""

    verb: str
    code: str
    trusted: str | None
    commit: str | None = None
    machine: str = ""
    versions: str = ""
    """Of Python and of the libraries."""
    seconds: float = 0.0


@dataclass(frozen=True)
class Finished:
    """The folders of one finished stage by cell, and what their markers say."""

    folders: dict[Cell, Path] = field(default_factory=dict)
    keys: dict[Cell, str] = field(default_factory=dict)
    """Keys of the stages that wrote the folders."""
    marks: dict[Cell, Mark] = field(default_factory=dict)
    cards: dict[Cell, ModelCard] = field(default_factory=dict)
    """Of trained cells."""


def trained_cells(roots: Sequence[Path]) -> Finished:
    """The `model` folder and the card of every cell; cells of one configuration share it in memory."""
    found, known = Finished(), dict[str, Experiment]()
    for folder in parted(cell_folders(roots))[0]:
        card = read_card(TrainedCell(folder).card, ModelCard)
        of = known.setdefault(card.experiment_hash, card.experiment)
        cell = Cell(of.name, of.dataset, of.variant, card.seed, card.split)
        _add(found, cell, folder)
        found.cards[cell] = card.model_copy(update={"experiment": of})
    return found


def evaluated_cells(roots: Sequence[Path]) -> Finished:
    """The `evaluation` folder of every cell."""
    found = Finished()
    for folder in parted(cell_folders(roots))[0]:
        _add(found, Cell(**read_constants(EvaluatedCell(folder).metrics, _NAMES)), folder)
    return found


def _add(found: Finished, cell: Cell, folder: Path) -> None:
    """ValueError when two folders hold different results of one cell."""
    marker = input_marker(folder)
    known = found.folders.setdefault(cell, folder)
    if found.keys.setdefault(cell, marker.key) != marker.key:
        raise ValueError(f"{known} and {folder} differ, both are {cell}; keep the results of one run")
    found.marks.setdefault(cell, _mark(marker))


def mark(folder: Path) -> Mark:
    """What the marker of a finished stage says; ValueError where it is not finished."""
    return _mark(input_marker(folder))


def _mark(marker: StageCard) -> Mark:
    libraries = {"Python": marker.python} | marker.libraries
    versions = ", ".join(f"{name} {version}" for name, version in libraries.items())
    code = (marker.verb, marker.code, marker.trusted, marker.commit)
    return Mark(*code, marker.machine, sys.intern(versions), marker.seconds)


def commits(marks: Iterable[Mark]) -> str:
    """Commits of git whose code made the results, "none" where some ran from no checkout."""
    return ", ".join(sorted({mark.commit or "none" for mark in marks}))


def machines(marks: Iterable[Mark]) -> list[str]:
    """Where trainings ran: a line for each machine, with their number where there are several; none of old markers."""
    found = [mark.machine for mark in marks if mark.verb == "train"]
    return _counted(name or "not told" for name in found) if any(found) else []


def versions(marks: Iterable[Mark]) -> list[str]:
    """The libraries that trainings ran with: a line for each set of versions, with their number where several are."""
    return _counted(mark.versions for mark in marks if mark.verb == "train")


def _counted(told: Iterable[str]) -> list[str]:
    counts = Counter(told)
    if len(counts) < 2:
        return list(counts)
    return [f"{text} ({wording.count(runs, 'run')})" for text, runs in sorted(counts.items())]


def seconds(marks: Iterable[Mark]) -> dict[str, float]:
    """Verb -> what its stages took together, each by the clock."""
    found: dict[str, float] = {}
    for mark in marks:
        found[mark.verb] = found.get(mark.verb, 0.0) + mark.seconds
    return found


def kept(marks: Iterable[Mark]) -> list[str]:
    """Results of other code that `--trust-code` has kept: a line for each stage and code."""
    counts = Counter((mark.verb, mark.code, mark.trusted) for mark in marks if mark.trusted)
    return [
        f"{verb}: {count} of code {code}, kept under code {other}"
        for (verb, code, other), count in sorted(counts.items())
    ]


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
    found: Mapping[Cell, Of], variant: Variant, experiment: Experiment, *, without: Collection[Cell] = ()
) -> list[Of]:
    """What was found of one variant's cells, but of those `without` it, in the order of splits and seeds.

    ValueError names a cell of which there is nothing.
    """
    wanted = [cell for unit in cells_of(variant, experiment) for cell in unit if cell not in without]
    for cell in wanted:
        if cell not in found:
            raise ValueError(f"no folder of {cell}; train and evaluate it, or give its folder")
    return [found[cell] for cell in wanted]
