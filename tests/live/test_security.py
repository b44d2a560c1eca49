"""A hostile experiment on a real cluster: its text arrives as it is, the namespace's secrets are written nowhere."""

import base64
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from precisionflow.cluster.access import names, rest
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.kinds import WORKFLOWS
from precisionflow.cluster.access.short_pod import Work, answer
from precisionflow.cluster.pipelines.runs import find_run
from precisionflow.config import parse, to_yaml
from tests.command_line import TINY
from tests.hostile import CANARY, WHOLE

COMMAND = (sys.executable, "-m", "precisionflow")
SECRETS = {names.MLFLOW: ("MLFLOW_TRACKING_PASSWORD",), names.STORE_LOGIN: ("secretkey",)}
"""Secrets that pods of a run are given -> their keys that are no mere names."""
ASK_RUNS = """
import base64, json, os, sys, urllib.request
address = os.environ["MLFLOW_TRACKING_URI"].rstrip("/") + "/api/2.0/mlflow/"
login = ":".join(os.environ.get(f"MLFLOW_TRACKING_{name}", "") for name in ("USERNAME", "PASSWORD")).encode()
headers = {"Content-Type": "application/json", "Authorization": "Basic " + base64.b64encode(login).decode()}
def ask(path, body=None):
    request = urllib.request.Request(address + path, headers=headers, data=json.dumps(body).encode() if body else None)
    return json.load(urllib.request.urlopen(request, timeout=20))
experiment = ask("experiments/get-by-name?experiment_name=" + sys.argv[1])["experiment"]["experiment_id"]
print(json.dumps(ask("runs/search", {"experiment_ids": [experiment], "max_results": 100})))
"""
"""Program that prints what MLflow keeps about an experiment, for a pod of the namespace."""
CLUSTER = (
    "cluster: {" + ", ".join(f"{task}: {{cpu: 500m}}" for task in ("train", "evaluate", "other")) + "}\n"
)


class Run(NamedTuple):
    id: str
    folder: Path
    printed: str


@pytest.fixture(scope="module")
def run(connection: Connection, images_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A finished run of an experiment whose question is every hostile text, and what the commands printed."""
    folder, name = tmp_path_factory.mktemp("hostile"), f"hostile-{uuid.uuid4().hex[:6]}"
    experiment = parse(TINY + CLUSTER).model_copy(update={"question": WHOLE, "name": name})
    (folder / "hostile.yaml").write_text(to_yaml(experiment))
    where = ("--namespace", connection.namespace)
    printed = _command(
        folder, "submit", "hostile.yaml", "--run-name", name, "--images", str(images_file), "--wait", *where
    )
    for words in (("status", name), ("logs", name), ("fetch", name, "--out", "results")):
        printed += _command(folder, *words, *where)
    id = find_run(name, connection=connection).run_id
    yield Run(id, folder, printed)
    _remove(id, connection)


def _command(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [*COMMAND, *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _remove(id: str, connection: Connection) -> None:
    """The run, its KFP experiment and its pipeline."""
    client = connection.pipelines
    run = client.get_run(id)
    client.delete_run(id)
    client.delete_experiment(run.experiment_id)
    version = run.pipeline_version_reference
    client.delete_pipeline_version(version.pipeline_id, version.pipeline_version_id)
    client.delete_pipeline(version.pipeline_id)


@pytest.fixture(scope="module")
def secrets(connection: Connection) -> dict[str, str]:
    """Name -> value of what must not be seen."""
    found = {}
    for secret, keys in SECRETS.items():
        there = rest.get(connection.api, f"/api/v1/namespaces/{connection.namespace}/secrets/{secret}")
        for key in keys:
            if value := ((there or {}).get("data") or {}).get(key):
                found[f"{secret}.{key}"] = base64.b64decode(value).decode()
    if not found:
        pytest.skip(f"namespace {connection.namespace} has none of the secrets {', '.join(SECRETS)}")
    assert all(len(value) >= 8 for value in found.values()), "too short to be looked for"
    return found


def test_the_text_arrives_as_it_is(run: Run) -> None:
    (file,) = (run.folder / "results" / "experiments").glob("*.yaml")
    assert parse(file.read_text(encoding="utf-8")).question == WHOLE
    cards = list((run.folder / "results").rglob("model.json"))
    assert cards
    for card in cards:
        assert parse(json.dumps(json.loads(card.read_text())["experiment"])).question == WHOLE
    assert not list(run.folder.rglob(CANARY))


def test_no_secret_is_written(run: Run, secrets: dict[str, str], connection: Connection) -> None:
    texts = {"printed": run.printed, **_of_the_cluster(run, connection)}
    texts |= {
        str(file.relative_to(run.folder)): file.read_bytes().decode("utf-8", errors="replace")
        for file in run.folder.rglob("*")
        if file.is_file()
    }
    assert any(name.startswith("log ") for name in texts)
    assert any(name.startswith("workflow ") for name in texts)
    for name, text in texts.items():
        for secret, value in secrets.items():
            assert value not in text, f"{name}: {secret}"
            assert base64.b64encode(value.encode()).decode() not in text, f"{name}: {secret}, encoded"


def test_mlflow_holds_no_secret(
    run: Run, secrets: dict[str, str], connection: Connection, images: Mapping[str, str]
) -> None:
    where = f"/api/v1/namespaces/{connection.namespace}/configmaps/{names.MLFLOW}"
    if not rest.get(connection.api, where):
        pytest.skip(
            f"namespace {connection.namespace} has no config map {names.MLFLOW}, runs are not tracked"
        )
    name = parse((run.folder / "hostile.yaml").read_text()).name
    command = ["python", "-c", ASK_RUNS, name]
    work = Work(images["core"], command, environment=names.MLFLOW)
    with answer(connection, "runs", work) as found:
        assert found.code == 0, found.said
        tracked = json.loads(found.said)["runs"]
    assert any(p["key"].startswith("cfg.") for each in tracked for p in each["data"]["params"])
    for secret, value in secrets.items():
        assert value not in found.said, secret


def _of_the_cluster(run: Run, connection: Connection) -> dict[str, str]:
    """Name -> text of everything that the cluster keeps about a run: objects, logs, events."""
    folder = f"/api/v1/namespaces/{connection.namespace}"
    workflows = f"/apis/{WORKFLOWS.api_version}/namespaces/{connection.namespace}/{WORKFLOWS.plural}"
    of_run = {"labelSelector": f"{names.KFP_RUN}={run.id}"}
    texts = {"run": json.dumps(connection.pipelines.get_run(run.id).to_dict(), default=str)}
    for workflow in rest.items(connection.api, workflows, **of_run):
        texts[f"workflow {workflow['metadata']['name']}"] = json.dumps(workflow)
    for pod in rest.items(connection.api, f"{folder}/pods", **of_run):
        name = pod["metadata"]["name"]
        texts[f"pod {name}"] = json.dumps(pod)
        for container in pod["spec"]["containers"]:
            log = rest.text(connection.api, f"{folder}/pods/{name}/log", container=container["name"])
            texts[f"log {name} {container['name']}"] = log
    return texts
