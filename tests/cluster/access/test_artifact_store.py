"""Where KFP's artifacts lie, by recordings of its releases and by what the launcher's ConfigMap may say."""

import pytest
import yaml
from kubernetes.client import ApiException

from precisionflow.cluster.access.artifact_store import ArtifactStore, Login, Service, service_of
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.access.names import STORES
from precisionflow.cluster.access.port_forward import _target
from tests.invented_cluster import Table
from tests.invented_store import RELEASES, recorded

LEADS_TO = {
    "2.14.3": (Service("minio-service", "here", 9000, "http"), ("minio-0", 9000)),
    "2.15.0": (Service("seaweedfs", "here", 8333, "http-s3"), ("seaweedfs-0", 8333)),
    "2.17.0": (Service("seaweedfs", "here", 9000, "http-s3-compat"), ("seaweedfs-0", 8333)),
}


@pytest.mark.parametrize("release", RELEASES)
def test_the_own_store_of_each_release(release: str, table: Table) -> None:
    recorded(release, table)
    service = service_of(ArtifactStore.of({"defaultPipelineRoot": ""}), table.connection())
    assert service is not None
    expected, target = LEADS_TO[release]
    assert service == expected
    found = _target(
        table.connection(), service=service.name, namespace=service.namespace, port_name=service.port_name
    )
    assert found == target


def test_runs_in_a_profile_use_the_store_of_kubeflow(table: Table) -> None:
    recorded("2.17.0", table, namespace="kubeflow")
    service = service_of(ArtifactStore.of({}), table.connection())
    assert service == Service("seaweedfs", "kubeflow", 9000, "http-s3-compat")
    assert service.address == "seaweedfs.kubeflow:9000"
    refused = (403, {"message": "no"})
    for name in STORES:
        table.answers["GET", f"/api/v1/namespaces/here/services/{name}"] = refused
    assert service_of(ArtifactStore.of({}), table.connection()) == service, "the profile's own are not needed"
    table.answers["GET", "/api/v1/namespaces/kubeflow/services/seaweedfs"] = refused
    with pytest.raises(ApiException):
        service_of(ArtifactStore.of({}), table.connection())


def test_a_port_without_ready_pod_is_told(table: Table) -> None:
    recorded("2.17.0", table)
    with pytest.raises(ClusterError, match=r"^service seaweedfs in namespace here has no ready pod"):
        _target(table.connection(), service="seaweedfs", namespace="here", port_name="http")


PROVIDERS = {
    "minio": {
        "default": {
            "endpoint": "store.data.svc.cluster.local:9090",
            "disableSSL": True,
            "region": "home",
            "credentials": {"secretRef": {"secretName": "s", "accessKeyKey": "a", "secretKeyKey": "b"}},
        }
    },
    "s3": {
        "default": {
            "endpoint": "https://s3.eu.example.com",
            "region": "eu-1",
            "credentials": {"fromEnv": True},
        },
        "Overrides": [
            {
                "bucketName": "ours",
                "keyPrefix": "runs/",
                "region": "eu-2",
                "forcePathStyle": False,
                "credentials": {"secretRef": {"secretName": "theirs"}},
            }
        ],
    },
}


def test_the_launchers_config_map_says_which_store_and_whose_login(table: Table) -> None:
    launcher = {"defaultPipelineRoot": "minio://bucket/v2", "providers": yaml.safe_dump(PROVIDERS)}
    own = ArtifactStore.of(launcher)
    assert own == ArtifactStore(
        "minio://bucket/v2", "store.data.svc.cluster.local:9090", False, "home", Login("s", "a", "b")
    )
    service = {"spec": {"ports": [{"name": "api", "port": 9090}, {"name": "page", "port": 80}]}}
    table.answers["GET", "/api/v1/namespaces/data/services/store"] = (200, service)
    assert service_of(own, table.connection()) == Service("store", "data", 9090, "api")
    plain = ArtifactStore.of(launcher, root="s3://ours/other")
    assert (plain.endpoint, plain.tls, plain.region, plain.login) == ("s3.eu.example.com", True, "eu-1", None)
    assert service_of(plain, table.connection()) is None
    overridden = ArtifactStore.of(launcher, root="s3://ours/runs")
    assert (overridden.region, overridden.login) == ("eu-2", Login("theirs"))
    assert (overridden.endpoint, overridden.path_style) == ("s3.eu.example.com", False)


def test_a_root_of_a_kind_that_is_not_configured_is_left_to_the_environment() -> None:
    store = ArtifactStore.of({}, root="s3://bucket/v2")
    assert (store.endpoint, store.region, store.login) == (None, None, None)
    assert ArtifactStore.of({}).root == "minio://mlpipeline/v2/artifacts"


@pytest.mark.parametrize("text", ["- minio", "a: [", "minio"])
def test_providers_that_are_no_mapping_are_one_line(text: str) -> None:
    with pytest.raises(ClusterError, match=r"^ConfigMap kfp-launcher: `providers` is no mapping in YAML"):
        ArtifactStore.of({"providers": text})
