"""Marker of a finished stage: its key, its code, and the digests by which a reader knows the stage's files again."""

import functools
import hashlib
import os
import time
from pathlib import Path

from pydantic import NonNegativeFloat, ValidationError

from precisionflow.records.card import Card

MARKER = "stage.json"
"""Name of the marker in the folder of a finished stage."""


class StageCard(Card):
    """stage.json."""

    verb: str
    key: str
    """Identity of the result: verb, inputs and code."""
    inputs: str
    """Digest of verb and inputs without the code."""
    code: str
    """Digest of the modules that the stage ran, see `results.code`."""
    trusted: str | None = None
    """Digest of other code under which the result was kept on purpose."""
    version: str
    commit: str | None = None
    """Of git, where the code ran from a checkout; with -dirty where that had changes."""
    seconds: NonNegativeFloat
    """Duration of the work."""
    ended: NonNegativeFloat
    """When the work ended, in seconds since 1970."""
    machine: str = ""
    """Processor, cores and GPUs where the work ran; empty in markers of older code."""
    python: str
    libraries: dict[str, str]
    """Versions of the libraries that computed the result; they are no part of the key."""
    files: dict[str, str]
    """Path in the folder -> sha256 of every file that the stage wrote."""


def read_marker(folder: Path | str) -> StageCard | None:
    """The marker of a finished stage; none where it is missing or damaged."""
    file = f"{folder}/{MARKER}"
    try:
        status = os.stat(file)
    except OSError:
        return None
    state = _state(status)
    return _parsed(file, state) if _settled(status) else _parsed.__wrapped__(file, state)


@functools.lru_cache(maxsize=1024)
def _parsed(file: str, _of: "State") -> StageCard | None:
    """The marker in a file of this state."""
    try:
        with open(file, "rb") as opened:
            return StageCard.model_validate_json(opened.read())
    except (OSError, ValidationError):
        return None


def check_written(path: Path, content: bytes | None = None) -> None:
    """ValueError where a stage finished in the folder of `path` and `path` does not hold the bytes that it wrote.

    `content` is what was read of it, where it was read whole. A file without a marker beside it is left to its reader.
    """
    folder = path.parent
    marker = read_marker(folder)
    if marker is None:
        if (folder / MARKER).exists():
            raise ValueError(f"{folder / MARKER}: is damaged; delete {folder} and run its stage again")
        return
    again = f"delete {folder} and run {marker.verb} again"
    if path.name not in marker.files:
        raise ValueError(f"{path}: is no file of the stage {marker.verb} in this folder; {again}")
    if content is None and not path.exists():
        raise ValueError(f"{path}: does not exist, although {marker.verb} wrote it; {again}")
    found = sha256_of(path) if content is None else hashlib.sha256(content).hexdigest()
    if found != marker.files[path.name]:
        raise ValueError(f"{path}: does not hold what {marker.verb} wrote, its sha256 is another; {again}")


def digests_of(folder: Path) -> dict[str, str]:
    """Path in the folder -> sha256 of every file below it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}


_SETTLED = 2_000_000_000
"""Nanoseconds after which a change of a file is sure to change its times."""
State = tuple[int, ...]
"""Device, inode, size and times of a file."""
_known: dict[Path, tuple[State, str]] = {}
"""File -> its state when it was read, and its sha256."""


def _state(status: os.stat_result) -> State:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _settled(status: os.stat_result) -> bool:
    """Whether what is read of a file stays what it holds as long as its state does."""
    return time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > _SETTLED


def sha256_of(path: Path) -> str:
    """sha256 of a file in hexadecimal digits, read once in a process as long as size and times stay."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        state = _state(status)
        if path in _known and _known[path][0] == state:
            return _known[path][1]
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if _settled(status):
        _known[path] = state, found
    return found
