"""What a submission refuses before it starts, and what it says of a schedule."""

from typing import Any

import pytest

from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.pipelines.submit import refuse_unmet
from tests.invented_cluster import Table, listed

KUEUE = "/apis/kueue.x-k8s.io"
NOTHING: dict[str, Any] = {"trainer": False, "volume": None, "queue": None, "secrets": ()}


@pytest.fixture
def kueue(table: Table) -> Table:
    """A cluster with one queue, one pull secret."""
    table.answers |= {
        ("GET", KUEUE): (200, {"preferredVersion": {"version": "v1beta2"}}),
        ("GET", f"{KUEUE}/v1beta2/namespaces/here/localqueues"): (
            200,
            listed({"metadata": {"name": "team"}}),
        ),
        ("GET", "/api/v1/namespaces/here/secrets/mine"): (200, {"metadata": {"name": "mine"}}),
    }
    return table


def test_what_is_there_is_taken(kueue: Table) -> None:
    refuse_unmet(**NOTHING, connection=kueue.connection())
    assert kueue.asked == []
    refuse_unmet(**NOTHING | {"queue": "team", "secrets": ("mine",)}, connection=kueue.connection())
    assert set(kueue.asked) == kueue.answers.keys(), "each is looked for"


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (
            {"queue": "other"},
            r"^cluster.queue 'other': is no LocalQueue of namespace here; there are: team$",
        ),
        (
            {"secrets": ("mine", "absent")},
            r"^looking for the pull secret 'absent' \(cluster.pull_secrets\): not there",
        ),
        ({"volume": "w"}, r"^looking for the workspace 'w' \(cluster.workspace\): not there"),
        ({"trainer": True}, r"^looking for Kubeflow Trainer, which engine.nodes > 1 needs: not there"),
    ],
)
def test_what_is_absent_is_one_line(wanted: dict[str, Any], told: str, kueue: Table) -> None:
    with pytest.raises(ClusterError, match=told) as refused:
        refuse_unmet(**NOTHING | wanted, connection=kueue.connection())
    assert "\n" not in str(refused.value)


def test_a_queue_without_kueue_is_one_line(table: Table) -> None:
    with pytest.raises(ClusterError, match=r"^cluster.queue 'team': Kueue is not installed; leave it out"):
        refuse_unmet(**NOTHING | {"queue": "team"}, connection=table.connection())
