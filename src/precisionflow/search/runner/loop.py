"""Loop of a search: makes trials, keeps as many running as may run, keeps what each reached; loops side by side."""

import os
import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from precisionflow.records.search import Report
from precisionflow.search.algorithms.medianstop import MedianStop
from precisionflow.search.algorithms.samplers import Suggester
from precisionflow.search.journal import Journal, TrialCard
from precisionflow.search.metric_lines import chosen, parse_line
from precisionflow.search.runner.process import Exit, TrialProcess
from precisionflow.search.study import Objective, Study
from precisionflow.search.trial import trial_command

Ended = queue.SimpleQueue[tuple["Loop", TrialCard]]
"""Trials whose process has ended, each with its loop."""


def run_loops(loops: Sequence["Loop"], *, at_once: int, ended: Ended, over: Callable[["Loop"], None]) -> None:
    """Run loops in their order, `at_once` of them side by side; then no trial runs, whatever ended it.

    Only this thread touches journals and suggesters. `over` is called for a loop that has nothing left to do, when
    the others have been given theirs.
    """
    waiting, running, idle = list(loops), list[Loop](), list[Loop]()
    try:
        while waiting or running or idle:
            while waiting and len(running) < at_once:
                running.append(waiting.pop(0))
            for loop in running:
                loop.fill()
            if done := [loop for loop in running if not loop.busy]:
                running = [loop for loop in running if loop.busy]
                idle += done
            elif idle and ended.empty():
                over(idle.pop(0))
            else:
                loop, card = ended.get()
                loop.take(card)
    finally:
        for loop in loops:
            loop.close()
        while any(loop.busy for loop in loops):
            loop, card = ended.get()
            loop.take(card)


