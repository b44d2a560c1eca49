"""In a task of Kubeflow Pipelines with its own MLflow plugin: the task's run is resumed, nothing collides with it.

The plugin's driver makes a run for each task and hands it over by environment; after the task the launcher logs the
task's inputs, as JSON, and its scalar metrics in one batch, and ends the run.
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from kubernetes.config import kube_config
from safetensors.torch import save_file

from precisionflow.ablation.design import Variant, expand
from precisionflow.data.prepare import prepare
from precisionflow.models.networks.build import build
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card
from precisionflow.results.layout import cell_folder, data_folder
from precisionflow.tracking import store
from precisionflow.tracking.track import track_cells
from tests import synthetic

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

NOISE = synthetic.regression(("splits: [0, 1, 2, 3, 4, 5, 6]", "splits: [0]"))
TOKEN = "token-of-the-service-account"
KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "here", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "task", "user": {"token": TOKEN}}],
    "contexts": [{"name": "task", "context": {"cluster": "here", "user": "task", "namespace": "team"}}],
    "current-context": "task",
}
CREDENTIALS = {
    "basic": {"MLFLOW_TRACKING_USERNAME": "runs", "MLFLOW_TRACKING_PASSWORD": "canary"},
    "kubernetes": {"MLFLOW_TRACKING_AUTH": "kubernetes"},
}
"""Way that the plugin logs in -> what it injects for that besides address, run and experiment."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an MLflow server on SQLite."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=os.environ | settings)
    try:
        _wait(address, process)
        yield address
    finally:
        process.terminate()
        process.wait()


def _wait(address: str, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"mlflow server ended with {process.returncode}")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    synthetic.models(NOISE, folder)
    synthetic.evaluations(NOISE, folder, measure)
    prepare([variant.experiment for variant in expand(NOISE)], out=folder / "data")
    _write_weights(folder, expand(NOISE)[0])
    return folder


def _write_weights(folder: Path, variant: Variant) -> None:
    """Of the one cell whose model is served."""
    torch.manual_seed(0)
    data = data_folder(folder / "data", variant.experiment, 0) / "dataset.json"
    weights = build(variant.experiment, read_card(data, DatasetCard)).state_dict()
    cell = cell_folder(folder / "train" / NOISE.name / "diabetes" / variant.name, 0, 0)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, cell / "model.safetensors")
    synthetic.mark_again(cell)


def measure(variant: Variant, seed: int, split: int) -> dict[str, float]:
    return synthetic.plausible(variant, seed, split) | {"validation_loss": 2.0}


@pytest.mark.parametrize("login", CREDENTIALS)
def test_the_plugins_run_is_resumed(
    login: str, server: str, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    variant = expand(NOISE)[0]
    inputs = {
        "experiments": [NOISE.name],
        "experiment": variant.experiment.name,
        "destination": "kfp",
        "name": 1,
    }
    driver = MlflowClient(server)
    experiment = driver.create_experiment(f"pipelines-{login}")
    pipeline = driver.create_run(experiment, run_name="pipeline")
    nested = {"mlflow.parentRunId": pipeline.info.run_id}
    task = driver.create_run(experiment, tags=nested, run_name="evaluate")
    (tmp_path / "kubeconfig").write_text(json.dumps(KUBECONFIG))
    injected = {
        "MLFLOW_TRACKING_URI": server,
        "MLFLOW_RUN_ID": task.info.run_id,
        "MLFLOW_EXPERIMENT_ID": experiment,
    }
    with monkeypatch.context() as environment:
        environment.setattr(store, "_warnings", [])
        environment.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        environment.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig"))
        for name, value in (injected | CREDENTIALS[login]).items():
            environment.setenv(name, value)
        assert track(finished, variant)
        ours = driver.get_run(task.info.run_id)
        _launcher_ends(driver, task, inputs)
        assert track(finished, variant), "a task that is tried again"
    whole = driver.get_run(task.info.run_id)
    assert {name: whole.data.params[name] for name in inputs} == {n: json.dumps(v) for n, v in inputs.items()}
    assert whole.data.params.items() >= ours.data.params.items()
    assert set(ours.data.params) == {name for name in whole.data.params if name.startswith("cfg.")}
    assert ours.data.params["cfg.name"] == NOISE.name
    assert whole.data.tags["mlflow.parentRunId"] == pipeline.info.run_id
    assert whole.data.metrics["nll"] == 0.5
    runs = driver.search_runs([experiment])
    (ours,) = (run for run in runs if run.data.tags.get("mlflow.parentRunId") == task.info.run_id)
    cells = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == ours.info.run_id]
    assert len(runs) == 3 + len(cells)
    assert {run.data.tags["precisionflow.seed"] for run in cells} == {str(s) for s in NOISE.seeds}
    assert len(cells) == len(NOISE.seeds)


def track(folder: Path, variant: Variant) -> bool:
    parts = (NOISE.name, variant.experiment.dataset, variant.name)
    return track_cells(
        variant.experiment,
        data=folder / "data",
        model=folder.joinpath("train", *parts),
        evaluation=folder.joinpath("evaluate", *parts),
        store=None,
        whole=NOISE,
    )


def _launcher_ends(client: "MlflowClient", task: "Run", inputs: dict[str, object]) -> None:
    """What the launcher does after the task: one batch, which one changed parameter would lose, and the end."""
    from mlflow.entities import Metric, Param

    params = [Param(name, json.dumps(value)) for name, value in inputs.items()]
    client.log_batch(task.info.run_id, metrics=[Metric("nll", 0.5, 1, 0)], params=params)
    client.set_terminated(task.info.run_id, "FINISHED")
