"""Two experiments with all that a run of them leaves, and what MLflow holds of them."""

import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from precisionflow.ablation.design import expand
from precisionflow.config import Experiment
from precisionflow.tracking.content import KEY
from precisionflow.tracking.track import track_cells
from tests import synthetic

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


NOISE = synthetic.regression(("splits: [0, 1, 2, 3, 4, 5, 6]", "splits: [0]"))
TWINS = synthetic.language(
    ("seeds: [0, 1, 2]", "seeds: [0]"),
    ("      dot_product: {model.attention.potential.kind: dot_product}\n", ""),
)
CELLS = 6
"""2 variants x 2 seeds of one experiment, 2 variants of the other."""
VARIANTS = 4


def variants(experiment: Experiment) -> list[Experiment]:
    return [variant.experiment for variant in expand(experiment)]


def place(root: Path, variant: Experiment) -> Path:
    return root / variant.name / variant.dataset / variant.variant


def client_in(folder: Path) -> "MlflowClient":
    return client_of(f"sqlite:///{folder}/mlflow.db")


def client_of(address: str) -> "MlflowClient":
    from mlflow import MlflowClient

    return MlflowClient(address)


def runs_of(client: "MlflowClient", name: str, **tags: str) -> list["Run"]:
    """The runs of the MLflow experiment `name` with our tags."""
    found = client.get_experiment_by_name(name)
    assert found is not None
    where = " and ".join(f"tags.`precisionflow.{tag}` = '{value}'" for tag, value in tags.items())
    return list(client.search_runs([found.experiment_id], where))


def above(client: "MlflowClient", run: "Run", levels: int = 1) -> str:
    """Id of the run that a run is nested in, so many levels up."""
    for _ in range(levels - 1):
        run = client.get_run(run.data.tags["mlflow.parentRunId"])
    return str(run.data.tags["mlflow.parentRunId"])


def track_variant(folder: Path, variant: Experiment, **rest: object) -> bool:
    model, evaluation = place(folder / "model", variant), place(folder / "evaluation", variant)
    whole = next(experiment for experiment in (NOISE, TWINS) if experiment.name == variant.name)
    keywords = {"store": folder, "whole": whole} | rest
    return track_cells(variant, data=folder / "data", model=model, evaluation=evaluation, **keywords)  # type: ignore[arg-type]


def rows_in(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Everything in the store."""
    with sqlite3.connect(folder / "mlflow.db") as database:
        tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
        rows = {name: sorted(database.execute(f"select * from {name}"), key=repr) for name in tables}
    database.close()
    return rows


def contents_of(folder: Path) -> tuple[list[str], list[str]]:
    """Runs with all that they hold, and names of artifacts; ids of runs are their keys, models have none."""
    rows = rows_in(folder)
    keys = {run: str(value) for tag, value, run in rows["tags"] if tag == KEY}

    def named(text: str) -> str:
        named = re.sub(r"\b[0-9a-f]{32}\b", lambda found: keys.get(found[0], found[0]), text)
        return re.sub(r"\bm-[0-9a-f]+", "model", named.replace(str(folder), ""))

    held = [row for table in ("runs", "tags", "params", "metrics", "latest_metrics") for row in rows[table]]
    files = [file for file in (folder / "mlartifacts").rglob("*") if file.is_file()]
    return sorted(named(repr(row)) for row in held), sorted(named(str(file)) for file in files)


def files_in(folder: Path) -> dict[str, int]:
    """When each artifact was last written."""
    return {str(f): f.stat().st_ctime_ns for f in (folder / "mlartifacts").rglob("*") if f.is_file()}
