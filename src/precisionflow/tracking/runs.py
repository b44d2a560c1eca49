"""Finding, creating and filling MLflow runs; called again, every function adds only what is missing."""

import json
import os
import shlex
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from precisionflow.config import Experiment
from precisionflow.results.layout import TrainedCell
from precisionflow.serving.connection import database_address
from precisionflow.tracking.content import (
    CAUSE,
    EXPERIMENT,
    KEY,
    NOTE,
    REPORT,
    WHOLE,
    CellContent,
    Point,
    ReportContent,
    RunContent,
    parent_run,
)
from precisionflow.tracking.model import logged_model
from precisionflow.tracking.store import Refusal, artifact_root

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment as MlflowExperiment
    from mlflow.entities import Metric, Run

_PARENT = "mlflow.parentRunId"
_ITEMS_A_CALL, _PARAMS_A_CALL = 1000, 100
"""Most that MLflow takes at once: parameters, and metrics, parameters and tags together."""
NOTHING: Mapping[str, str] = MappingProxyType({})


def parent(
    client: "MlflowClient", whole: Experiment, *, store: Path | None, start: int | None = None
) -> "Run":
    """The run of an experiment: the one that MLFLOW_RUN_ID names, else found by its key, else created.

    A new one begins at `start`, in milliseconds since 1970, or at once.
    """
    content = parent_run(whole, on_cluster=store is None)
    return open_run(client, whole.name, content, store=store, start=start)


def open_run(
    client: "MlflowClient",
    name: str,
    content: RunContent,
    *,
    store: Path | None,
    start: int | None = None,
) -> "Run":
    """The run that MLFLOW_RUN_ID names, else the one with this key, else a new one in the MLflow experiment `name`."""
    given = os.environ.get("MLFLOW_RUN_ID")
    if given:
        run = client.get_run(given)
    else:
        begun = int(time.time() * 1000) if start is None else start
        run = _found_or_created(client, _experiment_id(client, name, store=store), content, start=begun)
    identify(client, run, content)
    return run


def nested_run(client: "MlflowClient", parent: "Run", content: RunContent, *, start: int) -> "Run":
    """A new run inside another."""
    nested = {_PARENT: parent.info.run_id}
    return _create(client, parent.info.experiment_id, content, start=start, tags=nested)


def children(client: "MlflowClient", parent: "Run") -> dict[str, "Run"]:
    """key -> the nested run that carries it, the oldest of several."""
    found: dict[str, Run] = {}
    for run in _search(client, parent.info.experiment_id, f"tags.`{_PARENT}` = '{parent.info.run_id}'"):
        found.setdefault(run.data.tags.get(KEY, ""), run)
    return found


def fill_cell(client: "MlflowClient", cell: CellContent, *, parent: "Run", known: "Run | None") -> None:
    """Bring a cell's run, `known` or new, to the state of its files."""
    if is_whole(known):
        return
    run = known or nested_run(client, parent, cell.run, start=cell.start)
    _log_dataset(client, run, cell)
    model = logged_model(client, run, cell) if cell.served else None
    trained = TrainedCell(cell.model)
    for file in (trained.settling, trained.attention):
        if file.is_file():
            client.log_artifact(run.info.run_id, str(file), "records")
    history = history_of(run, cell.history, milliseconds=cell.seconds_per_step * 1000)
    results = _results(run, cell, model=model)
    conclude(client, run, cell.run, [*history, *results], state="FINISHED", end=cell.end)


def is_whole(run: "Run | None") -> bool:
    """Whether `conclude` has come to its end with a run: it has its last tag, and it has ended."""
    return run is not None and WHOLE in run.data.tags and run.info.status != "RUNNING"


def conclude(
    client: "MlflowClient",
    run: "Run",
    content: RunContent,
    metrics: Sequence["Metric"],
    *,
    state: str,
    end: int | None = None,
    tags: Mapping[str, str] = NOTHING,
) -> None:
    """What a run lacks of its content, and its metrics, in as few calls as MLflow takes; then its end.

    A process that is killed between them, or a batch of which MLflow keeps a part, leaves a run that is not whole.
    """
    found = _lacking(run, replace(content, tags={**content.tags, **tags, WHOLE: "true"}))
    log(client, run, metrics=metrics, params=found.params, tags=found.tags)
    client.set_terminated(run.info.run_id, state, end_time=end)


