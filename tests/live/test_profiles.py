"""Two users of a real KFP that tells its users apart: a namespace and a token each, their own runs, 403 for others'.

What a user may do is what the doctor asks for, and no more; a namespace is equipped as docs/cluster.md says.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import uuid
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import kfp
import pytest
import yaml

from precisionflow.cluster.access import names, rest
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.login import Login
from precisionflow.cluster.access.pipelines_api import through_api_server
from precisionflow.cluster.access.port_forward import forwarded
from precisionflow.cluster.doctor.rights import BY_PROXY, USER, Right
from precisionflow.config import parse, to_yaml
from precisionflow.results.layout import Aggregated, Results
from tests.command_line import TINY
from tests.live.test_security import CLUSTER
from tests.manifests.rendered import of_profile

CORE, RBAC = "/api/v1", "/apis/rbac.authorization.k8s.io/v1"
ACCOUNT = "default-editor"
"""Service account of a profile: its token is the user's, and runs have it."""
AUDIENCE = "pipelines.kubeflow.org"
"""For which a token has to be made so that KFP takes it."""
END_SECONDS = 1200


class User(NamedTuple):
    """A profile and the command line of whom it belongs to."""

    namespace: str
    name: str
    """Of the experiment, and of the run."""
    folder: Path
    token: str
    host: str

    def start(self, *words: str) -> subprocess.Popen[str]:
        where = ("--namespace", self.namespace, "--host", self.host)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
        return subprocess.Popen(
            [sys.executable, "-m", "precisionflow", *words, *where],
            cwd=self.folder,
            env={**kept, "KUBECONFIG": str(self.folder / "kubeconfig")},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def __call__(self, *words: str) -> tuple[int, str, str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=END_SECONDS)
        return process.returncode, out, err


@pytest.fixture(scope="module")
def users(
    connection: Connection, images_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[User, User]]:
    """Two users, whose namespaces go when the tests are over."""
    found = through_api_server(connection.namespace, api=connection.api)
    if not found.tells_users_apart:
        pytest.skip(f"Kubeflow Pipelines in {connection.namespace} tells no users apart (MULTIUSER)")
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl renders what a profile needs, and there is none on the path")
    namespaces = [f"{who}-{uuid.uuid4().hex[:6]}" for who in ("ann", "ben")]
    service = {"service": "ml-pipeline", "namespace": connection.namespace, "port_name": "http"}
    kfp_roles = f"{RBAC}/namespaces/{connection.namespace}"
    with forwarded(connection, **service) as address:
        made: list[User] = []
        try:
            for namespace in namespaces:
                folder = tmp_path_factory.mktemp(namespace)
                (folder / "images.json").write_text(images_file.read_text())
                made.append(profile(namespace, f"http://{address}", connection, folder))
            yield made[0], made[1]
        finally:
            for user in made:
                forget(user)
            for namespace in namespaces:
                rest.delete(connection.api, f"{CORE}/namespaces/{namespace}")
                rest.delete(connection.api, f"{RBAC}/clusterrolebindings/precisionflow-runs-{namespace}")
                rest.delete(connection.api, f"{kfp_roles}/rolebindings/{namespace}")
            rest.delete(connection.api, f"{kfp_roles}/roles/{STORE_ROLE}")


STORE_ROLE = f"precisionflow-test-store-{uuid.uuid4().hex[:6]}"


def profile(name: str, host: str, connection: Connection, folder: Path) -> User:
    """A namespace with a user in it who may do what the doctor asks for, and whose runs may do what KFP's may."""
    rest.post(
        connection.api,
        f"{CORE}/namespaces",
        {"metadata": {"name": name, "labels": {names.INJECTION: "enabled"}}},
    )
    rest.post(connection.api, f"{CORE}/namespaces/{name}/serviceaccounts", {"metadata": {"name": ACCOUNT}})
    store = f"{CORE}/namespaces/{{}}/secrets"
    login = rest.get(connection.api, f"{store.format(connection.namespace)}/{names.STORE_LOGIN}")
    assert login, "KFP's own store has a login"
    copied = {"metadata": {"name": names.STORE_LOGIN}, "data": login["data"]}
    rest.post(connection.api, store.format(name), copied)
    metadata = {f"METADATA_GRPC_SERVICE_{key}": value for key, value in metadata_service(connection).items()}
    copied = {"metadata": {"name": "metadata-grpc-configmap"}, "data": metadata}
    rest.post(connection.api, f"{CORE}/namespaces/{name}/configmaps", copied)
    runner = rest.get(connection.api, f"{RBAC}/namespaces/{connection.namespace}/roles/pipeline-runner")
    assert runner, "the role of KFP's own runs"
    rights = {right for whole in USER.values() for right in whole if right.resource != BY_PROXY}
    allow(connection, name, "runner", runner["rules"], account=name)
    allow(connection, name, "user", rules([r for r in rights if not r.at_store]), account=name)
    at_store = rules([right for right in rights if right.at_store])
    allow(connection, connection.namespace, STORE_ROLE, at_store, account=name, binding=name)
    equip(name, connection, folder)
    token = token_of(name, connection)
    (folder / "kubeconfig").write_text(yaml.safe_dump(kubeconfig(token, name, connection)))
    experiment = parse(TINY + CLUSTER).model_copy(update={"name": name})
    (folder / "tiny.yaml").write_text(to_yaml(experiment))
    return User(name, name, folder, token, host)


def metadata_service(connection: Connection) -> dict[str, str]:
    """Where KFP's launchers find its metadata, which its controller of profiles writes into each."""
    host = f"metadata-grpc-service.{connection.namespace}.svc.cluster.local"
    return {"HOST": host, "PORT": "8080"}


def rules(rights: Sequence[Right]) -> list[rest.Json]:
    """Rules of a role that gives these rights."""
    found = []
    for right in rights:
        whole, _, part = right.resource.partition("/")
        resource, _, group = whole.partition(".")
        resources = [f"{resource}/{part}" if part else resource]
        found.append({"apiGroups": [group], "resources": resources, "verbs": list(right.verbs)})
    return found


def allow(
    connection: Connection,
    where: str,
    role: str,
    rules: Sequence[rest.Json],
    *,
    account: str,
    binding: str | None = None,
) -> None:
    """A role of a namespace, made once, for a profile's service account."""
    place = f"{RBAC}/namespaces/{where}"
    if rest.get(connection.api, f"{place}/roles/{role}") is None:
        rest.post(connection.api, f"{place}/roles", {"metadata": {"name": role}, "rules": list(rules)})
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": account}
    reference = {"apiGroup": RBAC.split("/")[2], "kind": "Role", "name": role}
    content = {"metadata": {"name": binding or role}, "roleRef": reference, "subjects": [subject]}
    rest.post(connection.api, f"{place}/rolebindings", content)


def equip(namespace: str, connection: Connection, folder: Path) -> None:
    """Apply what a profile needs as docs/cluster.md says."""
    context = ["--context", connection.access.context] if connection.access.context else []
    command = ["kubectl", *context, "apply", "-k", str(of_profile(namespace, folder))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def token_of(namespace: str, connection: Connection) -> str:
    """A token of a profile's account that both the API server and KFP take."""
    path = f"{CORE}/namespaces/{namespace}/serviceaccounts/{ACCOUNT}/token"
    kind = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
    plain = rest.post(connection.api, path, {**kind, "spec": {}})["status"]["token"]
    payload = plain.split(".")[1]
    audiences = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["aud"]
    both = {"audiences": [*audiences, AUDIENCE], "expirationSeconds": 7200}
    return str(rest.post(connection.api, path, {**kind, "spec": both})["status"]["token"])


def kubeconfig(token: str, namespace: str, connection: Connection) -> rest.Json:
    """A file with the cluster of the tests and one user."""
    server = connection.api.configuration
    cluster = {"server": server.host}
    if server.ssl_ca_cert:
        authority = Path(server.ssl_ca_cert).read_bytes()
        cluster["certificate-authority-data"] = base64.b64encode(authority).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": namespace}}],
    }


def forget(user: User) -> None:
    """What KFP holds of a user, as its administrator: KFP's own role is more than the tests' users have."""
    bound = [
        "kubectl",
        "-n",
        user.namespace,
        "create",
        "rolebinding",
        "forget",
        "--clusterrole=cluster-admin",
    ]
    subprocess.run([*bound, f"--serviceaccount={user.namespace}:{ACCOUNT}"], check=True, capture_output=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # its greeting
        client = kfp.Client(host=user.host, credentials=Login(lambda: user.token))
    for run in client.list_runs(namespace=user.namespace).runs or ():
        client.delete_run(run.run_id)
    for experiment in client.list_experiments(namespace=user.namespace).experiments or ():
        client.delete_experiment(experiment.experiment_id)
    for pipeline in client.list_pipelines(namespace=user.namespace).pipelines or ():
        for version in client.list_pipeline_versions(pipeline.pipeline_id).pipeline_versions or ():
            client.delete_pipeline_version(pipeline.pipeline_id, version.pipeline_version_id)
        client.delete_pipeline(pipeline.pipeline_id)


def test_who_may_do_what_the_doctor_asks_for_hears_of_no_right_that_is_missing(
    users: tuple[User, User],
) -> None:
    _, out, err = users[0]("doctor", "--images", "images.json")
    assert err == ""
    assert "ok   Kubeflow Pipelines: for several users, API at " in out
    assert [line for line in out.splitlines() if line.startswith("bad  ")] == []


@pytest.fixture(scope="module")
def runs(users: tuple[User, User]) -> dict[str, str]:
    """Id of each user's run; both were submitted at once and followed to their ends."""
    words = ("submit", "tiny.yaml", "--images", "images.json", "--wait", "--run-name")
    clients = {user.name: user.start(*words, user.name) for user in users}
    found = {}
    for name, client in clients.items():
        out, err = client.communicate(timeout=END_SECONDS)
        assert (client.returncode, err) == (0, ""), out
        (id,) = re.findall(rf"^run {name} \((\S+)\)$", out, re.MULTILINE)
        found[name] = id
    return found


@pytest.mark.usefixtures("runs")
def test_each_sees_and_fetches_its_own(users: tuple[User, User]) -> None:
    for user in users:
        assert "  train default: done\n" in user("status", user.name)[1]
        code, out, err = user("fetch", user.name, "--out", "results")
        assert (code, err) == (0, ""), out
        assert Aggregated(Results(user.folder / "results").aggregate).table.exists()


def test_nobody_reaches_the_others(users: tuple[User, User], runs: dict[str, str]) -> None:
    ann, ben = users
    for verb in ("status", "logs", "fetch", "cancel"):
        code, out, err = ben(verb, runs[ann.name])
        assert (code, out, err.count("\n")) == (3, "", 1), err
        assert ": forbidden (" in err
        inside = ben._replace(namespace=ann.namespace)
        code, out, err = inside(verb, ann.name)
        assert (code, out, err.count("\n")) == (3, "", 1), err
        assert ": forbidden (" in err
    code, _, err = ben._replace(namespace=ann.namespace)("submit", "tiny.yaml", "--images", "images.json")
    assert (code, err.count("\n")) == (3, 1), err
    assert ": succeeded after " in ann("status", ann.name)[1]
