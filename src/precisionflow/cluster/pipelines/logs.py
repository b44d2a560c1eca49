"""Logs of a run's tasks: from their pods, or from the object store when those are gone."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TextIO

from precisionflow.cluster.access.connection import Access, Connection
from precisionflow.cluster.pipelines.object_store import object_store
from precisionflow.cluster.pipelines.pods import log_of, node_of, pods_of, task_lines
from precisionflow.cluster.pipelines.runs import artifacts_of, find_run
from precisionflow.cluster.pipelines.specification import group_titles
from precisionflow.cluster.pipelines.tasks import label_of
from precisionflow.console import command

if TYPE_CHECKING:
    from kfp_server_api import V2beta1Run

_LOG = re.compile(r"executor-logs(?:-(\d+))?")


def print_logs(run: str, *, task: str | None, access: Access, screen: TextIO) -> None:
    """Print what the containers of a run's tasks printed; ValueError where nothing is kept of a task so called."""
    connection = Connection(access)
    found = find_run(run, connection=connection)
    groups = group_titles(found)
    shown = 0
    for pod in pods_of(found.run_id, connection=connection):
        node = node_of(pod)
        label = label_of(node, groups)
        if ".executor" in node and label.startswith(task or ""):
            shown += 1
            print(f"== {label} ({pod.metadata.name}, {pod.status.phase})", file=screen)
            _print_lines(log_of(pod, connection=connection), screen)
    shown = shown or _print_stored(found, task=task or "", connection=connection, screen=screen)
    if not shown:
        wanted = f" whose name begins with {task!r}" if task else ""
        raise ValueError(
            f"run {found.display_name}: no task{wanted} has printed anything that is still kept; "
            f"`{command('status', found.display_name)}` lists the tasks"
        )


def _print_lines(log: str, screen: TextIO) -> None:
    for line in task_lines(log):
        print(line, file=screen)


def _print_stored(run: "V2beta1Run", *, task: str, connection: Connection, screen: TextIO) -> int:
    """Print the logs that KFP's launcher has put beside the artifacts; their number."""
    address = artifacts_of(run, connection=connection)
    with object_store(connection, root=address) as store:
        chosen = [key for key in stored_logs(store.keys(address)) if key.startswith(task)]
        for key in chosen:
            number = try_of(key)
            which = f"stored, try {number + 1}" if number else "stored"
            print(f"== {key.split('/')[0]} ({which})", file=screen)
            _print_lines(store.read(f"{address}/{key}").decode(errors="replace"), screen)
    return len(chosen)


def stored_logs(keys: Iterable[str]) -> list[str]:
    """Those of a run's objects that are logs, by task, the tries of each in their order."""
    logs = [key for key in keys if _LOG.fullmatch(PurePosixPath(key).name)]
    return sorted(logs, key=lambda key: (str(PurePosixPath(key).parent), try_of(key) or 0))


def try_of(key: str) -> int | None:
    """Number of the try whose log this is, from 0; none before KFP 2.16.1, where each try overwrites the log before."""
    found = _LOG.fullmatch(PurePosixPath(key).name)
    return int(found.group(1)) if found and found.group(1) else None