def _results(run: "Run", cell: CellContent, *, model: str | None) -> list["Metric"]:
    """Measures of the trained model and of its test rows, at the end of the evaluation; on its model's page too."""
    from mlflow.entities import Metric

    given: dict[str, Any] = {"timestamp": cell.end, "run_id": run.info.run_id}
    if model:
        given |= {"model_id": model, "dataset_name": cell.dataset.dataset, "dataset_digest": _digest(cell)}
    return [
        Metric(p.metric, p.value, step=p.step, **given)
        for p in cell.metrics
        if p.metric not in run.data.metrics
    ]


def fill_report(client: "MlflowClient", content: ReportContent, *, run: "Run") -> None:
    """Means, description, tables and files of a report into the parent run."""
    if run.data.tags.get(REPORT) == content.key:
        return
    for file in content.files:
        client.log_artifact(run.info.run_id, str(file), "report")
    client.log_text(run.info.run_id, content.experiment, EXPERIMENT)
    for name, table in content.tables.items():
        client.log_text(run.info.run_id, json.dumps(table), f"report/{name}")
    with tempfile.TemporaryDirectory() as folder:
        for name, svg in content.figures.items():
            Path(folder, name).write_text(svg, encoding="utf-8")
        client.log_artifacts(run.info.run_id, folder, "figures")
    shown = [{"path": f"report/{name}", "type": "table"} for name in content.tables]
    tags = {"mlflow.loggedArtifacts": json.dumps(shown), NOTE: content.description}
    log(client, run, metrics=values_of(content.metrics, milliseconds=content.measured), tags=tags)
    client.set_tag(run.info.run_id, REPORT, content.key)


def finish(
    client: "MlflowClient",
    run: "Run",
    *,
    state: str = "FINISHED",
    cause: str = "",
    end: int | None = None,
) -> None:
    """End a parent that is ours, with the `cause` of a bad end as a tag.

    It ended at `end`, in milliseconds since 1970, or just now. The run that MLFLOW_RUN_ID names is ended by whoever
    opened it.
    """
    if cause:
        client.set_tag(run.info.run_id, CAUSE, cause)
    elif CAUSE in run.data.tags:
        client.delete_tag(run.info.run_id, CAUSE)
    if not os.environ.get("MLFLOW_RUN_ID") and run.info.status != state:
        client.set_terminated(run.info.run_id, state, end_time=end)


def values_of(values: Mapping[str, float], *, milliseconds: int) -> list["Metric"]:
    """Values at step 0, measured so many milliseconds after 1970: of several the latest is shown."""
    from mlflow.entities import Metric

    return [Metric(name, value, milliseconds, 0) for name, value in values.items()]


def history_of(run: "Run", points: Sequence[Point], *, milliseconds: float) -> list["Metric"]:
    """A point's time is the run's start plus its step times `milliseconds`: MLflow keeps equal points once."""
    from mlflow.entities import Metric

    start = run.info.start_time
    return [Metric(p.metric, p.value, start + int(p.step * milliseconds), p.step) for p in points]


def _found_or_created(
    client: "MlflowClient", experiment_id: str, content: RunContent, *, start: int
) -> "Run":
    """Two machines may create at once: both keep the oldest run and remove their own if that is another."""
    wanted = f"tags.`{KEY}` = '{content.key}'"
    found = list(_search(client, experiment_id, wanted))
    if found:
        return found[0]
    created = _create(client, experiment_id, content, start=start, tags={})
    oldest = next(_search(client, experiment_id, wanted), created)
    if oldest.info.run_id != created.info.run_id:
        client.delete_run(created.info.run_id)
    return oldest


