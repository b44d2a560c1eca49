"""The sample policy for Kubeflow Pipelines before 2.17: pods of a run meet Pod Security's "restricted", and run."""

import contextlib
import copy
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiException

from precisionflow.cluster.access import rest
from precisionflow.cluster.access.connection import Connection
from precisionflow.config import parse, to_yaml
from tests.command_line import TINY
from tests.live.test_submit import remove_all
from tests.manifests.rendered import rendered

POLICIES = "/apis/admissionregistration.k8s.io"
KINDS = {
    "MutatingAdmissionPolicy": "mutatingadmissionpolicies",
    "MutatingAdmissionPolicyBinding": "mutatingadmissionpolicybindings",
}
PATIENCE = 60
"""Seconds until the API server knows a new policy."""
CLUSTER = (
    "cluster: {" + ", ".join(f"{task}: {{cpu: 500m}}" for task in ("train", "evaluate", "other")) + "}\n"
)


@pytest.fixture
def made() -> Iterator[contextlib.ExitStack]:
    """What is removed after a test, last first."""
    with contextlib.ExitStack() as stack:
        yield stack


def version(connection: Connection) -> str:
    """That of the API in which the cluster has mutating policies: v1 from Kubernetes 1.36, v1beta1 where it is on."""
    for one in ("v1", "v1beta1"):
        found = rest.get(connection.api, f"{POLICIES}/{one}") or {}
        if KINDS["MutatingAdmissionPolicy"] in [each["name"] for each in found.get("resources", ())]:
            return one
    pytest.skip("the API server has no mutating admission policies: Kubernetes 1.36, or 1.34 with v1beta1 on")


def apply(connection: Connection, made: contextlib.ExitStack, name: str) -> None:
    """The policy and its binding under another name, for the namespace of Kubeflow Pipelines."""
    served = version(connection)
    for resource in copy.deepcopy(rendered("admission/restricted")):
        place = f"{POLICIES}/{served}/{KINDS[resource['kind']]}"
        resource |= {"apiVersion": f"admissionregistration.k8s.io/{served}"}
        resource["metadata"]["name"] = name
        if resource["kind"].endswith("Binding"):
            resource["spec"]["policyName"] = name
            (chosen,) = resource["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
            chosen["values"] = [connection.namespace]
        rest.post(connection.api, place, resource)
        made.callback(rest.delete, connection.api, f"{place}/{name}")


def pod(**spec: Any) -> dict[str, Any]:
    """A pod that no node takes, as a workflow's."""
    labels = {"workflows.argoproj.io/workflow": "none"}
    container = {"name": "one", "image": "none", **spec}
    return {"metadata": {"generateName": "asked-", "labels": labels}, "spec": {"containers": [container]}}


def kept(connection: Connection, asked: dict[str, Any], *, namespace: str) -> dict[str, Any]:
    """The spec of a pod as the API server would keep it."""
    made = rest.post(connection.api, f"/api/v1/namespaces/{namespace}/pods?dryRun=All", asked)
    return dict(made["spec"])


def short_of(connection: Connection, spec: dict[str, Any], *, namespace: str) -> str | None:
    """What the API server says of a pod with the spec in a namespace that takes restricted ones alone."""
    of_security = {
        key: spec[key]
        for key in ("containers", "initContainers", "volumes", "securityContext")
        if key in spec
    }
    try:
        kept(connection, {"metadata": {"generateName": "asked-"}, "spec": of_security}, namespace=namespace)
    except ApiException as error:
        if "violates PodSecurity" not in str(error.body):
            raise
        return str(error.body)
    return None


def test_pods_of_a_run_are_restricted_and_run(
    connection: Connection, images_file: Path, tmp_path: Path, made: contextlib.ExitStack
) -> None:
    name, namespace = f"restricted-{uuid.uuid4().hex[:6]}", connection.namespace
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    rest.post(connection.api, "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    made.callback(rest.delete, connection.api, f"/api/v1/namespaces/{name}")
    apply(connection, made, name)
    end = time.monotonic() + PATIENCE
    while not (asked := kept(connection, pod(), namespace=namespace))["securityContext"]:
        assert time.monotonic() < end, "the policy does not hold"
        time.sleep(1)
    assert asked["securityContext"]["runAsUser"] == 1000
    own = {"allowPrivilegeEscalation": True, "capabilities": {"add": ["CHOWN"]}}
    (container,) = kept(connection, pod(securityContext=own), namespace=namespace)["containers"]
    assert container["securityContext"] == own, "a container that says something is left as it is"

    made.callback(remove_all, name, connection)
    experiment = parse(TINY + CLUSTER).model_copy(update={"name": name})
    (tmp_path / "tiny.yaml").write_text(to_yaml(experiment))
    where = ("--namespace", namespace, "--images", str(images_file), "--wait")
    done = subprocess.run(
        [sys.executable, "-m", "precisionflow", "submit", "tiny.yaml", "--run-name", name, *where],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pods = [
        one["spec"]
        for one in rest.items(connection.api, f"/api/v1/namespaces/{namespace}/pods")
        if one["metadata"]["name"].startswith(name)
    ]
    assert any(of["name"] == "kfp-launcher" for spec in pods for of in spec.get("initContainers", ()))
    assert {short_of(connection, spec, namespace=name) for spec in pods} == {None}
