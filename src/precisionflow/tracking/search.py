"""A search in MLflow: one parent run, a nested run for each trial with what it reported."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from precisionflow.config import digest
from precisionflow.records.search import Search, Trial
from precisionflow.results.search_layout import SearchResults
from precisionflow.tracking import runs
from precisionflow.tracking.content import KEY, PREFIX, REPORT, Point, RunContent
from precisionflow.tracking.parameters import allowed_name
from precisionflow.tracking.store import attempt

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def track_search(search: Search, *, results: SearchResults, store: Path | None) -> bool:
    """Bring MLflow to the state of a search; whether MLflow took it. A second call adds only what is missing.

    `results` has the page and the tables, which are uploaded.
    """

    def work(client: "MlflowClient") -> None:
        parent = runs.open_run(client, search.name, _parent(search), store=store)
        known = runs.children(client, parent)
        for trial in search.trials:
            content = _trial(search, trial)
            _fill(client, trial, content, parent=parent, known=known.get(content.key))
        _conclude(client, search, results, parent)

    return attempt(work, store=store, results=results.folder)


def _parent(search: Search) -> RunContent:
    key = digest({"search": search.name, "key": search.key})
    tags = {"search": search.name, "verb": "search", "algorithm": search.algorithm, "metric": search.metric}
    return RunContent(key, search.name, {f"{PREFIX}{name}": v for name, v in tags.items()} | {KEY: key}, {})


def _trial(search: Search, trial: Trial) -> RunContent:
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
    client: "MlflowClient", trial: Trial, content: RunContent, *, parent: "Run", known: "Run | None"
) -> None:
    """Bring a trial's run to the state of its record."""
    if runs.is_whole(known):
        return
    run = known or runs.nested_run(client, parent, content, start=int(time.time() * 1000))
    steps: dict[str, int] = {}
    points = []
    for metric, value in trial.reports:
        steps[metric] = steps.get(metric, 0) + 1
        points.append(Point(allowed_name(metric), steps[metric], value))
    points += [Point(f"best.{allowed_name(metric)}", 0, value) for metric, value in trial.metrics.items()]
    state = "FAILED" if trial.state == "failed" else "FINISHED"
    runs.conclude(client, run, content, runs.history_of(run, points, milliseconds=1.0), state=state)


def _conclude(client: "MlflowClient", search: Search, results: SearchResults, run: "Run") -> None:
    """Best trial, page and tables into the parent run."""
    best = search.best
    state = digest([best.name, repr(best.value), [[t.name, t.state] for t in search.trials]])
    if run.data.tags.get(REPORT) == state:
        return
    for file in (results.page, results.trials, results.best):
        client.log_artifact(run.info.run_id, str(file), "search")
    point = Point(f"best.{allowed_name(search.metric)}", len(search.trials), best.value)
    tags = {f"{PREFIX}best": best.name, f"{PREFIX}settings": " ".join(best.settings)}
    runs.log(client, run, metrics=runs.history_of(run, [point], milliseconds=1.0), tags=tags)
    runs.finish(client, run)
    client.set_tag(run.info.run_id, REPORT, state)
