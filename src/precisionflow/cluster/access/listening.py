"""Whether Katib may add its collector to the pods of a namespace: without it, it waits for metrics for ever."""

from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError, explained
from precisionflow.cluster.access.names import INJECTION
from precisionflow.cluster.access.rest import forbidden


def refuse_unheard(connection: Connection) -> None:
    """ClusterError for a namespace without the label; a user who may not read namespaces is not asked."""
    from kubernetes.client import ApiException

    name = connection.namespace
    with explained(f"looking at namespace {name}"):
        try:
            labels = connection.core.read_namespace(name).metadata.labels or {}
        except ApiException as error:
            if forbidden(error):
                return
            raise
    if labels.get(INJECTION) != "enabled":
        raise ClusterError(
            f"namespace {name}: Katib does not listen to its trials; "
            f"say `kubectl label namespace {name} {INJECTION}=enabled`"
        )
