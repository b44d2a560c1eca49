"""What of a run waits in a queue: pods, TrainJobs and trials that Kueue has not admitted, and how many go before."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from precisionflow.cluster.access import names, objects
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError, explained
from precisionflow.cluster.access.kinds import EXPERIMENTS, JOBS, TRAINJOBS, TRIALS, Kind
from precisionflow.cluster.access.objects import Object
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
        """TrainJobs and trials of a run that wait in a queue, each after its kind -> its place.

        Without those of a kind that the user may not look at.
        """
        of_run = {names.RUN: run_id}
        waiting = {
            f"TrainJob {name}": self._words(queue, ("TrainJob", name))
            for name, queue in _held(self._listed(TRAINJOBS, of_run)).items()
        }
        trials = {
            trial["metadata"]["name"]
            for experiment in self._listed(EXPERIMENTS, of_run)
            for trial in self._listed(TRIALS, {names.OF_EXPERIMENT: experiment["metadata"]["name"]})
        }
        for kind, title in ((JOBS, "Job"), (TRAINJOBS, "TrainJob")) if trials else ():
            for name, queue in _held(self._listed(kind, {})).items():
                if name in trials:
                    waiting[f"trial {name}"] = self._words(queue, (title, name))
        return waiting

    def _listed(self, kind: Kind, labels: dict[str, str]) -> list[Object]:
        """Objects of a kind; none where the user may not look, or the cluster has no such kind."""
        from kubernetes.client import ApiException

        with explained(f"looking for the run's {kind.plural}"):
            try:
                return objects.listed(self.connection, kind, labels=labels)
            except ApiException as error:
                if error.status in (403, 404):
                    return []
                raise

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


def _held(jobs: list[Object]) -> dict[str, str]:
    """Name of each job that a queue has not admitted -> the queue."""
    return {
        job["metadata"]["name"]: queue
        for job in jobs
        if job["spec"].get("suspend") and (queue := job["metadata"].get("labels", {}).get(QUEUE))
    }
