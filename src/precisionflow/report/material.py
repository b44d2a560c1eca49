"""The material of an article: everything that the sections of one experiment may read."""

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
from precisionflow.report.cells import Trained
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
    scores: tuple[Row, ...]
    """Rows of records.schemas.TABLE."""
    contrasts: tuple[Row, ...]
    """Rows of records.schemas.CONTRASTS; none where no axis is varied."""
    trained: Mapping[Cell, Path]
    evaluated: Mapping[Cell, Path]
    anchor: str
    """Start of the ids of all its figures."""

    @property
    def names(self) -> list[str]:
        """Names of the variants."""
        return [variant.name for variant in self.variants]

    @cached_property
    def evaluations(self) -> dict[str, list[Path]]:
        """Variant's name -> its evaluated cells; ValueError names a cell that is missing."""
        return {v.name: cells.of_variant(self.evaluated, v, self.experiment) for v in self.variants}

    @cached_property
    def runs(self) -> dict[str, list[Trained]]:
        """Variant's name -> its training runs; ValueError names a cell that is missing."""
        return {
            v.name: [cells.read_trained(f) for f in cells.of_variant(self.trained, v, self.experiment)]
            for v in self.variants
        }

    @cached_property
    def cards(self) -> dict[str, list[ModelCard]]:
        """Variant's name -> the cards of its training runs."""
        return {name: [run.card for run in runs] for name, runs in self.runs.items()}

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

    @property
    def several(self) -> bool:
        """Whether there is more than one data set, so that each has to be named."""
        return len(self.groups) > 1


def gather(
    experiment: Experiment,
    *,
    trained: Mapping[Cell, Path],
    evaluated: Mapping[Cell, Path],
    results: Aggregate,
    gate: Sequence[Judgement],
    anchor: str,
) -> Material:
    """The material of one experiment out of the results of all; `anchor` is the id of its article."""
    scores, contrasts = results.table.to_pylist(), results.contrasts.to_pylist()
    groups = tuple(
        Group(
            experiment,
            dataset,
            tuple(variants),
            scores=tuple(tables.select(scores, experiment, dataset)),
            contrasts=tuple(tables.select(contrasts, experiment, dataset)),
            trained=trained,
            evaluated=evaluated,
            anchor=f"{anchor}-{position}",
        )
        for position, (dataset, variants) in enumerate(by_dataset(experiment).items())
    )
    return Material(experiment, groups, tuple(gate), anchor)
