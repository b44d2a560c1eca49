"""What was measured of the cells that an experiment asks for, and the value of each of its units."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from precisionflow.ablation.design import Variant, unit_of
from precisionflow.config import Experiment
from precisionflow.records.cards import CostCard
from precisionflow.records.failure import FailureCard
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.metrics import metric_named
from precisionflow.records.schemas import METRICS
from precisionflow.results.cells import Cell
from precisionflow.results.layout import EvaluatedCell


class Scores(NamedTuple):
    """What was measured of one cell."""

    values: dict[str, float]
    """metric -> value."""
    rows: int
    """Rows or tokens that were tested."""
    rows_learned: int
    """Rows or tokens of training and validation."""
    test: str
    """sha256 of the prepared test rows."""
    chance: dict[str, np.ndarray]
    """metric -> what it is in worlds where the predictions are true; empty where chance does not keep it from 0."""
    cost: CostCard | None = None
    """What training took; none where nobody asks."""


Measured = dict[Cell, Scores]
Failed = Mapping[Cell, FailureCard]
"""Cells that have no scores because their training or evaluation failed."""


def read_metrics(cells: Iterable[Path], *, costs: bool = False) -> Measured:
    """All metrics by cell, with `costs` what training took.

    A result that comes twice counts once, and is an error where the two differ.
    """
    measured: Measured = {}
    known_metrics = set[str]()
    for folder in cells:
        file = EvaluatedCell(folder).metrics
        cost = read_card(EvaluatedCell(folder).cost, CostCard) if costs else None
        table = read_parquet(file, METRICS)
        for name in set(table["metric"].to_pylist()) - known_metrics:
            _check_metric(file, name)
            known_metrics.add(name)
        for row, draws in zip(table.drop_columns("chance").to_pylist(), table["chance"], strict=True):
            cell = Cell(*(row[name] for name in Cell._fields))
            metric, value = row["metric"], row["value"]
            scores = measured.setdefault(cell, Scores({}, row["n"], row["n_train"], row["test"], {}, cost))
            _check_data(folder, cell, scores, rows=row["n"], rows_learned=row["n_train"], test=row["test"])
            scores.chance[metric] = draws.values.to_numpy()
            known = scores.values.setdefault(metric, value)
            if known != value:
                raise ValueError(
                    f"{folder}: {cell} has {metric} {value}, another folder says {known}; keep the results of one run"
                )
    return measured


def _check_metric(file: Path, name: str) -> None:
    """ValueError that names the file of a metric that the catalogue lacks."""
    try:
        metric_named(name)
    except ValueError as error:
        raise ValueError(f"{file}: {error}; evaluate again with this version") from None


def _check_data(folder: Path, cell: Cell, scores: Scores, *, rows: int, rows_learned: int, test: str) -> None:
    """ValueError where a row of a cell was measured on other data than those before it."""
    if (rows, rows_learned) != (scores.rows, scores.rows_learned):
        known = f"{scores.rows} rows after {scores.rows_learned} learned"
        raise ValueError(
            f"{folder}: {cell} is measured on {rows} rows after {rows_learned} learned, and on {known}; "
            "keep the results on one data set"
        )
    if test != scores.test:
        raise ValueError(
            f"{folder}: {cell} is measured on test rows with the sha256 {test[:12]}, and on others with "
            f"{scores.test[:12]}; keep the results on one data set"
        )


def cells_of(variant: Variant, experiment: Experiment) -> list[list[Cell]]:
    """The cells of a variant, one list for each unit."""
    name, dataset, of = experiment.name, variant.dataset, variant.name
    rows = [[Cell(name, dataset, of, s, k) for s in experiment.seeds] for k in experiment.splits]
    return rows if unit_of(experiment) == "split" else [[cell] for cell in rows[0]]


class Units(NamedTuple):
    """What the units of one variant measured, and the n_test / n_train that they share rows by."""

    values: list[float]
    """NaN of a unit with a failed cell."""
    overlap: float
    copies: bool = False
    """Whether no seed changes anything that was measured: all units are the first one."""

    @property
    def known(self) -> list[float]:
        """Values of the units that have one."""
        return [value for value in self.values if not math.isnan(value)]


def units_of(
    variant: Variant, experiment: Experiment, metric: str, measured: Measured, *, nominal: float | None
) -> Units:
    """One value for each unit, the mean over its cells; with `nominal` the distance from it."""
    return units_in(scores_of(variant, experiment, measured), experiment, metric, nominal=nominal)


Scored = list[list[Scores | None]]
"""What the cells of each unit measured; none of a cell that failed."""


def scores_of(variant: Variant, experiment: Experiment, measured: Measured) -> Scored:
    """The scores of a variant."""
    return [[measured.get(cell) for cell in unit] for unit in cells_of(variant, experiment)]


def units_in(scored: Scored, experiment: Experiment, metric: str, *, nominal: float | None) -> Units:
    """`units_of` a variant with these scores."""
    values = []
    for unit in scored:
        there = [scores for scores in unit if scores is not None]
        whole = len(there) == len(unit)
        distances = (_distance(scores.values[metric], nominal) for scores in there)
        values.append(math.fsum(distances) / len(unit) if whole else math.nan)
    return Units(values, overlap_in(scored, experiment), unit_of(experiment) == "seed" and _copies(scored))


def _copies(scored: Scored) -> bool:
    """Whether several seeds measured the same of everything; a single score that does not move is no sign of it."""
    known = [scores.values for unit in scored for scores in unit if scores is not None]
    return len(known) == len(scored) > 1 and all(
        values.keys() == known[0].keys()
        and np.array_equal(list(values.values()), [known[0][name] for name in values], equal_nan=True)
        for values in known[1:]
    )


def overlap_in(scored: Scored, experiment: Experiment) -> float:
    """n_test / n_train of the splits, the mean over their cells; 0 of seeds, and of splits that are drawn apart."""
    known = [scores for unit in scored for scores in unit if scores is not None]
    if unit_of(experiment) == "seed" or experiment.task.several_splits == "drawn" or not known:
        return 0.0
    return math.fsum(scores.rows / scores.rows_learned for scores in known) / len(known)


def _distance(value: float, nominal: float | None) -> float:
    return value if nominal is None else abs(value - nominal)
