"""Port on this machine's loopback that leads to a pod, through the Kubernetes API."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError, explained

if TYPE_CHECKING:
    from kubernetes.client import V1EndpointSubset

CHUNK = 1 << 16
"""Bytes that are read at once."""


@contextlib.contextmanager
def forwarded(
    connection: Connection, *, service: str, namespace: str, port_name: str | None
) -> Iterator[str]:
    """`127.0.0.1:port`, as long as the block runs, for the port of that name of a service with a ready pod."""
    pod, port = _target(connection, service=service, namespace=namespace, port_name=port_name)
    listener = socket.create_server(("127.0.0.1", 0))
    accepting = threading.Thread(
        target=_accept,
        args=(connection, listener),
        kwargs={"pod": pod, "namespace": namespace, "port": port},
        daemon=True,
    )
    accepting.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()


def _target(
    connection: Connection, *, service: str, namespace: str, port_name: str | None
) -> tuple[str, int]:
    """Name of a ready pod behind a service, and the pod's own number of the port of that name."""
    with explained(f"looking for service {service} in namespace {namespace}"):
        endpoints = connection.core.read_namespaced_endpoints(service, namespace)
    subsets: list[V1EndpointSubset] = endpoints.subsets or []
    for subset in subsets:
        ports = [port.port for port in subset.ports or () if port.name == port_name]
        for address in subset.addresses or ():
            if address.target_ref and ports:
                return str(address.target_ref.name), int(ports[0])
    raise ClusterError(
        f"service {service} in namespace {namespace} has no ready pod; "
        f"`kubectl -n {namespace} get pods` shows what it waits for"
    )


def _accept(connection: Connection, listener: socket.socket, *, pod: str, namespace: str, port: int) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(
            target=_relay,
            args=(connection, client),
            kwargs={"pod": pod, "namespace": namespace, "port": port},
            daemon=True,
        ).start()


def _relay(connection: Connection, client: socket.socket, *, pod: str, namespace: str, port: int) -> None:
    """Bytes in both directions until either side ends; a pod that does not answer ends the client's connection."""
    from kubernetes.client import ApiClient, ApiException, CoreV1Api
    from kubernetes.stream import portforward

    with client, contextlib.suppress(OSError, ApiException):
        own = ApiClient(connection.api.configuration)  # the stream module alters its client while it opens
        call = CoreV1Api(own).connect_get_namespaced_pod_portforward
        with contextlib.closing(portforward(call, pod, namespace, ports=str(port)).socket(port)) as remote:
            back = threading.Thread(target=_copy, args=(remote, client), daemon=True)
            back.start()
            _copy(client, remote)
            back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(CHUNK):
            sink.sendall(chunk)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
