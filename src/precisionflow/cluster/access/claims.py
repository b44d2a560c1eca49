"""The claim that is a workspace: whether it is there."""

from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError, explained
from precisionflow.cluster.access.rest import is_absent


def refuse_absent_claim(claim: str, connection: Connection) -> None:
    """ClusterError where the namespace of runs has no such PersistentVolumeClaim."""
    where = connection.namespace
    with explained(f"looking for the workspace {claim}"):
        absent = is_absent(connection.api, f"/api/v1/namespaces/{where}/persistentvolumeclaims/{claim}")
    if absent:
        raise ClusterError(
            f"workspace {claim}: namespace {where} has no PersistentVolumeClaim of that name (cluster.workspace); "
            "`kubectl apply -k manifests/runs` makes the usual one, docs/cluster.md says more"
        )
