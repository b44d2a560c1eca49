"""The doctor on a real cluster: things are broken in a namespace of its own, told, mended, and told again."""

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from precisionflow.cluster.access import rest
from precisionflow.cluster.access.connection import Access, Connection
from precisionflow.cluster.access.names import INJECTION
from precisionflow.cluster.doctor.examine import examine
from precisionflow.cluster.doctor.finding import Finding
from precisionflow.cluster.doctor.rights import ACCOUNT, Right

CORE = "/api/v1"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture
def scratch(connection: Connection) -> Iterator[Connection]:
    """A connection to a namespace that holds nothing yet, and that no test shares."""
    name = f"precisionflow-doctor-{uuid.uuid4().hex[:6]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    rest.post(connection.api, f"{CORE}/namespaces", body)
    inside = Connection(Access(connection.access.context, name, connection.access.host))
    vars(inside)["api"] = connection.api
    yield inside
    rest.delete(connection.api, f"{CORE}/namespaces/{name}")


def found(connection: Connection, *, images: Mapping[str, str] | None = None) -> dict[str, Finding]:
    """What is looked at -> its line; the last one where there are several."""
    return {finding.what: finding for finding in examine(connection, images=images or {})}


def make(connection: Connection, kind: str, path: str, name: str, **content: object) -> None:
    version = "v1" if path.startswith(CORE) else path.split("/")[2] + "/v1"
    body = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **content}
    rest.post(connection.api, f"{path}/namespaces/{connection.namespace}/{kind.lower()}s", body)


def test_kubeflow_is_found(connection: Connection) -> None:
    lines = found(connection)
    for what in (
        "Kubernetes API",
        "you",
        "Argo Workflows",
        "Trainer",
        "JobSet",
        "Katib",
        "training runtimes",
    ):
        assert lines[what].state == "ok", lines[what]
    assert re.match(r"v1\.\d+", lines["Kubernetes API"].found)
    for finding in lines.values():
        assert "\n" not in str(finding)
        assert (finding.state == "ok") <= (finding.mend is None)


def test_an_empty_namespace_is_mended_line_by_line(scratch: Connection) -> None:
    name = scratch.namespace
    before = found(scratch)
    assert before["namespace"].found == f"{name}, Pod Security restricted"
    for what in ("namespace label", "workspace", "service account", "MLflow"):
        assert before[what].state == "bad", before[what]
    assert before["namespace label"].mend
    assert f"label --overwrite namespace {name} {INJECTION}=enabled" in before["namespace label"].mend

    whole = rest.get(scratch.api, f"{CORE}/namespaces/{name}")
    assert whole
    whole["metadata"]["labels"][INJECTION] = "enabled"
    scratch.api.call_api(f"{CORE}/namespaces/{name}", "PUT", body=whole, auth_settings=["BearerToken"])
    make(
        scratch,
        "PersistentVolumeClaim",
        CORE,
        "precisionflow-workspace",
        spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    )
    make(scratch, "ServiceAccount", CORE, "pipeline-runner")
    make(
        scratch,
        "ConfigMap",
        CORE,
        "precisionflow-mlflow",
        data={"MLFLOW_TRACKING_URI": "http://nowhere.invalid:5000"},
    )
    after = found(scratch)
    assert after["namespace label"].state == "ok"
    assert "1Gi ReadWriteOnce" in after["workspace"].found
    assert after["MLflow"].found == "http://nowhere.invalid:5000; not asked, no image to ask it from"
    assert "service account" not in after


def test_rights_of_the_service_account_are_told_one_by_one(scratch: Connection) -> None:
    make(scratch, "ServiceAccount", CORE, "pipeline-runner")
    for work, rights in ACCOUNT.items():
        what = f"rights of pipeline-runner for {work}"
        assert found(scratch)[what].state == "bad"
        inside = [right for right in rights if not right.everywhere]
        _allow(scratch, f"f-{len(rights)}", inside)
        line = found(scratch)[what]
        everywhere = [right for right in rights if right.everywhere]
        if everywhere:
            assert line.found == "may not list clustertrainingruntimes.trainer.kubeflow.org"
        else:
            assert line.state == "ok", line


