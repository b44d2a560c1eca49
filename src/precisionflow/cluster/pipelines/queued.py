"""What of a run waits in a queue: pods and TrainJobs that Kueue has not admitted, and how many go before them."""

from typing import TYPE_CHECKING

from precisionflow.cluster.access import names, objects
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import explained
from precisionflow.cluster.access.kinds import TRAINJOBS
from precisionflow.cluster.access.pod_state import GATED
from precisionflow.cluster.access.queues import ahead
from precisionflow.config.cluster import QUEUE

if TYPE_CHECKING:
    from kubernetes.client import V1Pod


def place_of(pod: "V1Pod", *, connection: Connection) -> str | None:
    """ "queued in team behind 3": a pod's place; none where no queue holds it."""
    queue = (pod.metadata.labels or {}).get(QUEUE)
    if queue is None or all(condition.reason != GATED for condition in pod.status.conditions or ()):
        return None
    return _words(queue, kind="Pod", name=pod.metadata.name, connection=connection)


def queued_jobs(run_id: str, *, connection: Connection) -> dict[str, str]:
    """TrainJobs of a run that wait in a queue -> their place there; empty where the user may not look at TrainJobs."""
    from kubernetes.client import ApiException

    with explained("looking for the run's TrainJobs"):
        try:
            found = objects.listed(connection, TRAINJOBS, labels={names.RUN: run_id})
        except ApiException as error:
            if error.status in (403, 404):
                return {}
            raise
    waiting = {
        job["metadata"]["name"]: queue
        for job in found
        if job["spec"].get("suspend") and (queue := job["metadata"].get("labels", {}).get(QUEUE))
    }
    return {
        name: _words(queue, kind="TrainJob", name=name, connection=connection)
        for name, queue in waiting.items()
    }


def _words(queue: str, *, kind: str, name: str, connection: Connection) -> str:
    with explained(f"looking at the queue {queue!r}"):
        count = ahead(connection, queue=queue, kind=kind, name=name)
    return f"queued in {queue}" if count is None else f"queued in {queue} behind {count}"
