"""The material of an article: everything that the sections of one experiment may read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from precisionflow.ablation.aggregate import Aggregate, by_dataset
from precisionflow.ablation.design import Variant
from precisionflow.ablation.gate import Judgement
from precisionflow.config import Experiment
from precisionflow.records.cards import ModelCard
from precisionflow.report import cells, tables
from precisionflow.report.cells import Finished, Of
from precisionflow.report.histories import Histories, read_histories
from precisionflow.report.tasks.arm import of_task
from precisionflow.report.tasks.base import TaskReport
from precisionflow.report.wording import Row
from precisionflow.results.cells import Cell


@dataclass(frozen=True)
class Group:
    """What is known about an experiment on one data set; files are read when they are first asked for, and once."""

    experiment: Experiment
    dataset: str
    variants: tuple[Variant, ...]
    """Those of which a cell is done and did not fail."""
    scores: tuple[Row, ...]
    """Rows of records.schemas.TABLE."""
    contrasts: tuple[Row, ...]
    """Rows of records.schemas.CONTRASTS; none where no axis is varied."""
    trained: Finished
    evaluated: Finished
    anchor: str
    """Start of the ids of all its figures."""
    failures: tuple[Row, ...] = ()
    """Rows of records.schemas.FAILURES."""
    where: tuple[Row, ...] = ()
    """Rows of records.schemas.WHERE; none of a task without bins."""
    open: frozenset[Cell] = frozenset()
    """Cells of a study that is not finished which are not there yet."""

    @property
    def names(self) -> list[str]:
        """Names of the variants."""
        return [variant.name for variant in self.variants]

    @cached_property
    def levels(self) -> dict[str, dict[str, str]]:
        """Variant -> axis -> level, of those too of which every cell failed."""
        every = by_dataset(self.experiment).get(self.dataset, self.variants)
        return {variant.name: variant.levels for variant in every}

    @cached_property
    def failed(self) -> frozenset[Cell]:
        """The cells that failed."""
        return frozenset(Cell(*(row[name] for name in Cell._fields)) for row in self.failures)

    def cells_of(self, found: Mapping[Cell, Of], variant: Variant) -> list[Of]:
        """What was found of a variant's cells that are done and did not fail; ValueError names one that is missing."""
        return cells.of_variant(found, variant, self.experiment, without=self.failed | self.open)

    @cached_property
    def evaluations(self) -> dict[str, list[Path]]:
        """Variant's name -> its evaluated cells; ValueError names a cell that is missing."""
        return {v.name: self.cells_of(self.evaluated.folders, v) for v in self.variants}

    @cached_property
    def cards(self) -> dict[str, list[ModelCard]]:
        """Variant's name -> the cards of its training runs; ValueError names a cell that is missing."""
        return {v.name: self.cells_of(self.trained.cards, v) for v in self.variants}

    def histories(self, variant: Variant) -> Histories:
        """What was measured while a variant trained; it is read anew, as it is the most that a study holds."""
        return read_histories(self.cells_of(self.trained.folders, variant))

    @cached_property
    def task_report(self) -> TaskReport:
        """The task's part of the report."""
        return of_task(self.experiment, variants=self.variants, folders=self.evaluations)


@dataclass(frozen=True)
class Material:
    """An experiment, its groups by data set, and what its gate says."""

    experiment: Experiment
    groups: tuple[Group, ...]
    gate: tuple[Judgement, ...]
    anchor: str
    """Id of the article, and start of all ids in it."""
    across: tuple[Row, ...] = ()
    """Rows of records.schemas.ACROSS; none on one data set."""
    ranks: tuple[Row, ...] = ()
    """Rows of records.schemas.RANKS."""
    iqm: tuple[Row, ...] = ()
    """Rows of records.schemas.IQM."""
    profiles: tuple[Row, ...] = ()
    """Rows of records.schemas.PROFILES."""
    sensitivity: tuple[Row, ...] = ()
    """Rows of records.schemas.SENSITIVITY; none where the experiment is no such analysis."""
    response: tuple[Row, ...] = ()
    """Rows of records.schemas.RESPONSE."""
    laws: tuple[Row, ...] = ()
    """Rows of records.schemas.LAWS; none where the experiment is no scaling analysis."""
    sizes: tuple[Row, ...] = ()
    """Rows of records.schemas.SIZES."""
    isoflop: tuple[Row, ...] = ()
    """Rows of records.schemas.ISOFLOP."""
    performance: tuple[Row, ...] = ()
    """Rows of records.schemas.PERFORMANCE; none where the experiment is no such analysis."""

    @property
    def several(self) -> bool:
        """Whether there is more than one data set, so that each has to be named."""
        return len(self.groups) > 1


def gather(
    experiment: Experiment,
    *,
    trained: Finished,
    evaluated: Finished,
    results: Aggregate,
    gate: Sequence[Judgement],
    anchor: str,
    open_cells: frozenset[Cell] = frozenset(),
) -> Material:
    """The material of one experiment out of the results of all; `anchor` is the id of its article.

    Data sets of which only `open_cells` are asked for, or all others failed, are left out.
    """
    cells_of_variant = len(experiment.seeds) * len(experiment.splits)
    lost = open_cells | cells.failed_cells(results.failures)
    gone = Counter((cell.dataset, cell.variant) for cell in lost if cell.experiment == experiment.name)
    scores, contrasts, where = (
        table.to_pylist() for table in (results.table, results.contrasts, results.where)
    )
    groups = tuple(
        Group(
            experiment,
            dataset,
            tuple(v for v in variants if gone[v.dataset, v.name] < cells_of_variant),
            scores=tuple(tables.select(scores, experiment, dataset)),
            contrasts=tuple(tables.select(contrasts, experiment, dataset)),
            trained=trained,
            evaluated=evaluated,
            anchor=f"{anchor}-{position}",
            failures=tuple(tables.select(results.failures.to_pylist(), experiment, dataset)),
            where=tuple(tables.select(where, experiment, dataset)),
            open=open_cells,
        )
        for position, (dataset, variants) in enumerate(by_dataset(experiment).items())
    )
    shown = tuple(group for group in groups if group.variants) if open_cells else groups
    together = (
        tuple(row for row in table.to_pylist() if row["experiment"] == experiment.name)
        for table in (
            results.across,
            results.ranks,
            results.iqm,
            results.profiles,
            results.sensitivity,
            results.response,
            results.laws,
            results.sizes,
            results.isoflop,
            results.performance,
        )
    )
    return Material(experiment, shown, tuple(gate), anchor, *together)
