"""A search in MLflow: one parent run, a nested run for each trial with what it reported."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from precisionflow.config import digest
from precisionflow.tracking import runs
from precisionflow.tracking.content import KEY, PREFIX, REPORT, WHOLE, Point, RunContent, allowed_name
from precisionflow.tracking.store import attempt

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


@dataclass(frozen=True)
class RecordedTrial:
    """A finished trial."""

    name: str
    state: str
    parameters: Mapping[str, int | float | str]
    settings: tuple[str, ...]
    metrics: Mapping[str, float]
    """The report of each metric that counts."""
    cause: str
    reports: tuple[tuple[str, float], ...]
    """Every report in its order: metric, value."""


@dataclass(frozen=True)
class Recorded:
    """A search that has ended."""

    name: str
    key: str
    metric: str
    algorithm: str
    best: str
    value: float
    settings: tuple[str, ...]
    trials: tuple[RecordedTrial, ...]
    files: tuple[Path, ...]


def track_search(search: Recorded, *, store: Path | None) -> bool:
    """Bring MLflow to the state of a search; whether MLflow took it. A second call adds only what is missing."""

    def work(client: "MlflowClient") -> None:
        parent = runs.open_run(client, search.name, _parent(search), store=store)
        known = runs.children(client, parent)
        for trial in search.trials:
            content = _trial(search, trial)
            _fill(client, trial, content, parent=parent, known=known.get(content.key))
        _conclude(client, search, parent)

    return attempt(work, store=store, results=search.files[0].parent.parent)


def _parent(search: Recorded) -> RunContent:
    key = digest({"search": search.name, "key": search.key})
    tags = {"search": search.name, "verb": "search", "algorithm": search.algorithm, "metric": search.metric}
    return RunContent(key, search.name, {f"{PREFIX}{name}": v for name, v in tags.items()} | {KEY: key}, {})


def _trial(search: Recorded, trial: RecordedTrial) -> RunContent:
    """The run of a trial; one that ran again after it failed is another."""
    key = digest(
        {
            "search": search.key,
            "trial": trial.name,
            "reports": [*map(list, trial.reports)],
            "state": trial.state,
        }
    )
    tags = {"search": search.name, "verb": "trial", "state": trial.state} | (
        {"cause": trial.cause} if trial.cause else {}
    )
    given = dict(setting.split("=", 1) for setting in trial.settings) or trial.parameters
    params = {allowed_name(f"cfg.{name}"): str(value) for name, value in given.items()}
    return RunContent(
        key, trial.name, {f"{PREFIX}{name}": v for name, v in tags.items()} | {KEY: key}, params
    )


def _fill(
    client: "MlflowClient", trial: RecordedTrial, content: RunContent, *, parent: "Run", known: "Run | None"
) -> None:
    """Bring a trial's run to the state of its record; the last tag marks it as whole."""
    if known and WHOLE in known.data.tags:
        return
    run = known or runs.nested_run(client, parent, content, start=int(time.time() * 1000))
    runs.identify(client, run, content)
    steps: dict[str, int] = {}
    points = []
    for metric, value in trial.reports:
        steps[metric] = steps.get(metric, 0) + 1
        points.append(Point(allowed_name(metric), steps[metric], value))
    points += [Point(f"best.{allowed_name(metric)}", 0, value) for metric, value in trial.metrics.items()]
    runs.log_points(client, run, points, milliseconds=1.0)
    client.set_terminated(run.info.run_id, "FAILED" if trial.state == "failed" else "FINISHED")
    client.set_tag(run.info.run_id, WHOLE, "true")


def _conclude(client: "MlflowClient", search: Recorded, run: "Run") -> None:
    """Best trial, page and tables into the parent run."""
    state = digest([search.best, repr(search.value), [[t.name, t.state] for t in search.trials]])
    if run.data.tags.get(REPORT) == state:
        return
    for file in search.files:
        client.log_artifact(run.info.run_id, str(file), "search")
    runs.log_points(
        client,
        run,
        [Point(f"best.{allowed_name(search.metric)}", len(search.trials), search.value)],
        milliseconds=1.0,
    )
    client.set_tag(run.info.run_id, f"{PREFIX}best", search.best)
    client.set_tag(run.info.run_id, f"{PREFIX}settings", " ".join(search.settings))
    runs.finish(client, run)
    client.set_tag(run.info.run_id, REPORT, state)
