"""The user's raw data in the workspace of a cluster: files brought there, listed, removed."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from precisionflow.cluster.access.connection import Access, Connection
from precisionflow.cluster.workspace.local import files_below, listing, sized, usual_name
from precisionflow.cluster.workspace.volume import Workspace
from precisionflow.config.cluster import CLAIM


def put_files(
    paths: Sequence[Path],
    *,
    name: str | None,
    overwrite: bool,
    claim: str | None,
    access: Access,
    images: Path | None,
) -> None:
    """Copy files, and folders with all that they hold, into the workspace; a line for each file.

    ValueError for a path that is not there, and for another file of the same name there unless `overwrite`;
    ClusterError for a workspace that is absent, full, or whose pod does not start. What was copied before stays.
    """
    if name and len(paths) > 1:
        raise ValueError(f"--as {name}: names one file or folder, {len(paths)} were given; give one")
    if name and (Path(name).is_absolute() or ".." in Path(name).parts):
        raise ValueError(f"--as {name}: should be a name below the workspace's data folder")
    chosen: dict[str, Path] = {}
    for path in paths:
        for there, file in files_below(path, name or usual_name(path)).items():
            if there in chosen:
                raise ValueError(f"{path}: {chosen[there]} would be called {there} too; put one with --as")
            chosen[there] = file
    workspace = _workspace(claim, access, images)
    workspace.refuse_absent()
    with workspace.opened() as pod, _bar(chosen) as (tell, sent):
        for there, file in chosen.items():
            written = workspace.send(file, there, pod=pod, overwrite=overwrite, sent=sent)
            state = "written, sha256 compared" if written else "was there already"
            tell(f"{there}: {sized(file.stat().st_size)}, {state}")


@contextlib.contextmanager
def _bar(files: Mapping[str, Path]) -> Iterator[tuple[Callable[[str], None], Callable[[int], None]]]:
    """Functions that tell a line, and that bytes were sent: in a terminal a bar over all files, else nothing."""
    if not sys.stdout.isatty():
        yield lambda line: print(line, flush=True), lambda _: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as bars:
        bar = bars.add_task("sent", total=sum(file.stat().st_size for file in files.values()))
        yield (
            lambda line: bars.console.print(line, highlight=False, markup=False, soft_wrap=True),
            lambda count: bars.advance(bar, count),
        )


def remove_files(names: Sequence[str], *, claim: str | None, access: Access, images: Path | None) -> None:
    """Remove files and folders from the workspace's data folder; ValueError where one is not there."""
    workspace = _workspace(claim, access, images)
    workspace.refuse_absent()
    workspace.remove(names)
    for name in names:
        print(f"{name}: removed from {workspace.title}")


def list_files(*, digests: bool, claim: str | None, access: Access, images: Path | None) -> None:
    """Print what the workspace's data folder holds, with `digests` each file's sha256, and how much room is left."""
    workspace = _workspace(claim, access, images)
    workspace.refuse_absent()
    held = workspace.look(digests=digests)
    for row in listing(held):
        print(row)
    whole = sum(stored.size for stored in held.files.values())
    print(
        f"{len(held.files)} files, {sized(whole)}; {sized(held.free)} of {sized(held.total)} free in {workspace.title}"
    )


def _workspace(claim: str | None, access: Access, images: Path | None) -> Workspace:
    from precisionflow.components.images import image_references

    return Workspace(Connection(access), claim or CLAIM, image_references(images)["core"])