def _create(
    client: "MlflowClient", experiment_id: str, content: RunContent, *, start: int, tags: dict[str, str]
) -> "Run":
    from mlflow.tracking.context.registry import resolve_tags

    tags = resolve_tags() | {"mlflow.source.name": "precisionflow"} | content.tags | tags
    return client.create_run(experiment_id, start_time=start, tags=tags, run_name=content.name)


def identify(client: "MlflowClient", run: "Run", content: RunContent) -> None:
    """Tags and parameters that the run lacks; a parameter that is there stays, MLflow never changes one."""
    found = _lacking(run, content)
    log(client, run, params=found.params, tags=found.tags)


def _lacking(run: "Run", content: RunContent) -> RunContent:
    changed = {name: value for name, value in content.tags.items() if run.data.tags.get(name) != value}
    if run.data.tags.get(NOTE, "").startswith(content.tags.get(NOTE, "")):
        changed.pop(NOTE, None)
    params = {name: value for name, value in content.params.items() if name not in run.data.params}
    return replace(content, tags=changed, params=params)


def log(
    client: "MlflowClient",
    run: "Run",
    *,
    metrics: Sequence["Metric"] = (),
    params: Mapping[str, str] = NOTHING,
    tags: Mapping[str, str] = NOTHING,
) -> None:
    """In as few batches as MLflow takes, the tags with the last."""
    from mlflow.entities import Param, RunTag

    stated, said = [Param(*item) for item in params.items()], [RunTag(*item) for item in tags.items()]
    while metrics or stated or said:
        some = stated[:_PARAMS_A_CALL]
        room = _ITEMS_A_CALL - len(some) - len(said)
        part, metrics, stated = metrics[:room], metrics[room:], stated[len(some) :]
        last = [] if metrics or stated else said
        client.log_batch(run.info.run_id, metrics=part, params=some, tags=last)
        said = said if not last else []


def _log_dataset(client: "MlflowClient", run: "Run", cell: CellContent) -> None:
    """Name, digest of the source and folder of the prepared data; nothing of the data is read."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=cell.dataset.dataset,
        digest=_digest(cell),
        source_type="local",
        source=json.dumps({"uri": str(cell.data.parent.resolve())}),
        profile=json.dumps({"num_rows": sum(cell.dataset.rows.values())}),
    )
    client.log_inputs(run.info.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def _digest(cell: CellContent) -> str:
    """Digest of the data's source, short as MLflow shows it."""
    return cell.dataset.source_sha256[:12]


def _experiment_id(client: "MlflowClient", name: str, *, store: Path | None) -> str:
    """MLFLOW_EXPERIMENT_ID, else that of MLFLOW_EXPERIMENT_NAME or `name`, created where it is absent."""
    from mlflow import MlflowException

    given = os.environ.get("MLFLOW_EXPERIMENT_ID")
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or name
    found = client.get_experiment(given) if given else client.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage == "deleted":
        raise Refusal(_deleted(found, store=store))
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=artifact_root(store)))
        except MlflowException as error:
            found = client.get_experiment_by_name(name)
            if found is None:
                raise error
    return str(found.experiment_id)


def _deleted(found: "MlflowExperiment", *, store: Path | None) -> str:
    """What a user of the store can do about a deleted experiment."""
    restore = f"mlflow experiments restore --experiment-id {found.experiment_id}"
    if store and not os.environ.get("MLFLOW_TRACKING_URI"):
        restore = f"MLFLOW_TRACKING_URI={shlex.quote(database_address(store))} {restore}"
    variable = "MLFLOW_EXPERIMENT_ID" if os.environ.get("MLFLOW_EXPERIMENT_ID") else "MLFLOW_EXPERIMENT_NAME"
    another = "that of another" if variable == "MLFLOW_EXPERIMENT_ID" else "another name"
    return (
        f"has the experiment {found.name!r} among its deleted ones; restore it with `{restore}`, or set {variable} "
        f"to {another}"
    )


def _search(client: "MlflowClient", experiment_id: str, wanted: str) -> Iterator["Run"]:
    """Oldest first."""
    token = None
    while True:
        page = client.search_runs(
            [experiment_id], wanted, order_by=["attributes.start_time ASC"], page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return
