"""Kueue's queues: where their kinds are served, and how many workloads wait before something."""

from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.rest import forbidden, get, items

KUEUE = "kueue.x-k8s.io"
"""Group of Kueue's kinds."""
ORDER = f"visibility.{KUEUE}"
"""Group that tells the order in a queue."""


def served_version(connection: Connection, group: str = KUEUE) -> str | None:
    """Version in which the cluster serves a group of Kueue's; none where it does not."""
    found = get(connection.api, f"/apis/{group}")
    return str(found["preferredVersion"]["version"]) if found else None


Owner = tuple[str, str]
"""Kind and name of what a workload stands for, a Pod or a TrainJob."""


def positions(connection: Connection, queue: str) -> dict[Owner, int]:
    """What waits in a queue -> workloads of any namespace that Kueue admits before it.

    Empty where the cluster does not tell, or not this user.
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
        return {}
    return {
        (owner["kind"], owner["name"]): int(one["positionInClusterQueue"])
        for one in waiting
        for owner in one["metadata"].get("ownerReferences") or ()
    }
