"""The kustomizations: schemas of Kubernetes, Pod Security "restricted", no secret, no registry, names as in the code.

With kubectl on the path the rendered overlays are checked, as they would be applied; without it the resources as they
stand in the files.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from precisionflow.cluster.access import names
from precisionflow.cluster.doctor.rights import ACCOUNT
from precisionflow.config.cluster import Cluster

MANIFESTS = Path(__file__).parents[2] / "manifests"
OVERLAYS = ("dev", "prod")
OWN_KINDS = {"TrainingRuntime"}
"""Checked by the cluster alone: custom resources."""
WORKLOADS = {"Deployment", "StatefulSet", "Job"}
Resource = dict[str, Any]


def _files(overlay: str) -> Iterator[Path]:
    for folder in ("base", "runs", f"overlays/{overlay}"):
        kustomization = yaml.safe_load((MANIFESTS / folder / "kustomization.yaml").read_text())
        yield from (
            MANIFESTS / folder / name for name in kustomization["resources"] if name.endswith(".yaml")
        )


def _plain(overlay: str) -> list[Resource]:
    return [part for path in _files(overlay) for part in yaml.safe_load_all(path.read_text())]


def _rendered(overlay: str) -> list[Resource]:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        return _plain(overlay)
    command = [kubectl, "kustomize", str(MANIFESTS / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module", params=OVERLAYS)
def resources(request: pytest.FixtureRequest) -> list[Resource]:
    return _rendered(request.param)


def _pods(resources: list[Resource]) -> Iterator[tuple[str, Resource]]:
    for resource in resources:
        if resource["kind"] in WORKLOADS:
            yield resource["metadata"]["name"], resource["spec"]["template"]["spec"]


def _containers(pod: Resource) -> list[Resource]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def _one(resources: list[Resource], kind: str, name: str) -> Resource:
    (found,) = (r for r in resources if (r["kind"], r["metadata"]["name"]) == (kind, name))
    return found


def test_every_resource_fits_kubernetes_schemas(resources: list[Resource]) -> None:
    built_in = [resource for resource in resources if resource["kind"] not in OWN_KINDS]
    assert len(built_in) > 15
    for resource in built_in:
        kubernetes_validate.validate(resource, "1.34", strict=True)


def test_a_field_that_does_not_exist_is_found(resources: list[Resource]) -> None:
    service = _one(resources, "Service", "mlflow")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(service | {"spec": service["spec"] | {"prots": []}}, "1.34", strict=True)


def test_every_pod_is_restricted_and_bounded(resources: list[Resource]) -> None:
    for name, pod in _pods(resources):
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", name
        assert pod["serviceAccountName"] != "default", name
        assert {kind for volume in pod.get("volumes", []) for kind in volume} <= {
            "name",
            "emptyDir",
            "configMap",
            "persistentVolumeClaim",
        }
        for container in _containers(pod):
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["readOnlyRootFilesystem"] is True, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert set(container["resources"]["limits"]) == {"cpu", "memory"}, name
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}, name


def test_images_have_a_tag_and_no_registry(resources: list[Resource]) -> None:
    images = {container["image"] for _, pod in _pods(resources) for container in _containers(pod)}
    assert images
    for image in images:
        assert re.fullmatch(r"([a-z0-9-]+/)?[a-z0-9-]+:v?[0-9][a-z0-9.-]*", image), image


def test_no_secret_and_no_wildcard(resources: list[Resource]) -> None:
    assert all(resource["kind"] != "Secret" for resource in resources)
    for resource in resources:
        for rule in resource.get("rules", []):
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
    for _, pod in _pods(resources):
        for variable in (v for container in _containers(pod) for v in container.get("env", [])):
            secret = re.search("PASSWORD|SECRET|KEY", variable["name"])
            assert not secret or "secretKeyRef" in variable["valueFrom"], variable["name"]


def test_runs_may_do_what_the_doctor_asks_for(resources: list[Resource]) -> None:
    """The doctor and the roles are two lists of one thing."""
    rules = [
        *_one(resources, "Role", "precisionflow-runs")["rules"],
        *_one(resources, "ClusterRole", "precisionflow-runs")["rules"],
    ]
    given = {
        (verb, group, resource)
        for rule in rules
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    for right in (right for rights in ACCOUNT.values() for right in rights):
        whole, _, part = right.resource.partition("/")
        name, _, group = whole.partition(".")
        for verb in right.verbs:
            assert (verb, group, f"{name}/{part}" if part else name) in given


def test_names_are_those_of_the_code(resources: list[Resource]) -> None:
    settings = _one(resources, "ConfigMap", names.MLFLOW)
    assert set(settings["data"]) == set(names.MLFLOW_VARIABLES)
    _one(resources, "PersistentVolumeClaim", Cluster().workspace)


def test_the_address_of_mlflow_is_a_host_that_it_allows(resources: list[Resource]) -> None:
    """MLflow compares the whole Host header, port included, and answers 403 to every other."""
    settings = _one(resources, "ConfigMap", names.MLFLOW)["data"]
    host = settings["MLFLOW_TRACKING_URI"].removeprefix("http://")
    (server,) = _one(resources, "Deployment", "mlflow")["spec"]["template"]["spec"]["containers"]
    (option,) = (word for word in server["command"] if word.startswith("--allowed-hosts="))
    allowed = option.removeprefix("--allowed-hosts=").split(",")
    assert host in allowed
    assert "*" not in allowed


def test_nothing_may_talk_unless_said(resources: list[Resource]) -> None:
    deny = _one(resources, "NetworkPolicy", "default-deny")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_prod_asks_for_a_login() -> None:
    patch = yaml.safe_load((MANIFESTS / "overlays/prod/mlflow.yaml").read_text())
    (server,) = patch["spec"]["template"]["spec"]["containers"]
    assert "--app-name=basic-auth" in server["command"]
    assert {"secretRef": {"name": "mlflow-login"}} in server["envFrom"]


def test_prod_keeps_the_allowed_hosts_of_the_base() -> None:
    """A patch replaces a command whole, so prod's stands in its own file."""

    def option(folder: str) -> str:
        resources = list(yaml.safe_load_all((MANIFESTS / folder / "mlflow.yaml").read_text()))
        (server,) = _one(resources, "Deployment", "mlflow")["spec"]["template"]["spec"]["containers"]
        return next(str(word) for word in server["command"] if word.startswith("--allowed-hosts"))

    assert option("overlays/prod") == option("base")
