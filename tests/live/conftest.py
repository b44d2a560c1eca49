"""A real cluster with Kubeflow, any: KUBECONFIG names its kubeconfig, without it these tests skip."""

import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from precisionflow.components.images import image_references

from precisionflow.cluster.access.connection import Access, Connection

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> Iterator[None]:
    """Commands that tests start heed SIGINT, which a shell's background jobs inherit as ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    """The file that reaches the cluster, from this process and from those that tests start."""
    given = os.environ.get("KUBECONFIG")
    if not given:
        pytest.skip("KUBECONFIG names no kubeconfig of a cluster with Kubeflow")
    return Path(given)


@pytest.fixture(scope="session")
def namespace(kubeconfig: Path) -> str:
    """Where Kubeflow Pipelines is: PRECISIONFLOW_NAMESPACE, else the first namespace with a service ml-pipeline."""
    from kubernetes.client import CoreV1Api

    if given := os.environ.get("PRECISIONFLOW_NAMESPACE"):
        return given
    found = CoreV1Api(Connection(Access(namespace="default")).api).list_service_for_all_namespaces(
        field_selector="metadata.name=ml-pipeline"
    )
    if not found.items:
        pytest.skip(
            f"{kubeconfig}: the cluster has no service ml-pipeline, Kubeflow Pipelines is not installed"
        )
    return str(found.items[0].metadata.namespace)


@pytest.fixture(scope="session")
def connection(namespace: str) -> Connection:
    """Clients for the namespace of Kubeflow Pipelines."""
    return Connection(Access(namespace=namespace))


@pytest.fixture(scope="session")
def images_file() -> Path:
    """What `make images` wrote: PRECISIONFLOW_IMAGES, else build/images.json."""
    file = Path(os.environ.get("PRECISIONFLOW_IMAGES") or ROOT / "build" / "images.json")
    if not file.exists():
        pytest.skip(f"{file} does not exist: run `make images` and bring the images to the cluster")
    return file


@pytest.fixture(scope="session")
def images(images_file: Path) -> Mapping[str, str]:
    """core, train -> reference."""
    return image_references(images_file)
