"""An experiment on a real cluster: submitted, followed, fetched, refused, cancelled; the same numbers as here."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest

from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.pipelines.follow import POLL_SECONDS
from precisionflow.cluster.pipelines.runs import called, runs_called
from precisionflow.config import load, to_yaml

SEED = uuid.uuid4().int % 10**6
"""One that no run on the cluster has had: cells of equal content are not trained again."""
SMALL = (
    *("training.steps=40", f"seeds=[{SEED}]", "splits=[0, 1]"),
    *(f"cluster.{task}.cpu=500m" for task in ("train", "evaluate", "other")),
)
"""What makes the quickstart a matter of minutes on a small node."""
END_SECONDS = 900


def too_few(experiment: str) -> str:
    """The line that tells, before anything runs, that two splits reach no verdict."""
    return f"run {experiment}: 2 splits, 1 contrast: 6 needed for a verdict\n"


class Cluster(NamedTuple):
    """A command line and an experiment that no other test uses."""

    folder: Path
    experiment: Path
    name: str
    options: tuple[str, ...]

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "precisionflow", *words, *self.options]
        if words[0] == "submit" and "--images" not in words:
            command += ["--images", str(self.folder / "images.json")]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        return subprocess.Popen(
            command, cwd=self.folder, env=kept, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def __call__(self, *words: str) -> tuple[int, str, str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=END_SECONDS)
        return process.returncode, out, err

    def ends(self, run: str) -> str:
        """The first line of `status`, when the run has ended."""
        end = time.monotonic() + END_SECONDS
        while time.monotonic() < end:
            first = self("status", run)[1].splitlines()[0]
            if first.rsplit(": ", 1)[1].split()[0] in ("succeeded", "failed", "canceled"):
                return first
            time.sleep(POLL_SECONDS)
        raise AssertionError(f"{run} does not end")


@pytest.fixture(scope="module")
def cluster(
    connection: Connection, images_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    folder, name = tmp_path_factory.mktemp("cluster"), f"test-{uuid.uuid4().hex[:8]}"
    small = load("quickstart-regression", [f"name={name}", *SMALL])
    (folder / "small.yaml").write_text(to_yaml(small))
    (folder / "images.json").write_text(images_file.read_text())
    yield Cluster(folder, folder / "small.yaml", name, ("--namespace", connection.namespace))
    remove_all(name, connection)


def remove_all(name: str, connection: Connection) -> None:
    """Everything that KFP holds under the name of an experiment."""
    client = connection.pipelines
    for experiment in client.list_experiments(filter=called(name)).experiments or ():
        for run in client.list_runs(experiment_id=experiment.experiment_id, page_size=50).runs or ():
            client.delete_run(run.run_id)
        for recurring in (
            client.list_recurring_runs(experiment_id=experiment.experiment_id).recurring_runs or ()
        ):
            client.delete_recurring_run(recurring.recurring_run_id)
        client.delete_experiment(experiment.experiment_id)
    for pipeline in client.list_pipelines(filter=called(name)).pipelines or ():
        for version in client.list_pipeline_versions(pipeline.pipeline_id).pipeline_versions or ():
            client.delete_pipeline_version(pipeline.pipeline_id, version.pipeline_version_id)
        client.delete_pipeline(pipeline.pipeline_id)


@pytest.fixture(scope="module")
def finished(cluster: Cluster) -> tuple[str, str]:
    """A run that was followed to its end, and what was said."""
    run = f"{cluster.name}-whole"
    code, out, err = cluster("submit", str(cluster.experiment), "--run-name", run, "--wait")
    assert (code, err) == (0, ""), out
    return run, out


def test_a_run_is_followed_line_by_line(finished: tuple[str, str], cluster: Cluster) -> None:
    run, out = finished
    rows = out.splitlines()
    assert f"{rows[0]}\n" == too_few(cluster.name)
    assert rows[1].startswith(f"run {run} (")
    for task in ("prepare", "aggregate", "report", "finish"):
        assert f"{task}: done" in rows
    for variant in ("homoscedastic", "heteroscedastic"):
        assert rows.index(f"train {variant}: done") < rows.index(f"evaluate {variant}: done")
    assert rows[-2].startswith(f"run {run}: succeeded after ")
    assert rows[-1] == f"results: precisionflow fetch {run}"
    code, status, err = cluster("status", run)
    assert (code, err) == (0, "")
    assert "  evaluate homoscedastic: done\n" in status


def test_its_table_is_that_of_this_machine(finished: tuple[str, str], cluster: Cluster) -> None:
    fetched, here = cluster.folder / "fetched", cluster.folder / "here"
    code, out, err = cluster("fetch", finished[0], "--out", str(fetched))
    assert (code, err) == (0, "")
    assert "12 results fetched, 0 were here" in out
    assert "homoscedastic" in out
    command = [sys.executable, "-m", "precisionflow", "run", str(cluster.experiment), "--out", str(here)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    for file, number in (("table", "mean"), ("contrasts", "effect")):
        ours = pq.read_table(here / "aggregate" / f"{file}.parquet").to_pylist()
        theirs = pq.read_table(fetched / "aggregate" / f"{file}.parquet").to_pylist()
        assert len(ours) == len(theirs) > 0
        for row, other in zip(ours, theirs, strict=True):
            assert row["variant"], row["metric"] == (other["variant"], other["metric"])
            assert other[number] == pytest.approx(row[number], rel=1e-6, abs=1e-6)
    assert "12 were here" in cluster("fetch", finished[0], "--out", str(fetched))[1]
    again = subprocess.run([*command[:-1], str(fetched)], check=True, capture_output=True, text=True)
    assert "0 of 12 stages run" in again.stdout


def test_logs_are_what_tasks_said(finished: tuple[str, str], cluster: Cluster) -> None:
    code, out, err = cluster("logs", finished[0], "--task", "train hetero")
    assert (code, err) == (0, "")
    assert out.startswith("== train heteroscedastic (")
    assert (
        f"precisionflow: train {cluster.name} diabetes heteroscedastic seed {SEED} split 0: step 40/40" in out
    )
    assert "executor_input" not in out
    code, _, err = cluster("logs", finished[0], "--task", "trian")
    assert (code, err.count("\n")) == (2, 1)


def test_equal_work_is_taken_from_the_cache(finished: tuple[str, str], cluster: Cluster) -> None:
    run = f"{cluster.name}-again"
    code, out, err = cluster("submit", str(cluster.experiment), "--run-name", run, "--wait")
    assert (code, err) == (0, ""), finished
    assert "train homoscedastic: taken from the cache" in out
    assert "report: done" in out
    code, out, _ = cluster("fetch", run, "--out", str(cluster.folder / "again"))
    assert (code, "12 results fetched" in out) == (0, True)


def test_a_taken_name_is_refused(finished: tuple[str, str], cluster: Cluster, connection: Connection) -> None:
    code, out, err = cluster("submit", str(cluster.experiment), "--run-name", finished[0])
    assert (code, out) == (3, too_few(cluster.name))
    assert err.startswith(f"precisionflow: error: run name '{finished[0]}' is taken by run ")
    assert len(runs_called(finished[0], connection=connection)) == 1


def test_an_unknown_run_is_one_line(cluster: Cluster) -> None:
    for verb in ("status", "logs", "fetch", "cancel"):
        code, out, err = cluster(verb, "no-such-run")
        assert (code, out) == (2, "")
        assert err.startswith("precisionflow: error: unknown run 'no-such-run'; the last ones are: ")
        assert err.count("\n") == 1


def test_a_refused_schedule_leaves_nothing(cluster: Cluster, connection: Connection) -> None:
    other = f"{cluster.name}-cron"
    (cluster.folder / "cron.yaml").write_text(to_yaml(load(str(cluster.experiment), [f"name={other}"])))
    code, out, err = cluster("submit", "cron.yaml", "--cron", "99 99 * * * *")
    assert (code, out, err.count("\n")) == (3, too_few(other), 1), err
    assert not connection.pipelines.list_pipelines(filter=called(other)).pipelines
    assert not connection.pipelines.list_experiments(filter=called(other)).experiments
    code, out, err = cluster("submit", str(cluster.experiment), "--cron", "0 0 3 * * *", "--run-name", other)
    assert (code, err) == (0, "")
    assert out.startswith(f"{too_few(cluster.name)}recurring run {other} (")
    code, out, err = cluster("status", other)
    assert (code, err, out.splitlines()[1:]) == (0, "", ["  none has been started yet"])
    code, out, err = cluster("cancel", other)
    assert (code, err, out.rstrip().endswith(": starts no more runs")) == (0, "", True)
    assert not connection.pipelines.list_recurring_runs(filter=called(other)).recurring_runs


def test_what_cannot_start_is_told_and_cancelled(cluster: Cluster) -> None:
    """The client is interrupted: the run goes on, and status and cancel tell the truth about it."""
    run = f"{cluster.name}-wrong"
    nowhere = dict.fromkeys(
        json.loads((cluster.folder / "images.json").read_text()), "registry.invalid/none:0.1.0-0123456789ab"
    )
    (cluster.folder / "wrong.json").write_text(json.dumps(nowhere))
    words = ("submit", str(cluster.experiment), "--images", "wrong.json", "--run-name", run, "--wait")
    client = cluster.start(*words, "--set", "seeds=[5]")
    assert client.stdout is not None
    said = next((line for line in client.stdout if ": waits: " in line), "")
    assert "image registry.invalid/none:0.1.0-0123456789ab cannot be pulled" in said
    client.send_signal(signal.SIGINT)
    _, err = client.communicate(timeout=30)
    assert client.returncode == 128 + signal.SIGINT
    assert err.startswith("precisionflow: no longer followed; the run goes on: ")
    assert cluster("status", run)[1].splitlines()[0].endswith(": running")
    code, out, _ = cluster("cancel", run)
    assert (code, out.startswith(f"run {run} (")) == (0, True)
    assert out.rstrip().endswith("told to stop")
