"""Raw files: where a relative path leads, and the checksum of what is there."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path


def raw_path(path: str) -> Path:
    """`path` itself where it is absolute, else inside the folder that PRECISIONFLOW_DATA names.

    Raises ValueError when the path is relative and the variable is not set.
    """
    if Path(path).is_absolute():
        return Path(path)
    folder = os.environ.get("PRECISIONFLOW_DATA")
    if not folder:
        raise ValueError(
            f"{path}: relative to the folder that PRECISIONFLOW_DATA names, which is not set; "
            "set it to your folder of raw data sets (docs/data.md), or put the file beside the experiment's"
        )
    return Path(folder) / path


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes, read in blocks; ValueError when it cannot be read or is empty."""
    try:
        with path.open("rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be read ({error.strerror}); docs/data.md lists the files that a source needs"
        ) from None
    if not size:
        raise ValueError(f"{path}: is empty; fetch or write it again")
    return checksum


def raw_sha256(path: str) -> str:
    """sha256 of the bytes of the file that a path of an experiment leads to; ValueError where there is none."""
    return file_sha256(raw_path(path))


def files_sha256(paths: Sequence[Path]) -> str:
    """sha256 of a file's bytes; of several files, that of their checksums one after the other."""
    checksums = [file_sha256(path) for path in paths]
    return checksums[0] if len(checksums) == 1 else hashlib.sha256("".join(checksums).encode()).hexdigest()
