"""The loop of a search: asks for trials, keeps as many running as may run, keeps what each of them reached."""

import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path

from precisionflow.search.command import trial_command
from precisionflow.search.journal import Journal, Report, TrialCard
from precisionflow.search.medianstop import MedianStop
from precisionflow.search.metric_lines import parse_line
from precisionflow.search.plan import Plan, Strategy
from precisionflow.search.process import Ended, TrialProcess
from precisionflow.search.samplers import Suggester


class Engine:
    """Runs the trials of a plan that its journal lacks.

    `told` is called for every trial that ends. Only the thread of `run` touches journal and suggester; a thread for
    each running trial waits for its process.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        journal: Journal,
        suggester: Suggester,
        stopping: MedianStop | None,
        told: Callable[[TrialCard], None],
    ) -> None:
        self._plan, self._journal, self._suggester = plan, journal, suggester
        self._stopping, self._told = stopping, told
        self._results: queue.SimpleQueue[TrialCard] = queue.SimpleQueue()
        self._lock, self._closing = threading.Lock(), False
        self._processes: dict[int, TrialProcess | None] = {}

    @property
    def goal_reached(self) -> bool:
        """Whether a trial is as good as the objective's goal."""
        goal = self._plan.goal
        if goal is None:
            return False
        values = [card.value for card in self._journal.ended if card.value is not None]
        better = self._plan.better == "maximize"
        return any(value >= goal if better else value <= goal for value in values)

    @property
    def failed(self) -> bool:
        """Whether as many trials failed as the study allows."""
        failures = sum(card.state == "failed" for card in self._journal.ended)
        return self._plan.failures is not None and failures >= max(1, self._plan.failures)

    def run(self) -> None:
        """Until nothing is left to try, the goal is reached or too many trials failed; then none is running."""
        waiting = [card for card in self._journal.cards.values() if card.end is None]
        try:
            while not self.goal_reached and not self.failed:
                while len(self._processes) < self._plan.parallel:
                    card = waiting.pop(0) if waiting else self._asked()
                    if card is None:
                        break
                    self._start(card)
                if not self._processes:
                    return
                self._finish(self._results.get())
        finally:
            self._end_all()

    def _asked(self) -> TrialCard | None:
        """A new trial, in the journal; none where there are enough or none can be suggested yet."""
        number, journal = len(self._journal.cards), self._journal
        if self._plan.trials is not None and number >= self._plan.trials:
            return None
        assignments = self._suggester.ask()
        if assignments is None:
            return None
        succeeded = [card for card in journal.ended if card.state == "succeeded"]
        histories = [card.values[self._plan.metric] for card in succeeded]
        threshold = self._stopping.threshold(histories) if self._stopping else None
        card = TrialCard(number=number, assignments=assignments, told=journal.ends, threshold=threshold)
        journal.write(card)
        return card

    def _start(self, card: TrialCard) -> None:
        self._processes[card.number] = None
        threading.Thread(target=self._work, args=[card], daemon=True).start()

    def _work(self, card: TrialCard) -> None:
        """In the thread of one trial."""
        try:
            self._results.put(self._ended(card))
        except (OSError, ValueError) as error:
            self._results.put(card.model_copy(update={"state": "failed", "cause": str(error)}))

    def _ended(self, card: TrialCard) -> TrialCard:
        plan, folder = self._plan, self._journal.folder(card.number)
        command = trial_command(
            plan.template, card.assignments, name=f"{plan.name}-{card.number}", out=folder / "results"
        )
        threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // plan.parallel))
        log = folder / "log.txt"
        earlier = [line for line in _lines(log) if line.endswith("\n")]
        log.write_text("".join(earlier), encoding="utf-8")
        environment = {"OMP_NUM_THREADS": threads, "PYTHONUNBUFFERED": "1"}
        process = TrialProcess(command, log=log, environment=environment)
        with self._lock:
            self._processes[card.number] = process
            if self._closing:
                process.end()
        reports: list[Report] = []
        objective: list[float] = []
        stopped = False

        def read(line: str) -> None:
            nonlocal stopped
            if stopped:
                return
            found = parse_line(line, plan.strategies)
            reports.extend(found)
            objective.extend(value for metric, value in found if metric == plan.metric)
            if found and self._stopping and self._stopping.stops(objective, card.threshold):
                stopped = True
                process.end()

        for line in earlier:
            read(line)
        ended = process.follow(read)
        return self._judged(card, reports, ended, stopped=stopped)

    def _judged(self, card: TrialCard, reports: list[Report], ended: Ended, *, stopped: bool) -> TrialCard:
        metric = self._plan.metric
        measured = [value for name, value in reports if name == metric]
        if stopped:
            state, cause = "stopped", ""
        elif ended.code:
            state, cause = "failed", ended.cause
        elif not measured:
            state, cause = "failed", f"printed no line {metric}=VALUE"
        else:
            state, cause = "succeeded", ""
        value = chosen(measured, self._plan.strategies[metric]) if state != "failed" else None
        update = {"state": state, "cause": cause, "reports": tuple(reports), "value": value}
        return card.model_copy(update=update | {"seconds": round(ended.seconds, 3)})

    def _finish(self, card: TrialCard) -> None:
        """Keep first, learn afterwards."""
        del self._processes[card.number]
        whole = card.model_copy(update={"end": self._journal.ends})
        self._journal.write(whole)
        self._suggester.tell(whole.number, whole.value)
        self._told(whole)

    def _end_all(self) -> None:
        """End the running trials; they stay begun."""
        with self._lock:
            self._closing = True
            for process in self._processes.values():
                if process:
                    process.end()
        while self._processes:
            del self._processes[self._results.get().number]


def _lines(log: Path) -> list[str]:
    """What a trial printed before the search was killed: training goes on from its checkpoint and prints the rest."""
    return log.read_text(encoding="utf-8").splitlines(keepends=True) if log.exists() else []


def chosen(values: list[float], strategy: Strategy) -> float:
    """The report that counts."""
    match strategy:
        case "min":
            return min(values)
        case "max":
            return max(values)
        case "latest":
            return values[-1]
