"""The nightly command that removes MLflow's deleted runs, on a server that hands artifacts through as ours does."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.manifests.rendered import one, rendered

QUIET = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Address of a server on SQLite, with artifacts in a folder that clients don't see."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "mlflow", "server", "--port", address.rpartition(":")[2], "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db", "--serve-artifacts"]
    command += ["--artifacts-destination", str(tmp_path / "artifacts")]
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, env=os.environ | QUIET)
    try:
        while process.poll() is None:
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        assert process.poll() is None, (tmp_path / "server.log").read_text()
        yield address
    finally:
        process.terminate()
        process.wait()


def test_the_nightly_command_removes_deleted_runs_and_their_artifacts_alone(
    server: str, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(server)
    experiment = client.create_experiment("mine")
    kept, deleted = (client.create_run(experiment).info.run_id for _ in range(2))
    (tmp_path / "note.txt").write_text("x")
    for run in (kept, deleted):
        client.log_artifact(run, str(tmp_path / "note.txt"))
    client.delete_run(deleted)
    job = one(rendered("overlays/dev"), "CronJob", "mlflow-leftovers")["spec"]["jobTemplate"]["spec"]
    (container,) = job["template"]["spec"]["containers"]
    words = list(container["command"])
    for option, value in {
        "--older-than": "0d",
        "--backend-store-uri": f"sqlite:///{tmp_path}/mlflow.db",
        "--tracking-uri": server,
    }.items():
        words[words.index(option) + 1] = value
    done = subprocess.run(
        [sys.executable, "-m", *words], env=os.environ | QUIET, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    left = {path.parts[-3] for path in (tmp_path / "artifacts").rglob("note.txt")}
    assert left == {kept}
    assert [run.info.run_id for run in client.search_runs([experiment], run_view_type=3)] == [kept]
