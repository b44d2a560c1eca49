"""Program of a pod that mounts the workspace: what its data folder holds, and a file received into it.

`python -m precisionflow.cluster.workspace.inside FOLDER look|receive ...` prints one line of JSON and ends with 0; what
went wrong is `error` in it. It needs nothing but Python.
"""

import glob
import hashlib
import json
import os
import shutil
import sys
import time
import uuid
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

CHUNK = 1 << 20
ABANDONED_SECONDS = 3600
"""Age from which a file that arrived in part belongs to a client that is gone."""
READY = "ready"
"""Line after which the bytes of a file are read."""
FULL = "no room"
"""Beginning of the error of a volume that is full."""


def look(folder: Path, *, digests: bool) -> dict[str, Any]:
    """Files below the folder with their sizes, with `digests` their sha256 too; bytes free and in all; who may write.

    What is being received, whose names begin with a dot, is left out.
    """
    files: dict[str, dict[str, int | str]] = {}
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder)
        if file.is_file() and not any(part.startswith(".") for part in name.parts):
            files[name.as_posix()] = {"size": file.stat().st_size}
            if digests:
                files[name.as_posix()]["sha256"] = _digest(file)
    there = folder if folder.is_dir() else folder.parent
    room = shutil.disk_usage(there)
    return {
        "files": files,
        "free": room.free,
        "total": room.total,
        "writable": os.access(there, os.W_OK | os.X_OK),
    }


def receive(
    folder: Path, name: str, *, size: int, sha256: str, overwrite: bool, source: BinaryIO
) -> dict[str, Any]:
    """Write `size` bytes of `source` to `name` below the folder, whole or not at all; ValueError where that fails.

    A file of that name with the same content is left as it is, with another one only `overwrite` replaces it.
    """
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or any(part.startswith(".") for part in pure.parts):
        raise ValueError(f"{name!r} is no name below the data folder")
    target = folder / pure
    if target.is_dir():
        raise ValueError(f"{name} is a folder there")
    if target.exists():
        same = target.stat().st_size == size and _digest(target) == sha256
        if same or not overwrite:
            return {"state": "same" if same else "other"}
    target.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(target.parent).free < size:
        raise ValueError(f"{FULL}: {shutil.disk_usage(target.parent).free} bytes are free, it has {size}")
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.partial")
    for old in target.parent.glob(f".{glob.escape(target.name)}.*.partial"):
        if time.time() - old.stat().st_mtime > ABANDONED_SECONDS:
            old.unlink(missing_ok=True)
    print(READY, flush=True)
    try:
        with partial.open("xb") as file:
            left = size
            while left:
                chunk = source.read(min(CHUNK, left))
                if not chunk:
                    raise ValueError(f"{left} of {size} bytes did not arrive")
                file.write(chunk)
                left -= len(chunk)
            file.flush()
            os.fsync(file.fileno())
        if (found := _digest(partial)) != sha256:
            raise ValueError(f"its sha256 arrived as {found}, it was {sha256}")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return {"state": "written", "size": target.stat().st_size, "sha256": found}


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def main(words: list[str]) -> None:
    """Do what the words say and print the outcome."""
    folder, verb, *rest = words
    try:
        match verb:
            case "look":
                outcome = look(Path(folder), digests="digests" in rest)
            case "receive":
                name, size, sha256, *more = rest
                outcome = receive(
                    Path(folder),
                    name,
                    size=int(size),
                    sha256=sha256,
                    overwrite="overwrite" in more,
                    source=sys.stdin.buffer,
                )
            case _:
                raise ValueError(f"{verb!r} is no verb")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        full = f"{FULL}: " if error.errno == 28 else ""
        outcome = {"error": f"{full}{where}{error.strerror}"}
    except ValueError as error:
        outcome = {"error": str(error)}
    print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
