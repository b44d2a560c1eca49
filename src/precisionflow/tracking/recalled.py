"""An experiment's run of MLflow, read back: its file, the scores of its cells, on which rows they were measured."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from precisionflow.ablation.measured import Measured, Scores
from precisionflow.config import Experiment, parse
from precisionflow.results.cells import Cell
from precisionflow.serving.connection import connected, quiet, reason, tracking_uri, without_password
from precisionflow.tracking.content import EXPERIMENT, PREFIX, ROWS, ROWS_LEARNED, TEST
from precisionflow.tracking.runs import is_whole
from precisionflow.tracking.variants import cells_inside

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


@dataclass(frozen=True)
class Recalled:
    """What a run of an experiment holds."""

    name: str
    experiment: Experiment
    measured: Measured
    """Scores of the cells that ended well, without what chance would give."""
    test: dict[Cell, str]
    """Digest of each cell's prepared test rows."""
    code: dict[Cell, str]
    """Version of the code that trained it."""


def recalled(run_id: str, *, store: Path | None) -> Recalled:
    """The run with this id, on the server of MLFLOW_TRACKING_URI or in the results folder `store`.

    ValueError where there is no such run, or where it is none of an experiment with a report.
    """
    address = tracking_uri(store)
    if address is None:
        raise ValueError(f"mlflow:{run_id}: no server is known; set MLFLOW_TRACKING_URI, or give --store DIR")
    with quiet():
        try:
            client = connected(address)
            run = client.get_run(run_id)
        except Exception as error:  # whatever a server or its plug-in raises is told in one line
            raise ValueError(f"mlflow:{run_id}: {without_password(address)}: {reason(error)}") from None
        return Recalled(run.info.run_name, _experiment(client, run), *_cells(client, run))


def _experiment(client: "MlflowClient", run: "Run") -> Experiment:
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    if EXPERIMENT not in names:
        raise ValueError(
            f"mlflow:{run.info.run_id}: run {run.info.run_name!r} is none of an experiment whose report is there; give "
            "the run above those of the variants"
        )
    return parse(Path(client.download_artifacts(run.info.run_id, EXPERIMENT)).read_text(encoding="utf-8"))


def _cells(client: "MlflowClient", parent: "Run") -> tuple[Measured, dict[Cell, str], dict[Cell, str]]:
    measured, test, code = Measured(), dict[Cell, str](), dict[Cell, str]()
    for run in cells_inside(client, parent).values():
        tags = run.data.tags
        if ROWS not in tags or not is_whole(run):
            continue
        named = {name: tags[f"{PREFIX}{name}"] for name in Cell._fields}
        cell = Cell(
            named["experiment"], named["dataset"], named["variant"], int(named["seed"]), int(named["split"])
        )
        values = {
            name.removeprefix("test."): value
            for name, value in run.data.metrics.items()
            if name.startswith("test.")
        }
        chance = dict.fromkeys(values, np.empty(0))
        measured[cell] = Scores(values, int(tags[ROWS]), int(tags[ROWS_LEARNED]), tags[TEST], chance)
        test[cell], code[cell] = tags[TEST], tags[f"{PREFIX}code_version"]
    return measured, test, code
