"""A log that grows, read through a restart of its container from an API server that answers by a table."""

from kubernetes import client

from precisionflow.cluster.trainjob.log_tail import LogTail
from tests.invented_cluster import Table, pod


def test_every_line_of_a_log_is_read_once_through_a_restart(table: Table):
    path = "/api/v1/namespaces/here/pods/train-x-node-0-1/log"
    tail = LogTail(table.connection(), container="node")
    running = client.V1ContainerStateRunning()
    assert list(tail.lines(pod())) == []
    first = ["2026-01-01T00:00:00.1Z one", "2026-01-01T00:00:00.15Z two"]
    table.answers["GET", path] = (200, "\n".join(first))
    assert list(tail.lines(pod(running=running))) == ["one", "two"]
    assert list(tail.lines(pod(running=running))) == []
    table.answers["GET", path] = (
        200,
        "\n".join([*first, "2026-01-01T00:00:01Z three  spaced", "unable to read"]),
    )
    assert list(tail.lines(pod(running=running))) == ["three  spaced"]
    table.answers["GET", path] = (200, "2026-01-01T00:00:01.000000001Z four")
    assert list(tail.lines(pod(running=running, restarts=1))) == ["four"]
    table.answers["GET", path] = (400, {"message": "container is waiting to start"})
    assert list(tail.lines(pod(running=running, restarts=1))) == []
