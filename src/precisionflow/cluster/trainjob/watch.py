"""Watch over one TrainJob to its end: what it prints, what it waits for, how often it starts again, why it failed."""

import time
from collections.abc import Callable

from precisionflow.cluster.access import names
from precisionflow.cluster.access.errors import ClusterError, explained
from precisionflow.cluster.access.objects import Object
from precisionflow.cluster.access.patience import Patience, Shortage
from precisionflow.cluster.access.pod_logs import read_log
from precisionflow.cluster.access.pod_state import QUEUED, Ending, endings, waiting
from precisionflow.cluster.trainjob.api import State, TrainJobs
from precisionflow.cluster.trainjob.log_tail import LogTail
from precisionflow.cluster.trainjob.spec import CONTAINER, Launch, speaker, uses_mpi
from precisionflow.console import AGAIN, ERROR, say, title
from precisionflow.records.failure import STOPPED

PAUSE = 2.0
"""Seconds between looks."""
MPI_STARTS = 5
"""Ends of MPI's launcher that are borne before the names of its nodes resolve."""
CONTINUE = "run again to go on from the last checkpoint"
REFUSAL = f"{ERROR}train: "
"""Beginning of the line in which a rank says why it ends."""


class Replaced(Exception):
    """Another run's TrainJob for the same weights was removed by that run."""


class Watch:
    """One TrainJob, looked at every few seconds."""

    def __init__(
        self,
        jobs: TrainJobs,
        launch: Launch,
        *,
        runtime: Object,
        job: Object,
        patience: float,
        report: Callable[[str], None],
    ) -> None:
        self.jobs = jobs
        self.launch = launch
        self.report = report
        self.uid = job["metadata"]["uid"]
        self.own = job["metadata"].get("labels", {}).get(names.RUN, "") == launch.run
        self.speaker = speaker(runtime)
        self.starts = launch.experiment.cluster.retries + (MPI_STARTS if uses_mpi(runtime) else 0)
        self.logs = LogTail(jobs.connection, container=CONTAINER)
        self.judged = False
        """Whether the TrainJob itself has failed, rather than the connection to it."""
        self.known: dict[tuple[str, int], Ending] = {}
        """Identity of an ending -> the ending, in the order in which they were seen."""
        self.attempts: set[int] = set()
        """Numbers of the attempts whose failure was told."""
        self.queued = False
        """Whether a queue held the TrainJob at the last look."""
        self.silence = Patience(patience)
        self.shortage = Shortage(patience)

    def until_complete(self) -> None:
        """Return when the TrainJob is complete.

        ValueError with the training's own refusal, ClusterError with what else ended it, Replaced.
        """
        while True:
            state = self.silence.ask(self._look)
            if state and self._over(state):
                return
            time.sleep(PAUSE)

    def _look(self) -> State:
        """The TrainJob's state, once its new lines are reported."""
        state = self.jobs.state(self.launch.name)
        with explained("reading the training's log"):
            for pod in state.pods:
                if self._speaks(pod.metadata.labels):
                    for line in self.logs.lines(pod):
                        self.report(line)
        return state

    def _speaks(self, labels: dict[str, str]) -> bool:
        """Whether a pod is the one whose first rank prints the progress."""
        return (
            labels.get("jobset.sigs.k8s.io/replicatedjob-name") == self.speaker
            and labels.get("batch.kubernetes.io/job-completion-index", "0") == "0"
        )

    def _over(self, state: State) -> bool:
        if state.job is None or state.job["metadata"]["uid"] != self.uid:
            if not self.own:
                raise Replaced
            raise ClusterError(f"TrainJob {self.launch.name} was deleted; {CONTINUE}")
        end = state.finished
        if end and end["type"] == "Complete":
            return True
        self.judged = True
        self._follow_endings(state)
        if end:
            raise ClusterError(self._failure(end))
        self._follow_lack(state)
        self.judged = False
        return False

    def _follow_endings(self, state: State) -> None:
        """Say that nodes start again; raise when the training refuses, or when it happens too often.

        A queue that takes back what it gave ends all pods: no start is used up by that.
        """
        if _suspended(state):
            return
        for ending in endings(state.pods, container=CONTAINER):
            if ending.identity in self.known:
                continue
            self.known[ending.identity] = ending
            refusal = self._refusal(ending)
            if refusal and not refusal.startswith(STOPPED) and not refusal.endswith(AGAIN):
                raise ValueError(refusal)
            cause = f"pod {ending.pod.metadata.name} {ending.cause}"
            if refusal:
                cause += f", {refusal.removeprefix(STOPPED).lstrip(': ').partition(';')[0]}"
            attempt = ending.number + 1
            if attempt > self.starts:
                raise ClusterError(f"{cause}; {CONTINUE}")
            if attempt not in self.attempts:
                self.attempts.add(attempt)
                say(
                    f"train {title(self.launch.experiment)}: {cause}; starting again from the last checkpoint, "
                    f"{attempt} of {self.starts}"
                )

    def _refusal(self, ending: Ending) -> str | None:
        """The last line in which a rank of that container says why it ended."""
        try:
            with explained("reading the training's log"):
                text = read_log(
                    self.jobs.connection,
                    ending.pod,
                    container=CONTAINER,
                    previous=ending.again,
                    tail_lines=100,
                )
        except ClusterError:
            return None
        said = [line.removeprefix(REFUSAL) for line in text.splitlines() if line.startswith(REFUSAL)]
        own = [line for line in said if not line.startswith(STOPPED)]
        found = own or said
        return found[-1] if found else None

    def _failure(self, end: Object) -> str:
        """Why a TrainJob has failed, and what to do."""
        if end.get("reason") == "DeadlineExceeded":
            seconds = self.launch.experiment.cluster.deadline_seconds
            return (
                f"TrainJob {self.launch.name} took longer than cluster.deadline_seconds {seconds}; {CONTINUE}"
            )
        last = list(self.known.values())[-1:]
        cause = f"pod {last[0].pod.metadata.name} {last[0].cause}" if last else str(end.get("message", ""))
        return f"TrainJob {self.launch.name} failed: {cause}; {CONTINUE}"

    def _follow_lack(self, state: State) -> None:
        """Say what pods wait for; raise when they have waited too long, but for a queue."""
        lack = waiting(state.pods, state.events)
        queued = _suspended(state)
        if queued and not self.queued:
            say(f"train {title(self.launch.experiment)}: TrainJob {self.launch.name} is {QUEUED}")
        self.queued = queued
        before = self.shortage.follow(lack)
        if lack and before is None:
            say(f"train {title(self.launch.experiment)}: waiting, {lack}")
        if self.shortage.unbearable:
            raise ClusterError(f"after {self.shortage.patience.seconds:.0f} s {lack}")


def _suspended(state: State) -> bool:
    """Whether a queue holds the TrainJob, before it began or since another one came first."""
    return bool(state.job and state.job["spec"].get("suspend"))
