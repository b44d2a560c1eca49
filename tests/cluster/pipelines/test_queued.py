"""Places in a queue, as Kueue's visibility API tells them: in `status`, and while a run is followed."""

from typing import Any

import pytest
from kubernetes.client import V1ObjectMeta, V1Pod, V1PodCondition, V1PodStatus

from precisionflow.cluster.pipelines.queued import place_of, queued_jobs
from tests.invented_cluster import Table, listed

ORDER = "/apis/visibility.kueue.x-k8s.io"
PENDING = f"{ORDER}/v1beta1/namespaces/here/localqueues/team/pendingworkloads"
JOBS = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/here/trainjobs"


def workload(kind: str, name: str, position: int) -> dict[str, Any]:
    owner = {"apiVersion": "v1", "kind": kind, "name": name, "uid": "u"}
    return {
        "metadata": {"name": f"{kind.lower()}-{name}-0f3a1", "namespace": "here", "ownerReferences": [owner]},
        "priority": 0,
        "localQueueName": "team",
        "positionInClusterQueue": position,
        "positionInLocalQueue": 0,
    }


def pod(name: str, *, reason: str = "SchedulingGated", queue: str | None = "team") -> V1Pod:
    labels = {"kueue.x-k8s.io/queue-name": queue} if queue else None
    gate = V1PodCondition(type="PodScheduled", status="False", reason=reason)
    return V1Pod(
        metadata=V1ObjectMeta(name=name, labels=labels),
        status=V1PodStatus(phase="Pending", conditions=[gate]),
    )


@pytest.fixture
def kueue(table: Table) -> Table:
    """A queue with two workloads that wait in it."""
    waiting = {
        "kind": "PendingWorkloadsSummary",
        **listed(workload("Pod", "a", 0), workload("TrainJob", "t", 3)),
    }
    table.answers |= {
        ("GET", ORDER): (200, {"preferredVersion": {"version": "v1beta1"}}),
        ("GET", PENDING): (200, waiting),
    }
    return table


def test_a_pod_that_a_queue_holds(kueue: Table) -> None:
    assert place_of(pod("a"), connection=kueue.connection()) == "queued in team behind 0"
    assert place_of(pod("admitted"), connection=kueue.connection()) == "queued in team"


def test_a_pod_that_none_holds_is_not_asked_for(kueue: Table) -> None:
    for found in (pod("a", queue=None), pod("a", reason="Unschedulable")):
        assert place_of(found, connection=kueue.connection()) is None
    assert kueue.asked == []


def test_without_the_right_or_the_api_only_the_queue_is_told(kueue: Table) -> None:
    kueue.answers["GET", PENDING] = (403, {"message": "no"})
    assert place_of(pod("a"), connection=kueue.connection()) == "queued in team"
    del kueue.answers["GET", ORDER]
    assert place_of(pod("a"), connection=kueue.connection()) == "queued in team"


def test_trainjobs_that_a_queue_holds(kueue: Table) -> None:
    def job(name: str, *, suspend: bool, label: bool = True) -> dict[str, Any]:
        labels = {"kueue.x-k8s.io/queue-name": "team"} if label else {}
        return {"metadata": {"name": name, "labels": labels}, "spec": {"suspend": suspend}}

    jobs = (job("t", suspend=True), job("runs", suspend=False), job("stopped", suspend=True, label=False))
    kueue.answers["GET", JOBS] = (200, listed(*jobs))
    assert queued_jobs("r", connection=kueue.connection()) == {"t": "queued in team behind 3"}
    assert any("precisionflow.org%2Frun%3Dr" in query for query in kueue.queries)
    for status in (403, 404):
        kueue.answers["GET", JOBS] = (status, {"message": "no"})
        assert queued_jobs("r", connection=kueue.connection()) == {}
