"""Raw data on this machine and in the workspace: names there, and what of an experiment is missing there."""

import os
import shlex
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from precisionflow.cluster.access.names import DATA
from precisionflow.cluster.workspace.volume import Held
from precisionflow.records.raw import file_sha256, names_sha256, raw_path


def workspace_name(path: str) -> str:
    """Name in the workspace's data folder of a path that a source gives, as the pods are told it (`places.by_name`).

    A relative path is its own name, one in a pod's data folder the one below that, another absolute path its last part.
    """
    pure = PurePosixPath(path)
    if not pure.is_absolute() or pure.is_relative_to(DATA):
        return str(PurePosixPath(DATA, pure).relative_to(DATA))
    return pure.name


def usual_name(path: Path) -> str:
    """Name in the workspace that a file or folder gets: its path below PRECISIONFLOW_DATA, else its last part."""
    whole, folder = path.resolve(), os.environ.get("PRECISIONFLOW_DATA")
    if folder and whole.is_relative_to(Path(folder).resolve()):
        return whole.relative_to(Path(folder).resolve()).as_posix()
    return whole.name


def files_below(path: Path, name: str) -> dict[str, Path]:
    """Name in the workspace -> file: the one at `path`, or of a folder all that are not hidden.

    ValueError where there is nothing to read.
    """
    if path.is_dir():
        found = {
            f"{name}/{file.relative_to(path).as_posix()}": file
            for file in sorted(path.rglob("*"))
            if file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts)
        }
        if not found:
            raise ValueError(f"{path}: holds no file; name a file or a folder of files")
        return found
    if not path.exists():
        raise ValueError(f"{path}: is not there; name a file or a folder of files")
    return {name: path}


def missing(paths: Iterable[str], held: Held, *, claim: str) -> str | None:
    """What a user has to do before these paths of sources can be read in the workspace; none where they can.

    A file that is on this machine too must be the same there.
    """
    names = {workspace_name(path): path for path in paths}
    for name, path in names.items():
        here = _here(path)
        there = {other: stored for other, stored in held.files.items() if _below(other, name)}
        if not there:
            return f"{name}: is not in the workspace {claim}; bring it there: `{_put(here, name) or _put(None, name)}`"
        if here is None:
            continue
        ours = files_below(here, name)
        differing = [other for other, file in ours.items() if not _same(file, other, held)]
        if differing:
            return (
                f"{differing[0]}: in the workspace {claim} is not the one of this machine; replace it: "
                f"`{_put(here, name)} --overwrite`"
            )
    return None


def digests(paths: Iterable[str], held: Held) -> dict[str, str]:
    """Path of each source -> sha256 of the file or folder that lies there in the workspace, as `identify` finds it.

    Nothing may be missing, and the sha256 of every file is known.
    """
    return {path: _digest(workspace_name(path), held) for path in paths}


def _digest(name: str, held: Held) -> str:
    there = {other: stored.sha256 or "" for other, stored in held.files.items() if _below(other, name)}
    if name in there:
        return there[name]
    return names_sha256({PurePosixPath(other).relative_to(name): sha256 for other, sha256 in there.items()})


def _below(name: str, whole: str) -> bool:
    return name == whole or name.startswith(f"{whole}/")


def _same(file: Path, name: str, held: Held) -> bool:
    stored = held.files.get(name)
    return stored is not None and stored.sha256 == file_sha256(file)


def _here(path: str) -> Path | None:
    """The file or folder on this machine; none where there is none."""
    try:
        found = raw_path(path)
    except ValueError:
        return None
    return found if found.exists() else None


def _put(here: Path | None, name: str) -> str:
    """Command that brings a file to the workspace under a name."""
    if here is None:
        return f"precisionflow data put FILE --as {shlex.quote(name)}"
    named = "" if usual_name(here) == name else f" --as {shlex.quote(name)}"
    return f"precisionflow data put {shlex.quote(str(here))}{named}"


def sized(count: float) -> str:
    """Bytes in words: 3.2 MB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"


def listing(held: Held) -> list[str]:
    """A line for every file: name, size, and the sha256 where it was asked for."""
    return [
        f"{name}: {sized(stored.size)}{f', sha256 {stored.sha256}' if stored.sha256 else ''}"
        for name, stored in held.files.items()
    ]
