"""Object store of KFP: objects that the tasks of a run wrote, listed, read, downloaded."""

import base64
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from precisionflow.cluster.access.artifact_store import (
    ArtifactStore,
    Login,
    launcher_settings,
    service_of,
)
from precisionflow.cluster.access.connection import Connection, inside
from precisionflow.cluster.access.errors import ClusterError, explained
from precisionflow.cluster.access.names import KFP_NAMESPACE, LAUNCHER, STORES
from precisionflow.cluster.access.port_forward import forwarded

if TYPE_CHECKING:
    from kubernetes.client import V1Secret


MOST_REMOVED = 1000
"""Objects that S3 removes at once."""


class StoredObject(NamedTuple):
    """An object of the store."""

    key: str
    """Path below the address that was asked for."""
    size: int
    """In bytes."""
    modified: float
    """Seconds since 1970."""


@dataclass(frozen=True)
class ObjectStore:
    """Objects at addresses such as minio://bucket/key; ClusterError where the store does not answer."""

    client: Any

    def keys(self, address: str) -> list[str]:
        """Paths of the objects below `address`, a folder; "" where `address` is itself an object."""
        return [stored.key for stored in self.contents(address)]

    def contents(self, address: str) -> "list[StoredObject]":
        """Objects below `address`, a folder, by their paths there; "" where `address` is itself an object."""
        bucket, prefix = split(address)
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        with stored(address):
            found = [content for page in pages for content in page.get("Contents", ())]
        below = [one for one in found if one["Key"] == prefix or one["Key"].startswith(prefix + "/")]
        return [
            StoredObject(
                one["Key"].removeprefix(prefix).removeprefix("/"),
                one["Size"],
                one["LastModified"].timestamp(),
            )
            for one in below
            if not one["Key"].endswith("/") and ".." not in one["Key"].split("/")
        ]

    def remove(self, address: str) -> None:
        """Remove every object below `address`, a folder."""
        bucket, prefix = split(address)
        keys = [f"{prefix}/{key}".rstrip("/") for key in self.keys(address)]
        with stored(address):
            for start in range(0, len(keys), MOST_REMOVED):
                chosen = [{"Key": key} for key in keys[start : start + MOST_REMOVED]]
                answer = self.client.delete_objects(Bucket=bucket, Delete={"Objects": chosen, "Quiet": True})
                for refused in answer.get("Errors", ()):
                    raise ClusterError(
                        f"removing {address}: {refused.get('Code')} for {refused.get('Key')}; "
                        "give the store's login the right to delete"
                    )

    def read(self, address: str) -> bytes:
        """A small object; ClusterError where it is not there."""
        bucket, key = split(address)
        with stored(address):
            return bytes(self.client.get_object(Bucket=bucket, Key=key)["Body"].read())

    def download(self, address: str, path: Path) -> None:
        """Copy an object into a file."""
        bucket, key = split(address)
        path.parent.mkdir(parents=True, exist_ok=True)
        with stored(address):
            self.client.download_file(bucket, key, str(path))


def split(address: str) -> tuple[str, str]:
    """Bucket and key of minio://bucket/key."""
    parts = urlsplit(address)
    return parts.netloc, parts.path.strip("/")


@contextlib.contextmanager
def stored(address: str) -> Iterator[None]:
    """Turn the store's exceptions into a ClusterError."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (Boto3Error, BotoCoreError, ClientError) as error:
        cause = " ".join(str(error).split())[:200]
        raise ClusterError(f"reading {address}: {cause}; `precisionflow doctor` says what is wrong") from None


@contextlib.contextmanager
def object_store(connection: Connection, *, root: str) -> Iterator[ObjectStore]:
    """The store that holds the pipeline root `root`, reached as KFP's launcher reaches it.

    A store inside the cluster is reached through the Kubernetes API, one outside by its own address; where the
    launcher's ConfigMap names no login, by that of this machine.
    """
    import boto3
    from botocore.config import Config

    with explained(f"reading ConfigMap {LAUNCHER} in namespace {connection.namespace}"):
        store = ArtifactStore.of(launcher_settings(connection), root=root)
    if store.kind not in ("minio", "s3"):
        raise ClusterError(
            f"{root}: results in a store of kind {store.kind!r} are not fetched; copy them with its own program"
        )
    with _address(store, connection) as address:
        access, secret = _login(connection, store.login) if store.login else (None, None)
        scheme = "https" if store.tls else "http"
        yield ObjectStore(
            boto3.client(
                "s3",
                endpoint_url=f"{scheme}://{address}" if address else None,
                region_name=store.region,
                aws_access_key_id=access,
                aws_secret_access_key=secret,
                config=Config(
                    s3={"addressing_style": "path" if store.path_style else "auto"},
                    retries={"max_attempts": 4, "mode": "standard"},
                ),
            )
        )


@contextlib.contextmanager
def _address(store: ArtifactStore, connection: Connection) -> Iterator[str | None]:
    """Host and port of a store, as this process reaches it; none for Amazon's."""
    with explained(f"looking for the store of {store.root}"):
        service = service_of(store, connection)
    if service is None:
        if store.endpoint is None and store.kind == "minio":
            raise ClusterError(
                f"{store.root}: neither service {' nor '.join(STORES)} is in namespace {connection.namespace} or "
                f"{KFP_NAMESPACE}; `precisionflow doctor` says what is to be installed"
            )
        yield store.endpoint
    elif inside():
        yield service.address
    else:
        with forwarded(
            connection, service=service.name, namespace=service.namespace, port_name=service.port_name
        ) as address:
            yield address


def _login(connection: Connection, login: Login) -> tuple[str, str]:
    """Access key and secret key of a store."""
    with explained(f"reading secret {login.secret} in namespace {connection.namespace}"):
        secret: V1Secret = connection.core.read_namespaced_secret(login.secret, connection.namespace)
    held = secret.data or {}
    if missing := [name for name in (login.access, login.password) if name not in held]:
        raise ClusterError(
            f"secret {login.secret} in namespace {connection.namespace}: has no key {missing[0]!r}; "
            f"mend it, or the names in ConfigMap {LAUNCHER}"
        )
    key, password = (base64.b64decode(held[name]).decode() for name in (login.access, login.password))
    return key, password


def pipeline_root(connection: Connection) -> str:
    """Address below which the namespace's runs put their artifacts unless they name another."""
    with explained(f"reading ConfigMap {LAUNCHER} in namespace {connection.namespace}"):
        return ArtifactStore.of(launcher_settings(connection)).root