class Loop:
    """Runs the trials of a study that its journal lacks, `parallel` at once, each with so many threads.

    It goes on in `fill` and `take`. Each running trial has a thread that waits for its process and puts its card into
    `ended`. `told` is called for every trial that ends.
    """

    def __init__(
        self,
        study: Study,
        *,
        parallel: int,
        threads: int,
        journal: Journal,
        suggester: Suggester,
        stopping: MedianStop | None,
        ended: Ended,
        told: Callable[[TrialCard], None],
    ) -> None:
        self.study, self.journal = study, journal
        self._objective, self._parallel, self._threads = study.spec.objective, parallel, threads
        self._suggester, self._stopping, self._results, self._told = suggester, stopping, ended, told
        self._waiting = journal.begun
        self._lock, self._closing = threading.Lock(), False
        self._processes: dict[int, TrialProcess | None] = {}

    @property
    def goal_reached(self) -> bool:
        """Whether a trial is as good as the objective's goal."""
        values = [card.value for card in self.journal.ended if card.value is not None]
        return any(self._objective.reached(value) for value in values)

    @property
    def failed(self) -> bool:
        """Whether as many trials failed as the study allows."""
        return too_many_failed(self.study, self.journal)

    @property
    def busy(self) -> bool:
        """Whether a trial runs."""
        return bool(self._processes)

    def fill(self) -> None:
        """Start trials until as many run as may run; end those that run at the goal or where too many failed."""
        if self.goal_reached or self.failed:
            self.close()
        while not self._closing and len(self._processes) < self._parallel:
            card = self._waiting.pop(0) if self._waiting else self._made()
            if card is None:
                return
            self._start(card)

    def take(self, card: TrialCard) -> None:
        """Keep a trial that has ended in the journal, then tell the algorithm and the screen; after `close` no more."""
        del self._processes[card.number]
        if self._closing:
            return
        whole = card.model_copy(update={"end": self.journal.next_end})
        self.journal.write(whole)
        self._suggester.tell(whole.number, whole.value)
        self._told(whole)

    def close(self) -> None:
        """Have the running trials end, and start none again; in the journal they stay begun."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            for process in self._processes.values():
                if process:
                    process.end()

    def _made(self) -> TrialCard | None:
        """A new trial, in the journal; none where there are enough, or where none can be suggested yet."""
        number, journal, most = len(self.journal.cards), self.journal, self.study.spec.trials
        if most is not None and number >= most:
            return None
        assignments = self._suggester.ask()
        if assignments is None:
            return None
        succeeded = [card for card in journal.ended if card.state == "succeeded"]
        histories = [card.values[self._objective.metric] for card in succeeded]
        threshold = self._stopping.threshold(histories) if self._stopping else None
        card = TrialCard(number=number, assignments=assignments, told=journal.next_end, threshold=threshold)
        journal.write(card)
        return card

    def _start(self, card: TrialCard) -> None:
        self._processes[card.number] = None
        threading.Thread(target=self._work, args=[card], daemon=True).start()

    def _work(self, card: TrialCard) -> None:
        """Run one trial; the target of its thread.

        Whatever goes wrong fails this trial alone: a card of each thread is waited for, forever if need be.
        """
        try:
            self._results.put((self, self._ended(card)))
        except Exception as error:
            self._results.put((self, card.model_copy(update={"state": "failed", "cause": _told(error)})))

    def _ended(self, card: TrialCard) -> TrialCard:
        """The card of a trial when its process has ended; lines that it printed before a kill count."""
        study, results = self.study, self.journal.results(card)
        command = trial_command(
            study.spec.template, card.assignments, name=f"{study.name}-{card.number}", out=results.results
        )
        threads = os.environ.get("OMP_NUM_THREADS") or str(self._threads)
        earlier = [line for line in _lines(results.log) if line.endswith("\n")]
        results.log.write_text("".join(earlier), encoding="utf-8")
        environment = {"OMP_NUM_THREADS": threads, "PYTHONUNBUFFERED": "1"}
        process = TrialProcess(command, log=results.log, environment=environment)
        with self._lock:
            self._processes[card.number] = process
            if self._closing:
                process.end()
        listener = Listener(
            self._objective, stopping=self._stopping, threshold=card.threshold, stop=process.end
        )
        for line in earlier:
            listener.read(line)
        ended = process.follow(listener.read)
        return _judged(card, listener, ended, objective=self._objective)


def too_many_failed(study: Study, journal: Journal) -> bool:
    """Whether as many trials failed as a study allows."""
    allowed = study.spec.failures
    failures = sum(card.state == "failed" for card in journal.ended)
    return allowed is not None and failures >= max(1, allowed)


class Listener:
    """Reads the lines of one trial: collects its reports, and calls `stop` when early stopping ends it.

    What is printed after the stop does not count.
    """

    def __init__(
        self,
        objective: Objective,
        *,
        stopping: MedianStop | None,
        threshold: float | None,
        stop: Callable[[], None],
    ) -> None:
        self._metric, self._strategies = objective.metric, objective.strategies
        self._stopping, self._threshold, self._stop = stopping, threshold, stop
        self.reports: list[Report] = []
        self.measured: list[float] = []
        """Reports of the objective."""
        self.stopped = False

    def read(self, line: str) -> None:
        """Take one line."""
        if self.stopped:
            return
        found = parse_line(line, self._strategies)
        self.reports.extend(found)
        self.measured.extend(value for metric, value in found if metric == self._metric)
        if found and self._stopping and self._stopping.stops(self.measured, self._threshold):
            self.stopped = True
            self._stop()


def _told(error: Exception) -> str:
    """An error in one line, with its type where the message alone would say little, as that of a KeyError."""
    message = " ".join(str(error).split())
    return message if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {message}"


def _judged(card: TrialCard, listener: Listener, ended: Exit, *, objective: Objective) -> TrialCard:
    """The card with the trial's state, reports, value and seconds."""
    metric, measured = objective.metric, listener.measured
    if listener.stopped:
        state, cause = "stopped", ""
    elif ended.code:
        state, cause = "failed", ended.cause
    elif not measured:
        state, cause = "failed", f"printed no line {metric}=VALUE with a finite number"
    else:
        state, cause = "succeeded", ""
    value = chosen(measured, objective.strategies[metric]) if state != "failed" else None
    update = {"state": state, "cause": cause, "reports": tuple(listener.reports), "value": value}
    return card.model_copy(update=update | {"seconds": round(ended.seconds, 3)})


def _lines(log: Path) -> list[str]:
    """What a trial printed before the search was killed: training goes on from its checkpoint and prints the rest."""
    return log.read_text(encoding="utf-8").splitlines(keepends=True) if log.exists() else []
