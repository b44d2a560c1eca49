"""Objects in a namespace: those of a kind, pods and warnings, listed, found by name, made, removed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from precisionflow.cluster.access import rest
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.kinds import Kind

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Event, V1Pod

Object = dict[str, Any]
"""A Kubernetes object as the API server takes it and gives it."""


def listed(
    connection: Connection, kind: Kind, *, labels: Mapping[str, str] | None = None, limit: int | None = None
) -> list[Object]:
    """Objects that have these labels, at most `limit`. ApiException 404 where the cluster does not know the kind."""
    options = {"limit": limit} if limit else {}
    found = connection.custom.list_namespaced_custom_object(
        *_place(connection, kind), label_selector=_selector(labels or {}), **options
    )
    return list(found["items"])


def named(connection: Connection, kind: Kind, name: str) -> Object | None:
    """The object of that name; none where there is none. ApiException 404 where the cluster does not know the kind."""
    found = connection.custom.list_namespaced_custom_object(
        *_place(connection, kind), field_selector=f"metadata.name={name}"
    )
    return next(iter(found["items"]), None)


def make(connection: Connection, kind: Kind, content: Object) -> Object:
    """Create an object; what the API server has made of it."""
    return dict(connection.custom.create_namespaced_custom_object(*_place(connection, kind), content))


def patch(connection: Connection, kind: Kind, name: str, change: Object) -> None:
    """Merge a change into an object."""
    connection.custom.patch_namespaced_custom_object(*_place(connection, kind), name, change)


def amend(connection: Connection, kind: Kind, name: str, change: list[Object]) -> None:
    """Apply a JSON patch to an object."""
    place = "/apis/{}/{}/namespaces/{}/{}".format(*_place(connection, kind))
    rest.patch(connection.api, f"{place}/{name}", change)


def remove(connection: Connection, kind: Kind, name: str) -> None:
    """Have an object removed, then what it owns; nothing happens where there is none.

    The owner goes first: as long as it is there, its controller may make anew what was removed from below it, as that
    of Katib's experiments does, for ever.
    """
    from kubernetes.client import ApiException

    try:
        connection.custom.delete_namespaced_custom_object(
            *_place(connection, kind), name, propagation_policy="Background"
        )
    except ApiException as error:
        if error.status != 404:
            raise


def pods(connection: Connection, *, labels: Mapping[str, str]) -> "list[V1Pod]":
    """Pods that have these labels and still exist."""
    found = connection.core.list_namespaced_pod(connection.namespace, label_selector=_selector(labels))
    return list(found.items)


def warnings(connection: Connection) -> "list[CoreV1Event]":
    """Events of type Warning that the namespace still keeps."""
    found = connection.core.list_namespaced_event(connection.namespace, field_selector="type=Warning")
    return list(found.items)


def _place(connection: Connection, kind: Kind) -> tuple[str, str, str, str]:
    return kind.group, kind.version, connection.namespace, kind.plural


def _selector(labels: Mapping[str, str]) -> str:
    return ",".join(f"{label}={value}" for label, value in labels.items())
