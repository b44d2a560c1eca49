"""`save`: what MLflow's store has and /backup/artifacts lacks. `restore`: the other way round. Nothing is removed.

The tables are saved first, so that every artifact that they name is in this copy; what was deleted since stays in it.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import boto3

COPY = Path(os.environ.get("COPY", "/backup/artifacts"))


def main() -> None:
    bucket = urlparse(os.environ["MLFLOW_ARTIFACTS_DESTINATION"]).netloc
    store = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])
    there, here = dict(objects(store, bucket)), dict(files())
    match sys.argv[1]:
        case "save":
            lacking = [key for key, size in there.items() if here.get(key) != size]
            for key in lacking:
                download(store, bucket, key)
        case "restore":
            lacking = [key for key, size in here.items() if there.get(key) != size]
            for key in lacking:
                store.upload_file(str(COPY / key), bucket, key)
        case word:
            raise SystemExit(f"artifacts: {word!r} is neither save nor restore")
    print(f"artifacts: {len(lacking)} copied, {max(len(there), len(here)) - len(lacking)} were there")


def objects(store: Any, bucket: str) -> Iterator[tuple[str, int]]:
    """Key and size of everything in the store."""
    for page in store.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for each in page.get("Contents", ()):
            if not each["Key"].endswith("/"):
                yield each["Key"], each["Size"]


def files() -> Iterator[tuple[str, int]]:
    """Key and size of everything in the copy."""
    for path in COPY.rglob("*"):
        if path.is_file() and path.suffix != ".part":
            yield path.relative_to(COPY).as_posix(), path.stat().st_size


def download(store: Any, bucket: str, key: str) -> None:
    """Bring one artifact; it has its name when it is whole."""
    target = COPY / key
    if not target.resolve().is_relative_to(COPY.resolve()):
        raise SystemExit(f"artifacts: the store has a key that leads out of the copy: {key!r}")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".part")
    store.download_file(bucket, key, str(partial))
    partial.replace(target)


main()
