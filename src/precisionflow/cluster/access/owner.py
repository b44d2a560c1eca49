"""Owner references: the object that takes another with it when it is deleted."""

import os
from typing import TYPE_CHECKING

from precisionflow.cluster.access.connection import Connection, inside
from precisionflow.cluster.access.errors import explained
from precisionflow.cluster.access.names import KFP_RUN
from precisionflow.cluster.access.objects import Object

if TYPE_CHECKING:
    from kubernetes.client import V1Pod


def reference_to(owner: Object) -> Object:
    """Reference to an object that exists."""
    metadata = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }


def own_run(connection: Connection) -> str:
    """Id of the pipeline's run that this pod works for; empty outside of one."""
    pod = _own_pod(connection)
    return (pod.metadata.labels or {}).get(KFP_RUN, "") if pod else ""


def _own_pod(connection: Connection) -> "V1Pod | None":
    """This process' pod, where it is a task of a pipeline."""
    name = os.environ.get("KFP_POD_NAME")
    if not (name and inside()):
        return None
    with explained("looking at this task's own pod"):
        return connection.core.read_namespaced_pod(name, connection.namespace)


def workflow_owner(connection: Connection) -> Object | None:
    """Reference to the Argo workflow that this pod works for; none outside of one."""
    pod = _own_pod(connection)
    for owner in (pod.metadata.owner_references if pod else None) or ():
        if owner.kind == "Workflow":
            of_owner = {"name": owner.name, "uid": owner.uid}
            return reference_to({"apiVersion": owner.api_version, "kind": owner.kind, "metadata": of_owner})
    return None
