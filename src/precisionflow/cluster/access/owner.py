"""Owner references: the object that takes another with it when it is deleted."""

import os

from precisionflow.cluster.access.connection import Connection, inside
from precisionflow.cluster.access.errors import explained
from precisionflow.cluster.access.objects import Object


def reference_to(owner: Object) -> Object:
    """Reference to an object that exists."""
    metadata = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }


def workflow_owner(connection: Connection) -> Object | None:
    """Reference to the Argo workflow that this pod works for; none outside of one."""
    pod = os.environ.get("KFP_POD_NAME")
    if not (pod and inside()):
        return None
    with explained("looking at this task's own pod"):
        metadata = connection.core.read_namespaced_pod(pod, connection.namespace).metadata
    for owner in metadata.owner_references or ():
        if owner.kind == "Workflow":
            of_owner = {"name": owner.name, "uid": owner.uid}
            return reference_to({"apiVersion": owner.api_version, "kind": owner.kind, "metadata": of_owner})
    return None
