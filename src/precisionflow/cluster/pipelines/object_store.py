"""Object store of KFP: objects that the tasks of a run wrote, listed, read, downloaded."""

import base64
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from precisionflow.cluster.access.connection import Connection, inside
from precisionflow.cluster.access.errors import ClusterError, explained
from precisionflow.cluster.access.names import LAUNCHER, PIPELINE_ROOT, STORE, STORE_LOGIN
from precisionflow.cluster.access.port_forward import forwarded

if TYPE_CHECKING:
    from kubernetes.client import V1Secret

REGION = "minio"
"""Region for which KFP's launcher signs."""


@dataclass(frozen=True)
class ObjectStore:
    """Objects at addresses such as minio://bucket/key; ClusterError where the store does not answer."""

    client: Any

    def keys(self, address: str) -> list[str]:
        """Paths of the objects below `address`, a folder; "" where `address` is itself an object."""
        bucket, prefix = split(address)
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        with stored(address):
            found = [content["Key"] for page in pages for content in page.get("Contents", ())]
        below = [key for key in found if key == prefix or key.startswith(prefix + "/")]
        kept = [key for key in below if not key.endswith("/") and ".." not in key.split("/")]
        return [key.removeprefix(prefix).removeprefix("/") for key in kept]

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
    """The store that holds the pipeline root `root`: KFP's own, or S3 with the login of this machine."""
    import boto3
    from botocore.config import Config

    match urlsplit(root).scheme:
        case "minio":
            with _address(connection) as address:
                access, secret = _login(connection)
                yield ObjectStore(
                    boto3.client(
                        "s3",
                        endpoint_url=f"http://{address}",
                        region_name=REGION,
                        aws_access_key_id=access,
                        aws_secret_access_key=secret,
                        config=Config(
                            s3={"addressing_style": "path"}, retries={"max_attempts": 4, "mode": "standard"}
                        ),
                    )
                )
        case "s3":
            yield ObjectStore(boto3.client("s3"))
        case other:
            raise ClusterError(
                f"{root}: results in a store of kind {other!r} are not fetched; copy them with its own program"
            )


@contextlib.contextmanager
def _address(connection: Connection) -> Iterator[str]:
    """Host and port of KFP's own store, as this process reaches it."""
    if inside():
        yield f"{STORE}.{connection.namespace}:9000"
        return
    with forwarded(connection, service=STORE, namespace=connection.namespace) as address:
        yield address


def _login(connection: Connection) -> tuple[str, str]:
    """Access key and secret key of KFP's own store."""
    with explained(f"reading secret {STORE_LOGIN} in namespace {connection.namespace}"):
        secret: V1Secret = connection.core.read_namespaced_secret(STORE_LOGIN, connection.namespace)
    key, password = (
        base64.b64decode((secret.data or {})[name]).decode() for name in ("accesskey", "secretkey")
    )
    return key, password


def pipeline_root(connection: Connection) -> str:
    """Address below which the namespace's runs put their artifacts unless they name another."""
    from kubernetes.client import ApiException

    with explained(f"reading ConfigMap {LAUNCHER} in namespace {connection.namespace}"):
        try:
            found = connection.core.read_namespaced_config_map(LAUNCHER, connection.namespace)
        except ApiException as error:
            if error.status != 404:
                raise
            return PIPELINE_ROOT
    return str((found.data or {}).get("defaultPipelineRoot") or PIPELINE_ROOT)
