"""Marker of a finished stage: its key, its code, and the digests by which a reader knows the stage's files again."""

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
    seconds: NonNegativeFloat
    """Duration of the work."""
    ended: NonNegativeFloat
    """When the work ended, in seconds since 1970."""
    python: str
    libraries: dict[str, str]
    """Versions of the libraries that computed the result; they are no part of the key."""
    files: dict[str, str]
    """Path in the folder -> sha256 of every file that the stage wrote."""


def read_marker(folder: Path) -> StageCard | None:
    """The marker of a finished stage; none where it is missing or damaged."""
    try:
        return StageCard.model_validate_json((folder / MARKER).read_bytes())
    except (OSError, ValidationError):
        return None


def check_written(path: Path) -> None:
    """ValueError where a stage finished in the folder of `path` and `path` does not hold the bytes that it wrote.

    A file without a marker beside it is left to its reader.
    """
    folder = path.parent
    if not (folder / MARKER).exists():
        return
    marker = read_marker(folder)
    if marker is None:
        raise ValueError(f"{folder / MARKER}: is damaged; delete {folder} and run its stage again")
    again = f"delete {folder} and run {marker.verb} again"
    if path.name not in marker.files:
        raise ValueError(f"{path}: is no file of the stage {marker.verb} in this folder; {again}")
    if not path.exists():
        raise ValueError(f"{path}: does not exist, although {marker.verb} wrote it; {again}")
    if sha256_of(path) != marker.files[path.name]:
        raise ValueError(f"{path}: does not hold what {marker.verb} wrote, its sha256 is another; {again}")


def digests_of(folder: Path) -> dict[str, str]:
    """Path in the folder -> sha256 of every file below it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}


_SETTLED = 2_000_000_000
"""Nanoseconds after which a change of a file is sure to change its times."""
_known: dict[Path, tuple[tuple[int, ...], str]] = {}
"""File -> its state when it was read, and its sha256."""


def sha256_of(path: Path) -> str:
    """sha256 of a file in hexadecimal digits, read once in a process as long as size and times stay."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        times = status.st_mtime_ns, status.st_ctime_ns
        state = (status.st_dev, status.st_ino, status.st_size, *times)
        if path in _known and _known[path][0] == state:
            return _known[path][1]
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if time.time_ns() - max(times) > _SETTLED:
        _known[path] = state, found
    return found
