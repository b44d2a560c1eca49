"""When Argo tries a task again: after a pod that failed or was lost, and never after a user's mistake."""

import contextlib
from pathlib import Path
from typing import Any

from precisionflow.cluster.access import objects
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError, explained
from precisionflow.cluster.access.kinds import WORKFLOWS
from precisionflow.cluster.access.objects import Object
from precisionflow.cluster.access.owner import workflow_owner

MARK = "precisionflow: mistake: "
"""Beginning of what a container says of its end when nothing but another experiment or other data can help."""
UNLESS = f"not (lastRetry.message contains '{MARK.strip()}')"
"""Condition of Argo for another try."""
LOST = "lastRetry.status == 'Error' or lastRetry.message contains '(exit code 143)'"
"""Condition of Argo for a try that has not failed by itself: its pod was deleted, which ends KFP's launcher by SIGTERM.

Whatever else goes wrong under the launcher ends it with 1.
"""
MOST = "100"
"""Tries whose pods may be lost: a queue preempts as often as it likes."""
LONGEST_PAUSE = "10m"
"""Between two tries, which KFP doubles each time; Argo 3.6 knows no such limit and leaves it out."""
TERMINATION = Path("/dev/termination-log")
"""File whose content Kubernetes keeps with a container's end; Argo makes it the message of the task's node."""
LONGEST = 2000
"""Characters of it; Kubernetes keeps 4096 bytes."""


def not_again(message: str, *, connection: Connection | None = None, said: Path = TERMINATION) -> None:
    """Have this task fail once: KFP's own retries can't tell a mistake from a pod that was lost.

    KFP (2.14 to 2.17) gives Argo a number of tries and no condition, and its launcher ends with 1 whatever the task
    ended with. So the line goes into the container's termination message, and the workflow's templates get the
    condition. Where that is not allowed, or outside of a pipeline, nothing happens, and the task is tried as often as
    any other.
    """
    with contextlib.suppress(OSError, ClusterError):
        reached = connection or Connection()
        if owner := workflow_owner(reached):
            said.write_text(f"{MARK}{' '.join(message.split())}"[:LONGEST], encoding="utf-8")
            _tell(owner, reached)


def again_when_lost(*, connection: Connection | None = None) -> None:
    """Have tasks whose pod is deleted under them tried again, by a drained node for instance.

    For Argo that is no failure but an error, which KFP's retries leave alone. Where a task may not change its workflow,
    or outside of a pipeline, nothing happens.
    """
    with contextlib.suppress(ClusterError):
        reached = connection or Connection()
        if owner := workflow_owner(reached):
            _tell(owner, reached)


def _tell(owner: Object, connection: Connection) -> None:
    """Give the templates of this task's workflow the condition, unless they have it."""
    with explained("looking at this task's workflow"):
        workflow = objects.named(connection, WORKFLOWS, owner["name"])
    if workflow and (change := conditions(workflow)):
        with explained("telling the workflow when a task is to be tried again"):
            objects.amend(connection, WORKFLOWS, owner["name"], change)


def conditions(workflow: Object) -> list[dict[str, Any]]:
    """JSON patch that gives every retried template of a workflow policy and condition; empty where all have one.

    Tried again is what failed, as often as KFP says, and beyond that what was lost.
    """
    change: list[dict[str, Any]] = []
    for index, template in enumerate(workflow["spec"].get("templates") or []):
        strategy = template.get("retryStrategy")
        if strategy is None or strategy.get("expression"):
            continue
        place = f"/spec/templates/{index}"
        wanted = {"retryPolicy": "Always", **strategy, "expression": UNLESS}
        if (limit := strategy.get("limit")) is not None:
            wanted |= {"limit": MOST, "expression": f"{UNLESS} and ({LOST} or asInt(retries) < {limit})"}
        if backoff := strategy.get("backoff"):
            wanted["backoff"] = {**backoff, "cap": LONGEST_PAUSE}
        change += [
            {"op": "test", "path": f"{place}/name", "value": template["name"]},
            {"op": "replace", "path": f"{place}/retryStrategy", "value": wanted},
        ]
    return change
