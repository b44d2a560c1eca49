"""Variants in MLflow: a run between that of the experiment and those of its cells, with means and intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from precisionflow.config import Experiment
from precisionflow.tracking import runs
from precisionflow.tracking.content import REPORT, CellContent, ReportContent, RunContent, variant_run
from precisionflow.tracking.failures import FailedCell, fill_failure

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

Cells = Sequence[CellContent | FailedCell]


@dataclass(frozen=True)
class VariantContent:
    """A variant on a data set and its cells."""

    run: RunContent
    cells: Cells

    @property
    def start(self) -> int | None:
        """When its first training began, in milliseconds since 1970; none without a cell."""
        return min((cell.start for cell in self.cells), default=None)


def variant_content(
    variant: Experiment, whole: Experiment, cells: Cells, *, on_cluster: bool
) -> VariantContent:
    """A resolved variant of an experiment and its cells."""
    return VariantContent(variant_run(variant, whole, on_cluster=on_cluster), cells)


def fill_variant(
    client: "MlflowClient", content: VariantContent, *, parent: "Run", known: Mapping[str, "Run"]
) -> None:
    """Bring a variant's run and those of its cells to the state of their files; nothing where it has no cell.

    `known` are the runs inside `parent` by key.
    """
    if content.start is None:
        return
    before = known.get(content.run.key)
    run = before or runs.nested_run(client, parent, content.run, start=content.start)
    runs.identify(client, run, content.run)
    there = runs.children(client, run) if before else {}
    for cell in content.cells:
        match cell:
            case CellContent():
                runs.fill_cell(client, cell, parent=run, known=there.get(cell.run.key))
            case FailedCell():
                fill_failure(client, cell, parent=run, known=there.get(cell.run.key))
    end = max(cell.end for cell in content.cells)
    if run.info.end_time != end:
        client.set_terminated(run.info.run_id, "FINISHED", end_time=end)


def fill_means(client: "MlflowClient", content: ReportContent, *, parent: "Run") -> None:
    """Means and intervals of a report into the runs of the variants that have one."""
    for key, run in runs.children(client, parent).items():
        if key in content.variants and run.data.tags.get(REPORT) != content.key:
            values = runs.values_of(content.variants[key], milliseconds=content.measured)
            runs.log(client, run, metrics=values)
            client.set_tag(run.info.run_id, REPORT, content.key)


def cells_inside(client: "MlflowClient", parent: "Run") -> dict[str, "Run"]:
    """key -> the run of a cell inside a variant's of an experiment's run."""
    found: dict[str, Run] = {}
    for variant in runs.children(client, parent).values():
        found |= runs.children(client, variant)
    return found
