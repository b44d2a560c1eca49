from dataclasses import replace

import pytest
from mlflow import MlflowClient

from precisionflow.records.search import Search, Trial
from precisionflow.results.search_layout import SearchResults
from precisionflow.tracking import store
from precisionflow.tracking.search import track_search


@pytest.fixture(autouse=True)
def _own_store(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    monkeypatch.setattr(store, "_warnings", [])


TRIALS = (
    Trial(
        name="s-0",
        number=0,
        end=0,
        state="succeeded",
        value=1.0,
        parameters={"rate": 0.1},
        settings=("training.rate=0.1",),
        metrics={"nll": 1.0},
        reports=(("nll", 3.0), ("nll", 1.0)),
    ),
    Trial(
        name="s-1",
        number=1,
        end=1,
        state="failed",
        parameters={"rate": 9.0},
        settings=("training.rate=9.0",),
        cause="exit code 1",
    ),
)


def searched():
    return Search("s", "key", "nll", "minimize", "tpe", ("rate",), frozenset(), TRIALS)


@pytest.fixture
def results(tmp_path):
    found = SearchResults(tmp_path)
    found.page.parent.mkdir()
    for file in (found.page, found.trials, found.best):
        file.write_text("content")
    return found


def runs_of(folder):
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    return client, client.search_runs(
        [client.get_experiment_by_name("s").experiment_id], order_by=["start_time ASC"]
    )


def test_a_search_is_a_parent_with_a_run_for_each_trial_however_often_it_is_uploaded(tmp_path, results):
    search = searched()
    for _ in range(2):
        assert track_search(search, results=results, store=tmp_path)
        client, found = runs_of(tmp_path)
        named = {run.info.run_name: run for run in found}
        assert sorted(named) == ["s", "s-0", "s-1"]
        parent, trial, failed = (named[name] for name in ("s", "s-0", "s-1"))
        assert trial.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert trial.data.params == {"cfg.training.rate": "0.1"}
        assert [(m.step, m.value) for m in client.get_metric_history(trial.info.run_id, "nll")] == [
            (1, 3.0),
            (2, 1.0),
        ]
        assert trial.data.metrics["best.nll"] == 1.0
        assert (trial.info.status, failed.info.status, parent.info.status) == (
            "FINISHED",
            "FAILED",
            "FINISHED",
        )
        assert failed.data.tags["precisionflow.cause"] == "exit code 1"
        assert parent.data.metrics == {"best.nll": 1.0}
        assert parent.data.tags["precisionflow.best"] == "s-0"
        assert {f.path for f in client.list_artifacts(parent.info.run_id, "search")} == {
            "search/search.html",
            "search/trials.parquet",
            "search/best.json",
        }


def test_more_trials_are_added_to_the_same_parent(tmp_path, results):
    search = searched()
    track_search(search, results=results, store=tmp_path)
    third = Trial(
        name="s-2",
        number=2,
        end=2,
        state="stopped",
        value=0.5,
        parameters={"rate": 0.2},
        settings=("training.rate=0.2",),
        metrics={"nll": 0.5},
        reports=(("nll", 0.5),),
    )
    more = replace(search, trials=(*search.trials, third))
    track_search(more, results=results, store=tmp_path)
    _, found = runs_of(tmp_path)
    assert sorted(run.info.run_name for run in found) == ["s", "s-0", "s-1", "s-2"]
    parent = next(run for run in found if run.info.run_name == "s")
    assert parent.data.metrics == {"best.nll": 0.5}


def test_a_server_that_is_away_costs_one_warning(results, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert not track_search(searched(), results=results, store=results.folder)
    assert capsys.readouterr().err.count("precisionflow: tracking:") == 1
