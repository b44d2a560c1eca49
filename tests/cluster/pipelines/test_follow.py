"""What a follower says of a run, sight by sight, on a clock of our own."""

from typing import Any

import pytest
from kfp_server_api import V2beta1Run
from kubernetes.client import V1ObjectMeta, V1Pod, V1PodCondition, V1PodStatus

from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.pipelines import follow
from precisionflow.cluster.pipelines.follow import GRACE_SECONDS, PATIENCE_SECONDS, Follower, Sight
from precisionflow.cluster.pipelines.tasks import Task


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(follow, "time", found)
    return found


def sight(*phases: str, state: str = "RUNNING", tasks: tuple[Task, ...] = ()) -> Sight:
    pods = [
        V1Pod(metadata=V1ObjectMeta(name=f"pod-{i}"), status=V1PodStatus(phase=p))
        for i, p in enumerate(phases)
    ]
    return Sight(V2beta1Run(display_name="mine", state=state), list(tasks), pods)


def follower(said: list[str]) -> Follower:
    nobody: Any = None
    return Follower(nobody, said.append)


def test_a_run_whose_workflow_is_gone_is_not_followed_for_ever(clock: Clock) -> None:
    said: list[str] = []
    watching = follower(said)
    watching.tell(sight("Succeeded"))
    clock.now = GRACE_SECONDS + 1
    watching.tell(sight("Succeeded"))
    assert said == [
        "the run: waits: it has no pod that runs or is to run; its workflow may have been deleted"
    ]
    clock.now = PATIENCE_SECONDS + 1
    with pytest.raises(
        ClusterError, match=r"^run mine: for 10 minutes the run only waits: it has no pod.*cancel mine"
    ):
        watching.tell(sight("Succeeded"))
    assert len(said) == 1


def test_a_pause_between_two_pods_is_forgotten_when_the_next_one_runs(clock: Clock) -> None:
    said: list[str] = []
    watching = follower(said)
    for moment, phases in ((0, ()), (GRACE_SECONDS - 1, ()), (GRACE_SECONDS, ("Running",))):
        clock.now = moment
        watching.tell(sight(*phases))
    clock.now = PATIENCE_SECONDS
    watching.tell(sight())
    clock.now = PATIENCE_SECONDS + GRACE_SECONDS - 1
    watching.tell(sight())
    assert said == []


def test_a_finished_run_waits_for_nothing(clock: Clock) -> None:
    said: list[str] = []
    watching = follower(said)
    for clock.now in (0, 2 * PATIENCE_SECONDS):
        watching.tell(sight(state="SUCCEEDED"))
    assert said == []


def test_a_run_in_a_queue_is_followed_however_long_it_takes(clock: Clock) -> None:
    said: list[str] = []
    watching = follower(said)
    seen = sight("Pending")
    gate = V1PodCondition(type="PodScheduled", status="False", reason="SchedulingGated")
    seen.pods[0].status.conditions = [gate]
    for clock.now in (0, GRACE_SECONDS + 1, PATIENCE_SECONDS + GRACE_SECONDS + 2):
        watching.tell(seen)
    assert said == ["pod-0: waits: pod pod-0 is queued: its queue (cluster.queue) has not admitted it yet"]
