"""Program of a pod that mounts the workspace: tells what it holds, receives and removes files, collects leftovers.

`python -m precisionflow.cluster.workspace.inside FOLDER VERB ...`, a verb being look, receive, remove or collect,
prints one line of JSON and ends with 0; what went wrong is `error` in it. It needs nothing but Python.
"""

import fcntl
import glob
import hashlib
import json
import os
import shutil
import sys
import time
import uuid
from collections.abc import Collection, Iterator, Sequence
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
    target = _below(folder, name)
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
                    raise ValueError(f"{left} of {size} bytes did not arrive; put it again")
                file.write(chunk)
                left -= len(chunk)
            file.flush()
            os.fsync(file.fileno())
        if (found := _digest(partial)) != sha256:
            raise ValueError(f"its sha256 arrived as {found}, it was {sha256}; put it again")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return {"state": "written", "size": target.stat().st_size, "sha256": found}


def _below(folder: Path, name: str) -> Path:
    pure = PurePosixPath(name)
    hidden = any(part.startswith(".") for part in pure.parts)
    if not pure.parts or pure.is_absolute() or ".." in pure.parts or hidden:
        raise ValueError(f"{name!r} is no name below the data folder")
    return folder / pure


def remove(folder: Path, names: Sequence[str]) -> dict[str, Any]:
    """Remove files, and folders with all that they hold; nothing where one of them is `absent`."""
    targets = {name: _below(folder, name) for name in names}
    if absent := [name for name, target in targets.items() if not target.exists()]:
        return {"absent": absent}
    for target in targets.values():
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)
        for parent in target.parents[: len(target.relative_to(folder).parts) - 1]:
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()
    return {"absent": []}


def collect(workspace: Path, *, seconds: float, busy: Collection[str], dry: bool) -> dict[str, Any]:
    """Remove what nobody has touched for `seconds`: unfinished trainings, kept cells, files that arrived in part.

    A training that is one of the `busy`, or that a pod holds, is left. Gives what was found with its size and its age;
    where `dry` it stays.
    """
    found = []
    for place in _collected(workspace):
        files = [place, *place.rglob("*")] if place.is_dir() else [place]
        states = [file.stat() for file in files if file.exists()]
        age = time.time() - max(state.st_mtime for state in states)
        if age < seconds or place.name in busy or _is_held(place):
            continue
        name = place.relative_to(workspace).as_posix()
        found.append({"name": name, "size": sum(state.st_size for state in states), "age": int(age)})
        if not dry and place.is_dir():
            shutil.rmtree(place, ignore_errors=True)
        elif not dry:
            place.unlink(missing_ok=True)
    return {"found": found}


def _collected(workspace: Path) -> Iterator[Path]:
    """What grows in a workspace; the user's own data does not go by age."""
    for room in ("trainings", "cells"):
        yield from sorted((workspace / room).glob("*"))
    yield from sorted((workspace / "data").rglob(".*.partial"))


def _is_held(training: Path) -> bool:
    """Whether a pod is training there."""
    try:
        with (training / ".turn").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


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
            case "remove":
                outcome = remove(Path(folder), rest)
            case "collect":
                seconds, dry, *busy = rest
                outcome = collect(Path(folder), seconds=float(seconds), busy=busy, dry=dry == "dry")
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
