"""KFP's object store: listing and reading what the tasks of a run wrote."""

import base64
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from precisionflow.cluster.access.connection import Connection, inside
from precisionflow.cluster.access.errors import ClusterError, explained
from precisionflow.cluster.access.forward import forwarded

if TYPE_CHECKING:
    from kubernetes.client import V1Secret

DEFAULT_ROOT = "minio://mlpipeline/v2/artifacts"
"""Where KFP puts artifacts unless its ConfigMap kfp-launcher says otherwise."""
SERVICE, SECRET = "minio-service", "mlpipeline-minio-artifact"
"""KFP's own store, whatever program it is, and its login."""
REGION = "minio"
"""For which KFP's launcher signs."""


@dataclass(frozen=True)
class Objects:
    """The objects under addresses such as minio://bucket/key; ClusterError where the store does not answer."""

    client: Any

    def keys(self, address: str) -> list[str]:
        """What lies under `address`, which is a folder or an object: paths below it, "" for the object itself."""
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
        """An object into a file."""
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
def objects(connection: Connection, *, root: str) -> Iterator[Objects]:
    """The store that holds the pipeline root `root`: KFP's own, or S3 with the login of this machine."""
    import boto3
    from botocore.config import Config

    match urlsplit(root).scheme:
        case "minio":
            with _address(connection) as address:
                access, secret = _login(connection)
                yield Objects(
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
            yield Objects(boto3.client("s3"))
        case other:
            raise ClusterError(
                f"{root}: results in a store of kind {other!r} are not fetched; copy them with its own program"
            )


@contextlib.contextmanager
def _address(connection: Connection) -> Iterator[str]:
    if inside():
        yield f"{SERVICE}.{connection.namespace}:9000"
        return
    with forwarded(connection, service=SERVICE, namespace=connection.namespace) as address:
        yield address


def _login(connection: Connection) -> tuple[str, str]:

    with explained(f"reading secret {SECRET} in namespace {connection.namespace}"):
        secret: V1Secret = connection.core.read_namespaced_secret(SECRET, connection.namespace)
    key, password = (
        base64.b64decode((secret.data or {})[name]).decode() for name in ("accesskey", "secretkey")
    )
    return key, password


def pipeline_root(connection: Connection) -> str:
    """Where the namespace's runs put their artifacts unless they name a place of their own."""
    from kubernetes.client import ApiException

    with explained(f"reading ConfigMap kfp-launcher in namespace {connection.namespace}"):
        try:
            found = connection.core.read_namespaced_config_map("kfp-launcher", connection.namespace)
        except ApiException as error:
            if error.status != 404:
                raise
            return DEFAULT_ROOT
    return str((found.data or {}).get("defaultPipelineRoot") or DEFAULT_ROOT)
