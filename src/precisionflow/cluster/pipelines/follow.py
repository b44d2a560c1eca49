"""Following of a run: a line for each change of a task, what keeps it waiting, a bar in a terminal, the verdict."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError, explained
from precisionflow.cluster.access.patience import PATIENCE
from precisionflow.cluster.access.pod_state import QUEUED, waiting
from precisionflow.cluster.pipelines.mistake import MARK
from precisionflow.cluster.pipelines.pods import failure, node_of, pods_of
from precisionflow.cluster.pipelines.queued import Queues
from precisionflow.cluster.pipelines.runs import ENDED, read_run, state_of
from precisionflow.cluster.pipelines.specification import task_count
from precisionflow.cluster.pipelines.status import task_line
from precisionflow.cluster.pipelines.tasks import Task, tasks_of
from precisionflow.console import command

if TYPE_CHECKING:
    from kfp_server_api import V2beta1Run
    from kubernetes.client import V1Pod

POLL_SECONDS = 3.0
PATIENCE_SECONDS = PATIENCE
"""Seconds that a run may do nothing but wait for the same thing before it is no longer followed."""
SILENCES = 20
"""Polls in a row that may fail: a server that restarts is no reason to stop following."""
GRACE_SECONDS = 20.0
"""Seconds that a pod waits before that is worth a line."""
_OVER = ("done", "cached", "skipped", "failed", "stopped")


@dataclass
class Follower:
    """Lines about a run, so that every change is said once."""

    connection: Connection
    say: Callable[[str], None]
    said: dict[str, str] = field(default_factory=dict)
    """Task, or name of a try -> the last line about it."""
    stuck: dict[str, float] = field(default_factory=dict)
    """Task that waits for something that may never come -> since when."""

    def tell(self, sight: "Sight") -> None:
        """Say what has changed; ClusterError when nothing but waiting goes on for too long."""
        for task in sight.tasks:
            self._tried(task, sight.pods)
            self._changed(task, sight.pods)
        if sight.run.state not in ENDED:
            self._waits(sight)

    def _changed(self, task: Task, pods: "list[V1Pod]") -> None:
        """Say the task's state where it is a new one."""
        if self.said.get(task.label) == task.state or task.state in ("waiting", "skipped"):
            return
        self.said[task.label] = task.state
        if task.state == "failed":
            self.say(f"{task.label}: failed: {failure(task, pods, connection=self.connection)}")
        else:
            self.say(task_line(task))

    def _tried(self, task: Task, pods: "list[V1Pod]") -> None:
        """Say that a try has failed, while there are more to come."""
        for number, node in enumerate(task.failed_tries, start=1):
            if node not in self.said and task.state not in _OVER and MARK not in task.message:
                self.said[node] = "failed"
                cause = failure(task, pods, connection=self.connection)
                self.say(f"{task.label}: try {number} failed, another follows: {cause}")

    def _waits(self, sight: "Sight") -> None:
        """Say what has kept tasks waiting for a while; ClusterError when nothing else has gone on for too long."""
        found = {label: (reason, pod) for label, reason, pod in self._reasons(sight)}
        reasons = {label: reason for label, (reason, _) in found.items()}
        now = time.monotonic()
        self.stuck = {label: self.stuck.get(label, now) for label in reasons}
        works = any(pod.status.phase == "Running" for pod in sight.pods)
        for label, since in self.stuck.items():
            if now - since > GRACE_SECONDS and self.said.get(label) != "stuck":
                self.said[label] = "stuck"
                _, pod = found[label]
                place = Queues(self.connection).place_of(pod) if pod else None
                self.say(f"{label}: waits: {f'{place}, ' if place else ''}{reasons[label]}")
            if now - since > PATIENCE_SECONDS and not works and not reasons[label].endswith(QUEUED):
                name = sight.run.display_name
                raise ClusterError(
                    f"run {name}: for {PATIENCE_SECONDS / 60:.0f} minutes {label} only waits: {reasons[label]}; "
                    f"the run goes on waiting, `{command('cancel', name)}` ends it"
                )

    def _reasons(self, sight: "Sight") -> Iterator[tuple[str, str, "V1Pod | None"]]:
        """Task, what keeps its pod from being made, placed or started, and the pod where there is one."""
        labels = {node: task.label for task in sight.tasks for node in task.tries}
        for task in sight.tasks:
            if task.state in ("waiting", "running") and "forbidden" in task.message:
                yield task.label, refusal(task.message), None
        for pod in sight.pods:
            if pod.status.phase == "Pending" and (reason := waiting([pod], ())):
                yield labels.get(node_of(pod), pod.metadata.name), reason, pod
        if not any(pod.status.phase in ("Pending", "Running") for pod in sight.pods):
            yield "the run", "it has no pod that runs or is to run; its workflow may have been deleted", None


def refusal(message: str) -> str:
    """Why the namespace does not let Argo make a pod, and what to do."""
    said = " ".join(message.split())
    if "exceeded quota" in said:
        remedy = "wait for other pods to end, ask for less in cluster.*, or have the namespace's quota raised"
    else:
        remedy = "`precisionflow doctor` says what is wrong"
    return f"no pod is made ({said}); {remedy}"


@dataclass(frozen=True)
class Sight:
    """A run at one moment."""

    run: "V2beta1Run"
    tasks: list[Task]
    pods: "list[V1Pod]"


def look(run_id: str, *, connection: Connection) -> Sight:
    """What the cluster says of a run."""
    with explained("following the run"):
        run = read_run(run_id, connection=connection)
    return Sight(run, tasks_of(run, connection=connection), pods_of(run_id, connection=connection))


def follow(run_id: str, *, connection: Connection, screen: TextIO) -> bool:
    """Stay with a run until it ends; whether it succeeded. ClusterError when it only waits, or nobody answers.

    The run goes on, whatever happens to this process.
    """
    with _shown(screen) as (say, advance):
        follower, sight = Follower(connection, say), look(run_id, connection=connection)
        while True:
            follower.tell(sight)
            over = sum(task.state in _OVER for task in sight.tasks)
            advance(over, max(task_count(sight.run), len(sight.tasks)))
            if sight.run.state in ENDED:
                break
            sight = _next(sight.run, connection=connection)
    print(f"run {sight.run.display_name}: {state_of(sight.run)}", file=screen, flush=True)
    return bool(sight.run.state == "SUCCEEDED")


def _next(run: "V2beta1Run", *, connection: Connection) -> Sight:
    """The next sight; a server that restarts is no reason to stop looking, nor is a token that expires.

    The kubeconfig is read anew: whoever logs in again meanwhile goes on following.
    """
    silences = 0
    while True:
        time.sleep(POLL_SECONDS)
        try:
            return look(str(run.run_id), connection=connection)
        except ClusterError as error:
            silences += 1
            if silences > SILENCES:
                shown = command("status", run.display_name)
                raise ClusterError(f"{error}; the run goes on, `{shown}` says how far it is") from None
        connection.renew()


@contextlib.contextmanager
def _shown(screen: TextIO) -> Iterator[tuple[Callable[[str], None], Callable[[int, int], None]]]:
    """Functions that show a line, and the number of tasks that are over of all: a bar in a terminal, else nothing."""
    if not screen.isatty():
        yield lambda line: print(line, file=screen, flush=True), lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(file=screen)
    columns = (TextColumn("tasks"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        bar = bars.add_task("tasks", total=None)
        yield (
            lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True),
            lambda over, of: bars.update(bar, completed=over, total=of),
        )
