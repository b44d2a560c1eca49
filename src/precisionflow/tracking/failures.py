"""Failed cells in MLflow: a nested run for each that ended as FAILED, with its cause."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from precisionflow.config import Experiment, digest
from precisionflow.records.marker import read_marker
from precisionflow.results.failures import failure_of
from precisionflow.results.layout import cell_folder
from precisionflow.results.stage import finished_key, finished_span, input_key
from precisionflow.tracking import runs
from precisionflow.tracking.content import CAUSE, PREFIX, RunContent, cell_run

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

LONGEST = 5000
"""Characters of a tag that MLflow takes."""


@dataclass(frozen=True)
class FailedCell:
    """A cell that failed: its run, what failed and why."""

    run: RunContent
    stage: str
    cause: str
    start: int
    """When its training began, in milliseconds since 1970."""
    end: int
    """When it was found to have failed, in milliseconds since 1970."""


def failed_cells(
    experiment: Experiment, *, model: Path, evaluation: Path, on_cluster: bool
) -> list[FailedCell]:
    """The failed cells of a resolved variant, in the order of splits and seeds."""
    found = []
    for split in experiment.splits:
        for seed in experiment.seeds:
            evaluated = cell_folder(evaluation, seed, split)
            card = failure_of(evaluated) if finished_key(evaluated) else None
            if card is None:
                continue
            trained, marker = cell_folder(model, seed, split), read_marker(evaluated)
            assert marker is not None
            run = cell_run(
                experiment,
                seed,
                split,
                key=digest({"failed": input_key(evaluated)}),
                config_hash=experiment.hash,
                code_version=f"{marker.version}+{marker.code}",
                on_cluster=on_cluster,
            )
            begun, ended = finished_span(trained).start, finished_span(evaluated).end
            found.append(FailedCell(run, card.stage, card.cause, int(begun * 1000), int(ended * 1000)))
    return found


def fill_failure(client: "MlflowClient", cell: FailedCell, *, parent: "Run", known: "Run | None") -> None:
    """Bring a failed cell's run, `known` or new, to its end; a cell that is tried again with success is another run."""
    if runs.is_whole(known):
        return
    run = known or runs.nested_run(client, parent, cell.run, start=cell.start)
    said = {f"{PREFIX}stage": cell.stage, CAUSE: cell.cause[:LONGEST]}
    runs.conclude(client, run, cell.run, [], state="FAILED", end=cell.end, tags=said)
