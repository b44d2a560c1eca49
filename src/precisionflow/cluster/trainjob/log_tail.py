"""Log of one container as it grows, line by line, through restarts of the container."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.pod_logs import read_log

if TYPE_CHECKING:
    from kubernetes.client import V1Pod

MARGIN = 10
"""Seconds of log that are read twice, for the clocks of this pod and of the node."""


class LogTail:
    """The lines of one container that were not read before; time stamps tell them apart."""

    def __init__(self, connection: Connection, *, container: str) -> None:
        self.connection = connection
        self.container = container
        self.last: dict[str, str] = {}
        """Pod's uid -> time stamp of the last line that was read."""
        self.restarts: dict[str, int] = {}
        """Pod's uid -> restarts of its container at the last call."""
        self.asked = time.monotonic()

    def lines(self, pod: "V1Pod") -> Iterator[str]:
        """What the pod has printed since the last call; nothing before its container starts."""
        status = next(
            (s for s in pod.status.container_statuses or () if s.name == self.container),
            None,
        )
        if status is None:
            return
        since = int(time.monotonic() - self.asked) + MARGIN
        self.asked = time.monotonic()
        uid = pod.metadata.uid
        if status.restart_count > self.restarts.get(uid, 0):
            self.restarts[uid] = status.restart_count
            yield from self._unread(pod, previous=True)
        if status.state.running or status.state.terminated:
            recent = {"since_seconds": since} if uid in self.last else {}
            yield from self._unread(pod, previous=False, **recent)

    def _unread(self, pod: "V1Pod", *, previous: bool, **options: Any) -> Iterator[str]:
        text = read_log(
            self.connection, pod, container=self.container, previous=previous, timestamps=True, **options
        )
        seen = self.last.get(pod.metadata.uid, "")  # a line without a stamp is the kubelet's own excuse
        for line in text.splitlines():
            stamp, _, said = line.partition(" ")
            if stamp[:1].isdigit() and _instant(stamp) > _instant(seen):
                self.last[pod.metadata.uid] = stamp
                yield said


def _instant(stamp: str) -> str:
    """A time stamp whose order is that of text: Kubernetes leaves out zeros at the end of the fraction."""
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    return f"{whole}.{fraction:0<9}"
