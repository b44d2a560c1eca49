"""Kueue's queues: where their kinds are served, and how many workloads wait before something."""

from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.rest import Json, forbidden, get, items

KUEUE = "kueue.x-k8s.io"
"""Group of Kueue's kinds."""
ORDER = f"visibility.{KUEUE}"
"""Group that tells the order in a queue."""


def served_version(connection: Connection, group: str = KUEUE) -> str | None:
    """Version in which the cluster serves a group of Kueue's; none where it does not."""
    found = get(connection.api, f"/apis/{group}")
    return str(found["preferredVersion"]["version"]) if found else None


def ahead(connection: Connection, *, queue: str, kind: str, name: str) -> int | None:
    """Workloads of any namespace that Kueue admits before that of an object, a Pod or a TrainJob.

    None where the object does not wait, and where the cluster does not tell, or not this user.
    """
    from kubernetes.client import ApiException

    try:
        version = served_version(connection, ORDER)
        place = (
            f"/apis/{ORDER}/{version}/namespaces/{connection.namespace}/localqueues/{queue}/pendingworkloads"
        )
        waiting = items(connection.api, place) if version else []
    except ApiException as error:
        if not forbidden(error):
            raise
        return None
    return next((int(one["positionInClusterQueue"]) for one in waiting if _is_of(one, kind, name)), None)


def _is_of(workload: Json, kind: str, name: str) -> bool:
    owners = workload["metadata"].get("ownerReferences") or ()
    return any((owner["kind"], owner["name"]) == (kind, name) for owner in owners)
