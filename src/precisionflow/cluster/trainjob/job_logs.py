"""What a pod's container prints, line by line, through restarts of the container."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api, V1Pod

MARGIN = 10
"""Seconds of log that are read twice, for the clocks of this pod and of the node."""


class LogTail:
    """The lines of one container that were not read before; time stamps tell them apart."""

    def __init__(self, core: "CoreV1Api", *, namespace: str, container: str) -> None:
        self.core = core
        self.namespace = namespace
        self.container = container
        self.last: dict[str, str] = {}
        """Pod's uid -> time stamp of the last line that was read."""
        self.restarts: dict[str, int] = {}
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
            yield from self._read(pod, previous=True, since=None)
        if status.state.running or status.state.terminated:
            yield from self._read(pod, previous=False, since=since if uid in self.last else None)

    def _read(self, pod: "V1Pod", *, previous: bool, since: int | None) -> Iterator[str]:
        from kubernetes.client import ApiException

        asked = {"since_seconds": since} if since is not None else {}
        try:
            text = self.core.read_namespaced_pod_log(
                pod.metadata.name,
                self.namespace,
                container=self.container,
                previous=previous,
                timestamps=True,
                **asked,
            )
        except ApiException as error:
            if error.status not in (400, 404):
                raise
            return
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
