"""The installation on a real cluster: the API server takes both overlays, MLflow works and keeps what it was given."""

import re
import shutil
import subprocess
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.names import MLFLOW
from precisionflow.cluster.access.rest import delete, get, items, post

if TYPE_CHECKING:
    from kubernetes import client

MANIFESTS = Path(__file__).parents[2] / "manifests"
NAMESPACE = "precisionflow"
PATIENCE = 300
"""Seconds for a pod of MLflow to come back."""


@pytest.fixture(scope="module")
def server(connection: Connection) -> str:
    """Path of the MLflow server through the API server."""
    if get(connection.api, f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/mlflow") is None:
        pytest.skip("MLflow is not installed there: kubectl apply -k manifests/overlays/dev")
    return f"/api/v1/namespaces/{NAMESPACE}/services/mlflow:http/proxy"


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_the_api_server_takes_every_resource(overlay: str, connection: Connection) -> None:
    """By a dry run; in namespaces that are there."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl renders the overlays, and there is none on the path")
    rendered = subprocess.run(
        [kubectl, "kustomize", str(MANIFESTS / "overlays" / overlay)],
        capture_output=True,
        text=True,
        check=True,
    )
    there = {item["metadata"]["name"] for item in items(connection.api, "/api/v1/namespaces")}
    resources = [
        resource
        for resource in yaml.safe_load_all(rendered.stdout)
        if resource["kind"] != "Job" and resource["metadata"].get("namespace", "kubeflow") in there
    ]
    for claim in (resource for resource in resources if resource["kind"] == "PersistentVolumeClaim"):
        _keep_modes(claim, connection)
    context = ["--context", connection.access.context] if connection.access.context else []
    command = [kubectl, *context, "apply", "--dry-run=server", "--filename=-"]
    done = subprocess.run(
        command, input=yaml.safe_dump_all(resources), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "violate" not in done.stderr.replace("existing pods", "")


def _keep_modes(claim: dict[str, Any], connection: Connection) -> None:
    """No claim changes its access modes once it is there, and overlays ask for different ones."""
    name, namespace = claim["metadata"]["name"], claim["metadata"]["namespace"]
    there = get(connection.api, f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}")
    if there is not None:
        claim["spec"]["accessModes"] = there["spec"]["accessModes"]


def test_the_images_are_those_of_this_checkout(images: Mapping[str, str]) -> None:
    """What is tried on a cluster is this code, by the tag that a build of it gets with BASE, REQUIREMENTS, INDEX."""
    script = MANIFESTS.parent / "containers" / "build"
    tag = subprocess.run(
        ["sh", str(script), "tag"], capture_output=True, text=True, check=True
    ).stdout.strip()
    for image in images.values():
        if not re.search(r":[^:/@]+-[0-9a-f]{12}$", image):
            pytest.skip(f"{image}: its name is no tag of its content; build/provenance tells of digests")
        assert image.endswith(f":{tag}"), "other code, or other build arguments than this environment has"


@pytest.mark.usefixtures("server")
def test_every_pod_is_ready_and_restricted(connection: Connection) -> None:
    namespace = get(connection.api, f"/api/v1/namespaces/{NAMESPACE}")
    assert namespace is not None
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    pods = items(connection.api, f"/api/v1/namespaces/{NAMESPACE}/pods")
    phases = {pod["metadata"]["name"]: pod["status"]["phase"] for pod in pods}
    assert set(phases.values()) <= {"Running", "Succeeded"}, phases


@pytest.mark.usefixtures("server")
def test_runs_know_the_server(connection: Connection) -> None:
    settings = get(connection.api, f"/api/v1/namespaces/{connection.namespace}/configmaps/{MLFLOW}")
    assert settings is not None
    assert settings["data"]["MLFLOW_TRACKING_URI"] == f"http://mlflow.{NAMESPACE}.svc.cluster.local:5000"


def test_a_run_outlives_the_servers_pod(server: str, connection: Connection) -> None:
    from kubernetes import client

    core = client.CoreV1Api(connection.api)
    name = f"install-{uuid.uuid4().hex[:8]}"
    made = _ask(connection, f"{server}/api/2.0/mlflow/experiments/create", {"name": name})
    before = {pod.metadata.name for pod in _servers(core)}
    for pod in before:
        core.delete_namespaced_pod(pod, NAMESPACE)
    end = time.monotonic() + PATIENCE
    while not any(pod.metadata.name not in before and _ready(pod) for pod in _servers(core)):
        assert time.monotonic() < end, "no new pod of MLflow is ready"
        time.sleep(2)
    path = f"{server}/api/2.0/mlflow/experiments/get?experiment_id={made['experiment_id']}"
    found = connection.api.call_api(
        path, "GET", response_type="object", auth_settings=["BearerToken"], _return_http_data_only=True
    )
    assert found["experiment"]["name"] == name
    _ask(connection, f"{server}/api/2.0/mlflow/experiments/delete", {"experiment_id": made["experiment_id"]})


def test_a_deleted_run_is_removed_by_the_nightly_job(server: str, connection: Connection) -> None:
    """Told that any age is enough."""
    name = f"leftovers-{uuid.uuid4().hex[:8]}"
    jobs = f"/apis/batch/v1/namespaces/{NAMESPACE}"
    cron = get(connection.api, f"{jobs}/cronjobs/mlflow-leftovers")
    assert cron is not None
    work = cron["spec"]["jobTemplate"]["spec"]
    command = work["template"]["spec"]["containers"][0]["command"]
    command[command.index("--older-than") + 1] = "0d"
    experiment = _ask(connection, f"{server}/api/2.0/mlflow/experiments/create", {"name": name})
    made = _ask(connection, f"{server}/api/2.0/mlflow/runs/create", experiment)
    run = {"run_id": made["run"]["info"]["run_id"]}
    _ask(connection, f"{server}/api/2.0/mlflow/runs/delete", run)
    try:
        post(connection.api, f"{jobs}/jobs", {"metadata": {"name": name}, "spec": work})
        end = time.monotonic() + PATIENCE
        while not ((get(connection.api, f"{jobs}/jobs/{name}") or {}).get("status") or {}).get("succeeded"):
            assert time.monotonic() < end, "the job does not end"
            time.sleep(2)
        assert get(connection.api, f"{server}/api/2.0/mlflow/runs/get", **run) is None
    finally:
        _ask(connection, f"{server}/api/2.0/mlflow/experiments/delete", experiment)
        delete(connection.api, f"{jobs}/jobs/{name}")


def _ask(connection: Connection, path: str, body: dict[str, str]) -> dict[str, Any]:
    answer: dict[str, Any] = connection.api.call_api(
        path,
        "POST",
        body=body,
        header_params={"Content-Type": "application/json"},
        response_type="object",
        auth_settings=["BearerToken"],
        _return_http_data_only=True,
    )
    return answer


def _servers(core: "client.CoreV1Api") -> "list[client.V1Pod]":
    return list(core.list_namespaced_pod(NAMESPACE, label_selector="app.kubernetes.io/name=mlflow").items)


def _ready(pod: "client.V1Pod") -> bool:
    return any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or [])