def _allow(connection: Connection, name: str, rights: list[Right]) -> None:
    """A role with these rights for the service account of runs."""
    rules = [
        {
            "apiGroups": [right.resource.partition("/")[0].partition(".")[2]],
            "resources": [right.resource if "/" in right.resource else right.resource.split(".")[0]],
            "verbs": list(right.verbs),
        }
        for right in rights
    ]
    make(connection, "Role", RBAC, name, rules=rules)
    make(
        connection,
        "RoleBinding",
        RBAC,
        name,
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        subjects=[{"kind": "ServiceAccount", "name": "pipeline-runner", "namespace": connection.namespace}],
    )


def test_a_quota_that_leaves_no_room_is_told(scratch: Connection) -> None:
    make(scratch, "ResourceQuota", CORE, "tight", spec={"hard": {"requests.cpu": "1", "pods": "50"}})
    line = found(scratch)["quota"]
    assert line.state == "bad"
    assert "requests.cpu" in line.found
    assert "pods" not in line.found.split(";")[0]


def test_an_image_that_is_nowhere_is_told_and_leaves_no_pod(scratch: Connection) -> None:
    line = found(scratch, images={"core": "nowhere.invalid/none:1"})["image core"]
    assert line.state == "bad"
    assert line.found.startswith("nowhere.invalid/none:1 does not start: ErrImagePull: ")
    assert "nowhere.invalid" in line.found.split("ErrImagePull")[1]
    pods = rest.items(scratch.api, f"{CORE}/namespaces/{scratch.namespace}/pods")
    assert all("deletionTimestamp" in pod["metadata"] for pod in pods)


def test_images_of_this_version_start(scratch: Connection, images: Mapping[str, str]) -> None:
    lines = found(scratch, images=images)
    for name in images:
        assert lines[f"image {name}"].state == "ok", lines[f"image {name}"]


def test_mlflow_is_asked_from_inside(scratch: Connection, images: Mapping[str, str]) -> None:
    address = {"MLFLOW_TRACKING_URI": "http://nowhere.invalid:5000"}
    make(scratch, "ConfigMap", CORE, "precisionflow-mlflow", data=address)
    line = found(scratch, images=images)["MLflow"]
    assert line.state == "bad"
    assert line.found.startswith("http://nowhere.invalid:5000 from inside: no answer: ")


def test_a_user_without_rights_sees_which_ones(scratch: Connection, tmp_path: Path) -> None:
    make(scratch, "ServiceAccount", CORE, "somebody")
    done = _doctor(scratch, tmp_path, token=_token(scratch, "somebody"))
    assert done.returncode == 3
    assert f"you: are system:serviceaccount:{scratch.namespace}:somebody" in done.stdout
    for command in ("submit", "status", "logs", "fetch", "cancel", "search --cluster"):
        assert f"bad  your rights for {command}: you may not " in done.stdout
    assert "note nodes: not checked, you may not list resource" in done.stdout
    assert done.stderr == ""


def test_a_token_that_is_not_taken_is_one_line(scratch: Connection, tmp_path: Path) -> None:
    done = _doctor(scratch, tmp_path, token="expired")
    assert (done.returncode, done.stderr) == (3, "")
    line, count = done.stdout.splitlines()
    assert line == (
        "bad  Kubernetes API: not logged in (Unauthorized); log in again or renew the token in the kubeconfig"
    )
    assert count == "0 ok, 1 bad, 0 to note"


def _token(connection: Connection, account: str) -> str:
    path = f"{CORE}/namespaces/{connection.namespace}/serviceaccounts/{account}/token"
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 600},
    }
    return str(rest.post(connection.api, path, body)["status"]["token"])


def _doctor(connection: Connection, folder: Path, *, token: str) -> subprocess.CompletedProcess[str]:
    """The command with a kubeconfig of its own."""
    server = connection.api.configuration
    cluster = {"server": server.host, "certificate-authority": server.ssl_ca_cert}
    context = {"cluster": "c", "user": "u", "namespace": connection.namespace}
    settings = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {key: value for key, value in cluster.items() if value}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "c", "context": context}],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(settings))
    images = {name: f"nowhere.invalid/{name}:1" for name in ("core", "train")}
    (folder / "images.json").write_text(json.dumps(images))
    command = [sys.executable, "-m", "precisionflow", "doctor", "--images", str(folder / "images.json")]
    environment = {**os.environ, "KUBECONFIG": str(folder / "kubeconfig")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
