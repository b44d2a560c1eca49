"""The sample policy on a real API server: an image of ours is taken by digest, and a pod that was there may go on."""

import contextlib
import copy
import time
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes.client import ApiException

from precisionflow.cluster.access.connection import Connection
from tests.manifests.rendered import one, rendered

if TYPE_CHECKING:
    from kubernetes import client

DIGEST = f"@sha256:{'0' * 64}"
PATIENCE = 60
"""Seconds until the API server knows a new policy."""


@pytest.fixture(scope="module")
def core(connection: Connection) -> "client.CoreV1Api":
    from kubernetes import client

    return client.CoreV1Api(connection.api)


@pytest.fixture(scope="module")
def guarded(connection: Connection, core: "client.CoreV1Api") -> Iterator[str]:
    """A namespace of its own in which the policy holds; it has a pod from before, named by a tag."""
    from kubernetes import client

    name = f"admission-{uuid.uuid4().hex[:8]}"
    policies = client.AdmissionregistrationV1Api(connection.api)
    with contextlib.ExitStack() as made:
        core.create_namespace({"metadata": {"name": name}})
        made.callback(core.delete_namespace, name)
        end = time.monotonic() + PATIENCE
        while not made_before(core, name):
            assert time.monotonic() < end, "the namespace takes no pod"
            time.sleep(0.2)
        policies.create_validating_admission_policy(mine("ValidatingAdmissionPolicy", name))
        made.callback(policies.delete_validating_admission_policy, name)
        policies.create_validating_admission_policy_binding(mine("ValidatingAdmissionPolicyBinding", name))
        made.callback(policies.delete_validating_admission_policy_binding, name)
        end = time.monotonic() + PATIENCE
        while taken(core, name, "precisionflow-python-core:0.1.0"):
            assert time.monotonic() < end, "the policy does not hold"
            time.sleep(1)
        yield name


def made_before(core: "client.CoreV1Api", namespace: str) -> bool:
    """Make the pod from before, where its account is there and the webhooks of the cluster know the namespace."""
    try:
        core.create_namespaced_pod(namespace, pod("precisionflow-python-core:absent", name="before"))
    except ApiException as error:
        if error.status in (403, 404) and "not found" in str(error.body):
            return False
        raise
    return True


def mine(kind: str, name: str) -> dict[str, Any]:
    """The policy or its binding under another name, for one namespace."""
    resource = copy.deepcopy(one(rendered("admission/digest"), kind, "precisionflow-images"))
    resource["metadata"]["name"] = name
    if kind.endswith("Binding"):
        resource["spec"]["policyName"] = name
        (chosen,) = resource["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
        chosen["values"] = [name]
    return resource


def pod(image: str, *, name: str = "asked", first: str | None = None) -> dict[str, Any]:
    """A pod that never starts; `first` is the image of a container before."""
    container = {"name": "one", "image": image, "imagePullPolicy": "Never"}
    before = [{"name": "first", "image": first, "imagePullPolicy": "Never"}] if first else []
    spec = {"containers": [container], "initContainers": before, "restartPolicy": "Never"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def taken(core: "client.CoreV1Api", namespace: str, image: str, *, first: str | None = None) -> bool:
    """Whether the API server would take a pod; ApiException where anything but the policy refuses it."""
    try:
        core.create_namespaced_pod(namespace, pod(image, first=first), dry_run="All")
    except ApiException as error:
        if "is named by a tag; push it and name it by digest" not in str(error.body):
            raise
        return False
    return True


def test_an_image_of_ours_is_taken_by_digest(guarded: str, core: "client.CoreV1Api") -> None:
    ours = f"registry.example/team/precisionflow-python-core{DIGEST}"
    assert taken(core, guarded, ours)
    assert taken(core, guarded, "postgres:17")
    assert not taken(core, guarded, "registry.example:5000/team/precisionflow-python-train:ci")
    assert not taken(core, guarded, ours, first="precisionflow-python-core:0.1.0")


def test_a_pod_from_before_may_change_but_for_its_image(guarded: str, core: "client.CoreV1Api") -> None:
    core.patch_namespaced_pod("before", guarded, {"metadata": {"labels": {"a": "b"}}})
    other = {"spec": {"containers": [{"name": "one", "image": "precisionflow-python-core:other"}]}}
    with pytest.raises(ApiException, match="is named by a tag"):
        core.patch_namespaced_pod("before", guarded, other)


def test_expressions_have_the_types_that_the_api_server_knows(guarded: str, connection: Connection) -> None:
    from kubernetes import client

    policies = client.AdmissionregistrationV1Api(connection.api)
    end = time.monotonic() + PATIENCE
    while (status := policies.read_validating_admission_policy(guarded).status).observed_generation is None:
        assert time.monotonic() < end, "the policy is not looked at"
        time.sleep(1)
    assert not (status.type_checking and status.type_checking.expression_warnings)
