"""KFP's API where it tells users apart: whose token a request carries, to whom it is shown, where a pod finds KFP."""

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from precisionflow.cluster.access import connection as access
from precisionflow.cluster.access import login, pipelines_api
from precisionflow.cluster.access.connection import Access, Connection
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.access.login import of_user
from tests.invented_cluster import ApiServer, Json

PLUGIN = """
import json, sys
from pathlib import Path
count = Path(sys.argv[1])
number = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(number))
status = {"token": f"token-{number}", "expirationTimestamp": "2020-01-01T00:00:00Z"}
print(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}))
"""
"""A plugin whose every token has expired when it is used."""


class Gateway(ApiServer):
    """KFP for several users: it lists runs for who shows a token that it knows."""

    def __init__(self) -> None:
        super().__init__()
        self.known: set[str] = set()
        self.shown: list[str] = []
        """What each request has shown."""

    def answer(self, verb: str, path: str, *, query: str, body: Json) -> tuple[int, Any]:  # noqa: ARG002
        if path.endswith("/healthz"):
            return 200, {"multi_user": True}
        if self.shown[-1].removeprefix("Bearer ") not in self.known:
            return 401, {"message": "token expired"}
        return 200, {"runs": [], "total_size": 0}

    def seen(self, headers: Any) -> None:
        self.shown.append(str(headers.get("Authorization")))


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    made = Gateway()
    with made.running():
        yield made


def kubeconfig(folder: Path, user: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from kubernetes.config import kube_config

    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "team"}}],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(content))
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(folder / "kubeconfig"))


def listed(gateway: Gateway) -> Connection:
    connection = Connection(Access(host=gateway.address))
    connection.pipelines.list_runs(namespace=connection.kfp_namespace)
    return connection


def test_the_kubeconfigs_token_goes_to_the_address(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeconfig(tmp_path, {"token": "mine"}, monkeypatch)
    gateway.known = {"mine"}
    assert listed(gateway).kfp_namespace == "team"
    assert set(gateway.shown) == {"Bearer mine"}


def test_a_plugin_is_asked_again_when_its_token_has_expired(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plugin.py").write_text(PLUGIN)
    arguments = [str(tmp_path / "plugin.py"), str(tmp_path / "count")]
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": sys.executable, "args": arguments}
    kubeconfig(tmp_path, {"exec": {**plugin, "interactiveMode": "Never"}}, monkeypatch)
    gateway.known = {f"token-{number}" for number in range(1, 100)}
    connection = listed(gateway)
    connection.pipelines.list_runs(namespace="team")
    numbers = [int(shown.removeprefix("Bearer token-")) for shown in gateway.shown]
    assert numbers == sorted(set(numbers)), "never the same token twice"


def test_what_the_gateway_does_not_know_is_one_line(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from precisionflow.cluster.pipelines.runs import find_run

    kubeconfig(tmp_path, {"token": "old"}, monkeypatch)
    with pytest.raises(
        ClusterError, match=r": not logged in \(token expired\); log in again or renew the token"
    ):
        find_run("mine", connection=Connection(Access(host=gateway.address)))


def test_a_token_is_not_shown_on_an_open_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kubeconfig(tmp_path, {"token": "mine"}, monkeypatch)
    api = Connection(Access()).api
    for host, carried in (
        ("https://kubeflow.example/pipeline", True),
        ("http://localhost:8888", True),
        ("http://127.0.0.1:8888", True),
        ("http://kubeflow.example/pipeline", False),
        ("http://localhost.example", False),
    ):
        assert (of_user(host, api) is not None) == carried, host
    certificate = base64.b64encode(b"-----BEGIN CERTIFICATE-----\n").decode()
    kubeconfig(
        tmp_path, {"client-certificate-data": certificate, "client-key-data": certificate}, monkeypatch
    )
    assert of_user("https://kubeflow.example", Connection(Access()).api) is None


def test_a_pod_in_a_users_namespace_finds_kfp_in_its_own(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("of-the-pod\n")
    (tmp_path / "namespace").write_text("team")
    monkeypatch.setattr(login, "TOKEN", tmp_path / "token")
    monkeypatch.setattr(access, "_NAMESPACE", tmp_path / "namespace")
    places = {"team": "http://ml-pipeline.invalid:8888", "kubeflow": gateway.address}
    monkeypatch.setattr(pipelines_api, "_service", places.__getitem__)
    gateway.known = {"of-the-pod"}
    connection = Connection()
    connection.pipelines.list_runs(namespace=connection.kfp_namespace)
    assert (connection.pipelines_api.namespace, connection.kfp_namespace) == ("kubeflow", "team")
    assert set(gateway.shown) == {"Bearer of-the-pod"}
    assert json.dumps(gateway.shown).count("of-the-pod") > 1
