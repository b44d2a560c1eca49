"""Watch over one Katib experiment to its end: each finished trial, what is waited for, why it failed."""

import re
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.access.names import OF_TRIAL
from precisionflow.cluster.access.objects import Object
from precisionflow.cluster.access.patience import Patience, Shortage
from precisionflow.cluster.access.pod_state import endings, waiting
from precisionflow.cluster.katib.api import KatibExperiments, Look, condition
from precisionflow.cluster.katib.trials import ending, unread
from precisionflow.console import ERROR

if TYPE_CHECKING:
    from kubernetes.client import V1Pod

STALL, LINGER = 60.0, 10.0
"""Seconds after which metrics of an ended trial do not come any more: while the experiment goes on, after its end."""
PAUSE = 1.0
"""Seconds between looks: Katib removes a failed trial's pods within seconds, and their last words with them."""
COLLECTOR = "metrics-logger-and-collector"
"""The container that Katib adds; what the trial prints goes through it."""
_SAID = re.compile(r"^I\d{4} \S+ +\d+ \S+\] ")
"""Beginning of a line of the trial in the collector's log."""


class Watch:
    """One experiment, looked at every second."""

    def __init__(
        self,
        experiments: KatibExperiments,
        experiment: Object,
        *,
        patience: float,
        report: Callable[[Object], None],
        say: Callable[[str], None],
    ) -> None:
        self.experiments = experiments
        self.name = experiment["metadata"]["name"]
        self.uid = experiment["metadata"]["uid"]
        self.container = experiment["spec"]["trialTemplate"].get("primaryContainerName", "")
        self.report = report
        self.say = say
        self.told: set[str] = set()
        """Trials that have been reported."""
        self.causes: dict[str, str] = {}
        """Trial -> what its first failed pod said."""
        self.hopeless = False
        """Whether the experiment waits for what it does not get."""
        self.silence = Patience(patience)
        self.shortage = Shortage(patience)
        self.stall = Patience(STALL)
        self.lingering = Patience(LINGER)

    def until_finished(self) -> Look:
        """The experiment when it has succeeded; ClusterError with the first cause where it has not."""
        while True:
            look = self.silence.ask(lambda: self.experiments.look(self.name))
            if look and self._over(look):
                return look
            time.sleep(PAUSE)

    def _over(self, look: Look) -> bool:
        """Whether the experiment has succeeded and every trial is reported; ClusterError where it has failed."""
        if look.experiment is None or look.experiment["metadata"]["uid"] != self.uid:
            raise ClusterError(f"Katib experiment {self.name} was deleted; run again to start it anew")
        self._follow_failures(look)
        end = look.end
        if end is None:
            self.lingering.renew()
        late = self.lingering.over
        for trial in look.trials:
            name = trial["metadata"]["name"]
            if name not in self.told and ending(trial) and (late or not unread(trial)):
                self.told.add(name)
                self.report(trial)
        if end is None:
            self._follow_lack(look)
            self._follow_stall(look)
            return False
        if end["type"] == "Failed":
            raise ClusterError(self._failure(look, end))
        return late or not any(map(unread, look.trials))

    def _follow_failures(self, look: Look) -> None:
        """Keep what the first failed pod of each trial said: Katib removes the pods soon."""
        for failed in endings(look.pods, container=self.container):
            trial = failed.pod.metadata.labels[OF_TRIAL]
            if trial not in self.causes:
                log = self.experiments.log(failed.pod, COLLECTOR, lines=200)
                self.causes[trial] = last_words(log) or failed.cause

    def cause(self, trial: Object) -> str:
        """Why a trial failed: its own words, else Katib's."""
        name = trial["metadata"]["name"]
        found = condition(trial, "Failed", "MetricsUnavailable", "Killed") or {}
        return self.causes.get(name) or str(found.get("message") or "no reason is given")

    def _failure(self, look: Look, end: Object) -> str:
        failed = [t for t in look.trials if ending(t) in ("Failed", "MetricsUnavailable")]
        why = (
            f"trial {failed[0]['metadata']['name']}: {self.cause(failed[0])}"
            if failed
            else end.get("message", "")
        )
        return (
            f"Katib experiment {self.name} failed, {len(failed)} of {len(look.trials)} trials did; first {why}; "
            "mend that and run again"
        )

    def _follow_lack(self, look: Look) -> None:
        """Say what trials wait for; raise when all of them have waited too long."""
        active = {t["metadata"]["name"] for t in look.trials if not ending(t)}
        pods = [pod for pod in look.pods if pod.metadata.labels[OF_TRIAL] in active]
        lack = waiting(pods, look.events) if active else None
        before = self.shortage.follow(lack)
        if lack and lack != before:
            self.say(f"waiting, {lack}")
        if self.shortage.unbearable:
            self.hopeless = True
            seconds = self.shortage.patience.seconds
            raise ClusterError(f"Katib experiment {self.name}: after {seconds:.0f} s {lack}")

    def _follow_stall(self, look: Look) -> None:
        """Raise when metrics of ended trials do not come: Katib 0.19 can lose those of a trial that it stops.

        It removes the trial too early, or the collector ends.
        """
        over = {
            name
            for name, pods in _by_trial(look.pods).items()
            if all(pod.status.phase in ("Succeeded", "Failed") for pod in pods)
        }
        silent = [
            trial["metadata"]["name"]
            for trial in look.trials
            if unread(trial) or (not ending(trial) and trial["metadata"]["name"] in over)
        ]
        if not silent or any(not ending(t) and t["metadata"]["name"] not in over for t in look.trials):
            self.stall.renew()
        elif self.stall.over:
            raise ClusterError(
                f"Katib experiment {self.name} waits for metrics of {silent[0]}, which has ended; let the study say "
                "spec.trialTemplate.retain: true, delete the experiment and run again"
            )


def _by_trial(pods: "Sequence[V1Pod]") -> "dict[str, list[V1Pod]]":
    found: dict[str, list[V1Pod]] = {}
    for pod in pods:
        found.setdefault(pod.metadata.labels[OF_TRIAL], []).append(pod)
    return found


def last_words(log: str) -> str | None:
    """The trial's own line of error in its collector's log, else its last line; none where it said nothing."""
    said = [_SAID.sub("", line).strip() for line in log.splitlines() if _SAID.match(line)]
    lines = [line for line in said if line and not line.startswith("Trial Name: ")]
    own = [line.removeprefix(ERROR) for line in lines if line.startswith(ERROR)]
    found = own or lines
    return found[-1] if found else None
