"""Raw files: where a relative path leads, and the checksum of what is there."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Self


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
    checksum, size = _read(path)
    if not size:
        raise ValueError(f"{path}: is empty; fetch or write it again")
    return checksum


def _read(path: Path) -> tuple[str, int]:
    """sha256 and number of a file's bytes."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be read ({error.strerror}); docs/data.md lists the files that a source needs"
        ) from None


def tree_sha256(path: Path) -> str:
    """sha256 of a file; of a folder, that of the names and sha256 of the files below it that are not hidden.

    ValueError when there is nothing to read.
    """
    if not path.is_dir():
        return file_sha256(path)
    names = [file.relative_to(path) for file in path.rglob("*") if file.is_file()]
    shown = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    if not shown:
        raise ValueError(f"{path}: holds no file; docs/data.md lists the files that a source needs")
    return names_sha256({name: _read(path / name)[0] for name in shown})


def names_sha256(files: Mapping[PurePath, str]) -> str:
    """sha256 of the names of files below a folder and of their own sha256."""
    content = "".join(f"{name.as_posix()} {files[name]}\n" for name in sorted(files))
    return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class Stamps:
    """Marks of files by which a change shows, without reading them."""

    names: tuple[str, ...]
    """Files and folders as an experiment names them."""
    found: dict[Path, tuple[int, int, int]]
    """(inode, bytes, nanoseconds of the last change) of each file, those below a folder among them."""

    @classmethod
    def of(cls, names: tuple[str, ...]) -> Self:
        """The marks as they are; of what is not there none."""
        below = [
            file for path in map(raw_path, names) for file in (path.rglob("*") if path.is_dir() else [path])
        ]
        stats = {file: file.stat() for file in below if file.is_file()}
        return cls(
            names, {file: (stat.st_ino, stat.st_size, stat.st_mtime_ns) for file, stat in stats.items()}
        )

    def check(self) -> None:
        """ValueError that names the first file that is another one by now."""
        after = self.of(self.names).found
        for file in self.found | after:
            if self.found.get(file) != after.get(file):
                raise ValueError(f"{file}: changed while it was read; run again when nothing writes to it")


def raw_sha256(path: str) -> str:
    """sha256 of the bytes of the file that a path of an experiment leads to; ValueError where there is none."""
    return file_sha256(raw_path(path))


def files_sha256(paths: Sequence[Path]) -> str:
    """sha256 of a file's bytes; of several files, that of their checksums one after the other."""
    checksums = [file_sha256(path) for path in paths]
    return checksums[0] if len(checksums) == 1 else hashlib.sha256("".join(checksums).encode()).hexdigest()
