"""What is refused before anything is sent: a queue, a secret, a runtime, an operator that the cluster lacks."""

from typing import Any

import pytest

from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.pipelines.unmet import Asked, refuse_unmet
from precisionflow.config.cluster import Cluster
from tests.invented_cluster import Table, listed

KUEUE = "/apis/kueue.x-k8s.io"
QUEUES, PRIORITIES = (
    f"{KUEUE}/v1beta2/namespaces/here/localqueues",
    f"{KUEUE}/v1beta2/workloadpriorityclasses",
)
TRAINER = "/apis/trainer.kubeflow.org/v1alpha1"
CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"
HERE = "/api/v1/namespaces/here"
QUOTAS = f"{HERE}/resourcequotas"
WHOLE: dict[str, Any] = {
    "queue": "team",
    "priority": "high",
    "pull_secrets": ("mine",),
    "priority_class": "precisionflow-training",
}
"""Settings all of which `whole` has."""


def quota(**hard: str) -> dict[str, Any]:
    return {"metadata": {"name": "small"}, "spec": {"hard": hard}}


def named(name: str) -> dict[str, Any]:
    return listed({"metadata": {"name": name}})


@pytest.fixture
def whole(table: Table) -> Table:
    """A cluster with one of each."""
    label = {"katib.kubeflow.org/metrics-collector-injection": "enabled"}
    there: dict[str, Any] = {
        QUOTAS: listed(
            quota(**{"requests.cpu": "4", "memory": "16Gi", "requests.nvidia.com/gpu": "1", "pods": "9"})
        ),
        KUEUE: {"preferredVersion": {"version": "v1beta2"}},
        QUEUES: named("team"),
        PRIORITIES: named("high"),
        f"{HERE}/secrets/mine": {},
        TRAINER: {},
        f"{TRAINER}/clustertrainingruntimes": named("torch-distributed"),
        f"{TRAINER}/namespaces/here/trainingruntimes": listed(),
        CLASSES: named("precisionflow-training"),
        "/apis/kubeflow.org/v1beta1": {},
        HERE: {"metadata": {"name": "here", "labels": label}},
        f"{HERE}/persistentvolumeclaims/w": {},
    }
    table.answers |= {("GET", path): (200, content) for path, content in there.items()}
    return table


def refused(table: Table, settings: dict[str, Any], **asked: Any) -> None:
    refuse_unmet(Asked(Cluster(**settings), **asked), table.connection())


EVERYTHING: dict[str, Any] = {"trainer": True, "volume": "w", "searching": True}


def test_what_is_there_is_taken(whole: Table) -> None:
    refused(whole, {})
    assert whole.asked == [("GET", QUOTAS)]
    refused(whole, WHOLE, **EVERYTHING)
    assert set(whole.asked) == whole.answers.keys(), "each is looked for"


def test_a_quota_for_some_pods_alone_refuses_none(whole: Table) -> None:
    few = quota(cpu="1")
    few["spec"]["scopes"] = ["BestEffort"]
    whole.answers["GET", QUOTAS] = (200, listed(few))
    refused(whole, {"train": {"cpu": "8"}})
    assert whole.asked == [("GET", QUOTAS)]
    del few["spec"]["scopes"]
    with pytest.raises(ClusterError, match=r"^cluster.train: a pod asks for 8 cpu"):
        refused(whole, {"train": {"cpu": "8"}})


def test_what_a_user_may_not_look_at_is_taken_to_be_there(whole: Table) -> None:
    for path in (
        QUOTAS,
        QUEUES,
        PRIORITIES,
        f"{HERE}/secrets/mine",
        f"{HERE}/persistentvolumeclaims/w",
        f"{TRAINER}/clustertrainingruntimes",
        CLASSES,
        HERE,
    ):
        whole.answers["GET", path] = (403, {"message": "no"})
    refused(whole, WHOLE, **EVERYTHING)
    assert set(whole.asked) == whole.answers.keys(), "each is looked for all the same"


@pytest.mark.parametrize(
    ("settings", "asked", "told"),
    [
        (
            {"queue": "other"},
            {},
            r"^cluster.queue 'other': is no LocalQueue of namespace here; there are: team$",
        ),
        (
            {"queue": "team", "priority": "low"},
            {},
            r"^cluster.priority 'low': is no WorkloadPriorityClass; there are: high$",
        ),
        (
            {"pull_secrets": ("mine", "absent")},
            {},
            r"^cluster.pull_secrets 'absent': namespace here has no such Secret; make it: `kubectl -n here create "
            r"secret docker-registry absent --docker-server=HOST ",
        ),
        (
            {"runtime": "deepspeed-distributed"},
            {"trainer": True},
            r"^cluster.runtime 'deepspeed-distributed': is no training runtime; there are: torch-distributed$",
        ),
        (
            {"priority_class": "fast"},
            {"trainer": True},
            r"^cluster.priority_class 'fast': is no PriorityClass; there are: precisionflow-training$",
        ),
        (
            {"train": {"cpu": "4500m"}},
            {},
            r"^cluster.train: a pod asks for 4500m cpu, and quota small allows the whole namespace here 4; ask for",
        ),
        (
            {"other": {"memory": "17Gi"}},
            {},
            r"^cluster.other: a pod asks for 17Gi memory, and quota small allows the",
        ),
        (
            {"evaluate": {"gpus": 2}},
            {},
            r"^cluster.evaluate: a pod asks for 2 nvidia.com/gpu, and quota small allows",
        ),
        (
            {},
            {"volume": "v"},
            r"^workspace v: namespace here has no PersistentVolumeClaim of that name",
        ),
    ],
)
def test_what_is_absent_is_one_line(
    settings: dict[str, Any], asked: dict[str, Any], told: str, whole: Table
) -> None:
    with pytest.raises(ClusterError, match=told) as caught:
        refused(whole, settings, **asked)
    assert "\n" not in str(caught.value)
    assert {verb for verb, _ in whole.asked} == {"GET"}, "nothing is made"


@pytest.mark.parametrize(
    ("settings", "asked", "told"),
    [
        ({"queue": "team"}, {}, r"^cluster.queue 'team': Kueue is not installed; leave it out"),
        (
            {},
            {"trainer": True},
            r"^Kubeflow Trainer, which engine.nodes > 1 needs, is not installed; .*doctor",
        ),
        (
            {},
            {"searching": True},
            r"^Katib, which the search needs, is not installed; `precisionflow doctor`",
        ),
    ],
)
def test_what_is_not_installed_is_one_line(
    settings: dict[str, Any], asked: dict[str, Any], told: str, table: Table
) -> None:
    with pytest.raises(ClusterError, match=told):
        refused(table, settings, **asked)


def test_a_namespace_whose_trials_nobody_hears_is_one_line(whole: Table) -> None:
    whole.answers["GET", HERE] = (200, {"metadata": {"name": "here"}})
    with pytest.raises(
        ClusterError, match=r"^namespace here: Katib does not listen .*`kubectl label namespace"
    ):
        refused(whole, {}, searching=True)
