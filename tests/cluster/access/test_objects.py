"""Objects of a kind, asked of an API server that answers by a table."""

import pytest
from kubernetes.client import ApiException

from precisionflow.cluster.access import objects
from precisionflow.cluster.access.kinds import CLUSTER_RUNTIMES, TRAINJOBS
from precisionflow.cluster.access.owner import reference_to, workflow_owner
from precisionflow.cluster.access.pod_logs import read_log
from tests.invented_cluster import Table, pod

HERE = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/here/trainjobs"
JOB = {
    "apiVersion": "trainer.kubeflow.org/v1alpha1",
    "kind": "TrainJob",
    "metadata": {"name": "a", "uid": "u", "labels": {"x": "y"}},
}
LOG = "/api/v1/namespaces/here/pods/train-x-node-0-1/log"


def test_kinds_are_named_as_kubectl_and_as_objects_name_them() -> None:
    assert TRAINJOBS.api_version == JOB["apiVersion"]
    assert CLUSTER_RUNTIMES.resource == "clustertrainingruntimes.trainer.kubeflow.org"


def test_what_is_there_is_found(table: Table) -> None:
    table.answers["GET", HERE] = (200, {"items": [JOB]})
    connection = table.connection()
    assert objects.listed(connection, TRAINJOBS, labels={"x": "y", "z": "1"}) == [JOB]
    assert objects.named(connection, TRAINJOBS, "a") == JOB
    assert table.queries == ["labelSelector=x%3Dy%2Cz%3D1", "fieldSelector=metadata.name%3Da"]
    table.answers["GET", HERE] = (200, {"items": []})
    assert objects.named(connection, TRAINJOBS, "a") is None


def test_a_kind_that_the_cluster_does_not_know_is_no_empty_list(table: Table) -> None:
    for ask in (
        lambda: objects.listed(table.connection(), TRAINJOBS),
        lambda: objects.named(table.connection(), TRAINJOBS, "a"),
    ):
        with pytest.raises(ApiException) as caught:
            ask()
        assert caught.value.status == 404


def test_removing_what_is_not_there_is_no_error_and_a_refusal_is_one(table: Table) -> None:
    objects.remove(table.connection(), TRAINJOBS, "a")
    assert table.asked == [("DELETE", f"{HERE}/a")]
    table.answers["DELETE", f"{HERE}/a"] = (403, {"message": "no"})
    with pytest.raises(ApiException):
        objects.remove(table.connection(), TRAINJOBS, "a")


def test_a_log_is_read_as_it_was_printed(table: Table) -> None:
    table.answers["GET", LOG] = (200, '{"a": 1}')
    assert read_log(table.connection(), pod(), container="node") == '{"a": 1}'
    for status in (400, 404):
        table.answers["GET", LOG] = (status, {"message": "waiting to start"})
        assert read_log(table.connection(), pod(), container="node") == ""
    table.answers["GET", LOG] = (403, {"message": "no"})
    with pytest.raises(ApiException):
        read_log(table.connection(), pod(), container="node")


def test_owner_references(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod of a workflow names it; a process that is no pod's has no owner."""
    expected = {"apiVersion": JOB["apiVersion"], "kind": "TrainJob", "name": "a", "uid": "u"}
    assert reference_to(JOB) == expected
    monkeypatch.setenv("KFP_POD_NAME", "mine")
    assert workflow_owner(table.connection()) is None
    monkeypatch.setattr("precisionflow.cluster.access.owner.inside", lambda: True)
    workflow = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "w", "uid": "v"}
    metadata = {"name": "mine", "ownerReferences": [expected, workflow]}
    table.answers["GET", "/api/v1/namespaces/here/pods/mine"] = (200, {"metadata": metadata})
    assert workflow_owner(table.connection()) == workflow
