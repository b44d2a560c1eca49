"""Places in a queue, as Kueue's visibility API tells them: in `status`, and while a run is followed."""

from typing import Any

import pytest
from kubernetes.client import V1ObjectMeta, V1Pod, V1PodCondition, V1PodStatus

from precisionflow.cluster.pipelines.queued import Queues
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
    assert Queues(kueue.connection()).place_of(pod("a")) == "queued in team behind 0"
    assert Queues(kueue.connection()).place_of(pod("admitted")) == "queued in team"


def test_a_pod_that_none_holds_is_not_asked_for(kueue: Table) -> None:
    for found in (pod("a", queue=None), pod("a", reason="Unschedulable")):
        assert Queues(kueue.connection()).place_of(found) is None
    assert kueue.asked == []


def test_without_the_right_or_the_api_only_the_queue_is_told(kueue: Table) -> None:
    kueue.answers["GET", PENDING] = (403, {"message": "no"})
    assert Queues(kueue.connection()).place_of(pod("a")) == "queued in team"
    del kueue.answers["GET", ORDER]
    assert Queues(kueue.connection()).place_of(pod("a")) == "queued in team"


def test_a_server_that_breaks_ends_nothing(kueue: Table) -> None:
    kueue.answers["GET", PENDING] = (503, {"message": "later"})
    assert Queues(kueue.connection()).place_of(pod("a")) == "queued in team"


def test_a_queue_is_asked_once(kueue: Table) -> None:
    queues = Queues(kueue.connection())
    assert [queues.place_of(pod(name)) for name in "ab"] == ["queued in team behind 0", "queued in team"]
    assert kueue.asked == [("GET", ORDER), ("GET", PENDING)]


def job(name: str, *, suspend: bool, label: bool = True) -> dict[str, Any]:
    labels = {"kueue.x-k8s.io/queue-name": "team"} if label else {}
    return {"metadata": {"name": name, "labels": labels}, "spec": {"suspend": suspend}}


def test_trainjobs_that_a_queue_holds(kueue: Table) -> None:
    jobs = (job("t", suspend=True), job("runs", suspend=False), job("stopped", suspend=True, label=False))
    kueue.answers["GET", JOBS] = (200, listed(*jobs))
    assert Queues(kueue.connection()).jobs("r") == {"TrainJob t": "queued in team behind 3"}
    assert any("precisionflow.org%2Frun%3Dr" in query for query in kueue.queries)
    for status in (403, 404):
        kueue.answers["GET", JOBS] = (status, {"message": "no"})
        assert Queues(kueue.connection()).jobs("r") == {}


def test_trials_that_a_queue_holds(kueue: Table) -> None:
    """A trial's Job or TrainJob has its name and no label of the run."""
    katib, batch = "/apis/kubeflow.org/v1beta1/namespaces/here", "/apis/batch/v1/namespaces/here/jobs"
    kueue.answers["GET", f"{katib}/experiments"] = (200, listed({"metadata": {"name": "study"}}))
    trials = [{"metadata": {"name": name}} for name in ("a", "runs", "t")]
    kueue.answers["GET", f"{katib}/trials"] = (200, listed(*trials))
    mine = (job("a", suspend=True), job("runs", suspend=False), job("of-others", suspend=True))
    kueue.answers["GET", batch] = (200, listed(*mine))
    waiting = {"kind": "PendingWorkloadsSummary", **listed(workload("Job", "a", 2))}
    kueue.answers["GET", PENDING] = (200, waiting)
    assert Queues(kueue.connection()).jobs("r") == {"trial a": "queued in team behind 2"}
    assert any("katib.kubeflow.org%2Fexperiment%3Dstudy" in query for query in kueue.queries)
    kueue.answers["GET", f"{katib}/trials"] = (403, {"message": "no"})
    assert Queues(kueue.connection()).jobs("r") == {}
