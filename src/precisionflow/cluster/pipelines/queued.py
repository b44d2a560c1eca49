"""What of a run waits in a queue: pods and TrainJobs that Kueue has not admitted, and how many go before them."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from precisionflow.cluster.access import names, objects
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError, explained
from precisionflow.cluster.access.kinds import TRAINJOBS
from precisionflow.cluster.access.pod_state import GATED
from precisionflow.cluster.access.queues import Owner, positions
from precisionflow.config.cluster import QUEUE

if TYPE_CHECKING:
    from kubernetes.client import V1Pod


@dataclass(frozen=True)
class Queues:
    """The queues as they are now: each is asked once."""

    connection: Connection
    _known: dict[str, dict[Owner, int]] = field(default_factory=dict)

    def place_of(self, pod: "V1Pod") -> str | None:
        """ "queued in team behind 3": a pod's place; none where no queue holds it."""
        queue = (pod.metadata.labels or {}).get(QUEUE)
        if queue is None or all(condition.reason != GATED for condition in pod.status.conditions or ()):
            return None
        return self._words(queue, ("Pod", pod.metadata.name))

    def jobs(self, run_id: str) -> dict[str, str]:
        """TrainJobs of a run that wait in a queue -> their place; empty where the user may not look at TrainJobs."""
        from kubernetes.client import ApiException

        with explained("looking for the run's TrainJobs"):
            try:
                found = objects.listed(self.connection, TRAINJOBS, labels={names.RUN: run_id})
            except ApiException as error:
                if error.status in (403, 404):
                    return {}
                raise
        waiting = {
            job["metadata"]["name"]: queue
            for job in found
            if job["spec"].get("suspend") and (queue := job["metadata"].get("labels", {}).get(QUEUE))
        }
        return {name: self._words(queue, ("TrainJob", name)) for name, queue in waiting.items()}

    def _words(self, queue: str, owner: Owner) -> str:
        """Without the number where nobody tells it: what follows a run does not end for that."""
        if queue not in self._known:
            try:
                with explained(f"looking at the queue {queue!r}"):
                    self._known[queue] = positions(self.connection, queue)
            except ClusterError:
                self._known[queue] = {}
        count = self._known[queue].get(owner)
        return f"queued in {queue}" if count is None else f"queued in {queue} behind {count}"
