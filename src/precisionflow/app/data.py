"""The user's raw data in the workspace of a cluster: files brought there, and listed."""

from collections.abc import Sequence
from pathlib import Path

from precisionflow.cluster.access.connection import Access, Connection
from precisionflow.cluster.workspace.local import files_below, sized, table_of, usual_name
from precisionflow.cluster.workspace.volume import Workspace
from precisionflow.config.cluster import Cluster


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
    with workspace.opened() as pod:
        for there, file in chosen.items():
            written = workspace.send(file, there, pod=pod, overwrite=overwrite)
            state = "written, sha256 compared" if written else "was there already"
            print(f"{there}: {sized(file.stat().st_size)}, {state}", flush=True)


def list_files(*, claim: str | None, access: Access, images: Path | None) -> None:
    """Print what the workspace's data folder holds, and how much room is left."""
    workspace = _workspace(claim, access, images)
    workspace.refuse_absent()
    held = workspace.look()
    for name, size in table_of(held).items():
        print(f"{name}: {size}")
    whole = sum(stored.size for stored in held.files.values())
    print(
        f"{len(held.files)} files, {sized(whole)}; {sized(held.free)} of {sized(held.total)} free in {workspace.title}"
    )


def _workspace(claim: str | None, access: Access, images: Path | None) -> Workspace:
    from precisionflow.components.images import image_references

    return Workspace(Connection(access), claim or Cluster().workspace, image_references(images)["core"])
