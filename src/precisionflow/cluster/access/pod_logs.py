"""Logs of pods: the text that one container printed."""

from typing import TYPE_CHECKING, Any

from precisionflow.cluster.access.connection import Connection

if TYPE_CHECKING:
    from kubernetes.client import V1Pod


def read_log(connection: Connection, pod: "V1Pod", *, container: str, **options: Any) -> str:
    """What a container printed; empty while it has not begun, and once its pod is gone.

    `options` are those of the client: tail_lines, since_seconds, previous, timestamps.
    """
    from kubernetes.client import ApiException

    try:
        # decoded here: the client would turn a log that is JSON into Python's notation
        answer = connection.core.read_namespaced_pod_log(
            pod.metadata.name,
            pod.metadata.namespace or connection.namespace,
            container=container,
            _preload_content=False,
            **options,
        )
    except ApiException as error:
        if error.status in (400, 404):
            return ""
        raise
    return str(answer.data.decode(errors="replace"))
