"""What nobody needs any more on a cluster: found, told, removed."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from precisionflow.cluster.access.connection import Access, Connection
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.pipelines.leftovers import busy_trainings, collect_artifacts, collect_jobs
from precisionflow.cluster.workspace.local import sized
from precisionflow.cluster.workspace.volume import Leftover, Workspace
from precisionflow.config.cluster import CLAIM

DAY = 86400


def collect(*, days: float, dry: bool, claim: str | None, access: Access, images: Path | None) -> bool:
    """Remove what was not touched for some days: jobs, the workspace's trainings and cells, artifacts of deleted runs.

    A line for each, with `dry` nothing is removed. What cannot be looked at is a line on standard error; whether all
    could.
    """
    from precisionflow.components.images import image_references

    connection, seconds = Connection(access), days * DAY
    workspace = Workspace(connection, claim or CLAIM, image_references(images)["core"])

    def of_workspace() -> list[Leftover]:
        busy = busy_trainings(connection)
        return workspace.collect(seconds=seconds, busy=busy, dry=dry)

    rooms: Mapping[str, Callable[[], list[Leftover]]] = {
        "": lambda: collect_jobs(connection, seconds=seconds, dry=dry),
        f"{workspace.title}: ": of_workspace,
        "artifacts ": lambda: collect_artifacts(connection, seconds=seconds, dry=dry),
    }
    found: list[Leftover] = []
    whole = True
    for begun, look in rooms.items():
        try:
            room = look()
        except ClusterError as error:
            print(f"precisionflow: {error}", file=sys.stderr, flush=True)
            whole = False
            continue
        for one in room:
            size = f"{sized(one.size)}, " if one.size else ""
            print(f"{begun}{one.name}: {size}{one.age // DAY} days old", flush=True)
        found += room
    done = "would be removed" if dry else "removed"
    print(f"{len(found)} leftovers of {days:g} days or more {done}, {sized(sum(one.size for one in found))}")
    return whole
