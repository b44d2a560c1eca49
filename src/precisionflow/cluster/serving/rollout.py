"""Rollout of a champion: a served model's pods are replaced where another version than theirs is champion."""

from dataclasses import dataclass

from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError, explained
from precisionflow.cluster.access.patience import PATIENCE, came_true
from precisionflow.cluster.access.rest import Json, get, patch

CHAMPION = "precisionflow.org/champion"
"""Annotation of the pods of a served model: NAME/VERSION of the champion that they were started for."""


@dataclass(frozen=True)
class Rollout:
    """A Deployment of manifests/serving."""

    connection: Connection
    namespace: str
    deployment: str

    def serve(self, champion: str, *, seconds: float = PATIENCE) -> bool:
        """Replace pods that were started for another champion, and wait until all new ones are ready; whether any were.

        Pods read `models:/NAME@champion` when they start, so that new ones have it. ClusterError where there is no such
        Deployment, and where its new pods are not ready in time: the old ones then go on.
        """
        before = self._found()
        annotations = before["spec"]["template"]["metadata"].get("annotations")
        if (annotations or {}).get(CHAMPION) == champion:
            return False
        place = "/spec/template/metadata/annotations"
        change: Json = {"op": "add", "path": f"{place}/{CHAMPION.replace('/', '~1')}", "value": champion}
        if annotations is None:
            change = {"op": "add", "path": place, "value": {CHAMPION: champion}}
        with explained(f"rolling out {self.deployment}"):
            patch(self.connection.api, self._path, [change])
        if not came_true(lambda: _is_rolled_out(self._found()), seconds=seconds):
            raise ClusterError(
                f"{self.deployment} in {self.namespace}: new pods are not ready after {seconds:.0f} s, the old ones go "
                f"on; `kubectl -n {self.namespace} describe deployment {self.deployment}` says why"
            )
        return True

    @property
    def _path(self) -> str:
        return f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{self.deployment}"

    def _found(self) -> Json:
        with explained(f"reading {self.deployment}"):
            found = get(self.connection.api, self._path)
        if found is None:
            raise ClusterError(
                f"deployment {self.deployment}: is not in namespace {self.namespace}; install it with "
                "`kubectl apply -k manifests/serving`"
            )
        return found


def _is_rolled_out(deployment: Json) -> bool:
    """Whether every replica is a new one and available."""
    status, wanted = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
    return seen and counts == [wanted] * 3
