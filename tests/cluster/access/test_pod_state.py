"""Why pods wait and how containers ended, said in one line: real API types in invented states."""

import pytest
from kubernetes import client

from precisionflow.cluster.access.pod_state import endings, waiting
from tests.invented_cluster import event, pod, stuck


@pytest.mark.parametrize(
    ("pods", "events", "beginning", "remedy"),
    [
        (
            [pod(condition="0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")],
            [],
            "no node takes pod train-x-node-0-1 (0/1 nodes are available: 1 Insufficient nvidia.com/gpu.)",
            "add nodes",
        ),
        (
            [stuck("ImagePullBackOff", "Back-off pulling image\nnot found")],
            [],
            "image registry.example/train:1 cannot be pulled (Back-off pulling image not found)",
            "build/images.json",
        ),
        (
            [stuck("CreateContainerConfigError", "container has runAsNonRoot and image will run as root")],
            [],
            "pod train-x-node-0-1 cannot start (container has runAsNonRoot",
            "mend what it names",
        ),
        (
            [],
            [event("FailedCreate", 'pods "x" is forbidden: exceeded quota: few, requested: pods=1')],
            "no pods are made (pods",
            "have the namespace's quota raised",
        ),
        (
            [],
            [event("FailedCreate", 'violates PodSecurity "restricted:latest": allowPrivilegeEscalation')],
            "no pods are made (violates PodSecurity",
            "pod-security label",
        ),
    ],
    ids=["unschedulable", "image", "config", "quota", "pod security"],
)
def test_what_pods_wait_for(pods, events, beginning, remedy):
    line = waiting(pods, events)
    assert line.startswith(beginning)
    assert line.endswith(remedy)
    assert "\n" not in line


def test_pods_that_only_take_their_time():
    running = pod(phase="Running", running=client.V1ContainerStateRunning())
    assert waiting([], []) is None
    assert waiting([stuck("ContainerCreating"), stuck("CrashLoopBackOff")], []) is None
    assert waiting([running], [event("FailedCreate", "an earlier one")]) is None


def test_how_containers_ended():
    def ended(code: int, reason: str = "Error") -> client.V1ContainerStateTerminated:
        return client.V1ContainerStateTerminated(exit_code=code, reason=reason)

    running = client.V1ContainerStateRunning()
    found = endings(
        [
            pod(terminated=ended(0, "Completed")),
            pod(terminated=ended(137, "OOMKilled"), restarts=2),
            pod(running=running, last=ended(2), restarts=1),
        ],
        container="node",
    )
    assert [(one.number, one.again) for one in found] == [(2, False), (0, True)]
    assert found[0].cause.startswith("used more memory than it may (OOMKilled); raise cluster.train.memory")
    assert found[1].cause == "ended with exit code 2"


def test_a_pod_that_a_queue_holds_is_queued() -> None:
    held = pod(condition="Scheduling is blocked due to non-empty scheduling gates")
    held.status.conditions[0].reason = "SchedulingGated"
    assert waiting([held], []) == (
        "pod train-x-node-0-1 is queued: its queue (cluster.queue) has not admitted it yet"
    )
