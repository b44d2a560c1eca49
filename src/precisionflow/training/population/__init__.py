"""Populations: networks that train at once, their cells and data, and the engine over them."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, assert_never, runtime_checkable

from torch import Tensor

from precisionflow.config import Experiment
from precisionflow.config.agents import Agent
from precisionflow.config.engine import BatchedEngine, DeepSpeedEngine, TorchEngine
from precisionflow.config.external import External
from precisionflow.config.networks import ensemble_of
from precisionflow.config.training import Training
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card
from precisionflow.results.layout import PreparedSplit, data_folder
from precisionflow.training.engines.engine import Engine
from precisionflow.training.population.acting import Acting
from precisionflow.training.population.cells import CellOf, count_parameters, initial, learned_from, seeded
from precisionflow.training.population.single import SideBySide, Single
from precisionflow.training.population.stacked import Stacked, members_of, pooled_target, pooled_weight
from precisionflow.training.ranks import Ranks
from precisionflow.training.schedule import of_rows

__all__ = [
    "MOST_NUMBERS",
    "Acting",
    "CellOf",
    "Population",
    "SideBySide",
    "Single",
    "Stacked",
    "count_parameters",
    "groups",
    "initial",
    "learned_from",
    "members_of",
    "pooled_target",
    "pooled_weight",
    "population",
    "seeded",
]

MOST_NUMBERS = 30_000_000
"""Most weights that train at once; gradients, AdamW's moments, averages and the best weights are five more of each."""


@runtime_checkable
class Population(Protocol):
    """Networks that train at once; those of a cell stand one after the other."""

    cells: list[CellOf]
    """The cell of each network."""
    training: Training
    """Steps and batch size for the rows of the networks."""
    validation_rows: list[int]
    """Weight of each network's validation loss in that of its cell."""

    def open(self, ranks: Ranks, resume: Path | None) -> Engine:
        """The engine, at the state in `resume` (a folder that `save` filled) if given."""
        ...

    def whole(self, cell: CellOf, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """A network's weights as its file holds them."""
        ...


def population(experiment: Experiment, data: Path, cells: Sequence[CellOf]) -> Population:
    """The networks of a group of cells, for the experiment's engine; `data` is the folder of all prepared data."""
    match experiment.engine:
        case BatchedEngine():
            return Stacked(experiment, data, cells)
        case TorchEngine() | DeepSpeedEngine():
            (cell,) = cells
            if isinstance(experiment.model, Agent):
                return Acting(experiment, data, cell)
            ensemble = ensemble_of(experiment.model)
            if ensemble is None:
                return Single(experiment, data, cell)
            return SideBySide([Single(experiment, data, cell, member=i) for i in range(ensemble.members)])
        case _:
            assert_never(experiment.engine)


def groups(experiment: Experiment, data: Path, cells: Sequence[CellOf]) -> list[list[CellOf]]:
    """Groups of cells that train at once: one cell each, or as many of equally many steps as fit into memory."""
    if not isinstance(experiment.engine, BatchedEngine) or isinstance(experiment.model, External):
        return [[cell] for cell in cells]
    if not cells:
        return []
    cards = {
        split: read_card(PreparedSplit(data_folder(data, experiment, split)).card, DatasetCard)
        for split in dict.fromkeys(cell.split for cell in cells)
    }
    ensemble = ensemble_of(experiment.model)
    each = count_parameters(experiment, cards[cells[0].split]) * (ensemble.members if ensemble else 1)
    size = max(1, MOST_NUMBERS // each)
    alike: dict[Training, list[CellOf]] = defaultdict(list)
    for cell in cells:
        alike[of_rows(experiment.training, learned_from(experiment, cards[cell.split]))].append(cell)
    return [of[first : first + size] for of in alike.values() for first in range(0, len(of), size)]
