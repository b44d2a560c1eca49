"""Katib's hyperband: many trials with a small resource, the best of them again with more (Li et al. 2018)."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from precisionflow.records.search import Better
from precisionflow.search.template import Assignments


def brackets(most: float, eta: float) -> list[list[int]]:
    """Number of trials in each rung of each bracket: brackets(9, 3) = [[9, 3, 1], [5, 2], [3]].

    `most` is the largest resource (Katib's r_l); the best 1/eta of a rung go on to the next.
    """
    last = int(math.log(most) / math.log(eta))
    found = []
    for s in range(last, -1, -1):
        rungs = [math.ceil((last + 1) * eta**s / (s + 1))]
        while len(rungs) <= s:
            rungs.append(math.ceil(rungs[-1] / eta))
        found.append(rungs)
    return found


@dataclass
class Rung:
    """Trials with the same resource."""

    size: int
    resource: int
    before: "Rung | None" = None
    """Rung whose best trials are promoted to this one; none: its trials are drawn."""
    numbers: list[int] = field(default_factory=list)
    """Trials that were suggested, by number."""
    queue: list[Assignments] | None = None
    """Trials still to be suggested; none before the rung is filled."""


class Hyperband:
    """Suggests one rung after the other; a rung starts when the one before it has finished.

    `draw` gives a random trial. A trial that failed is never promoted.
    """

    def __init__(
        self,
        draw: Callable[[], Assignments],
        *,
        most: float,
        eta: float,
        resource_name: str,
        better: Better,
    ) -> None:
        self._draw, self._name = draw, resource_name
        self._sign = 1.0 if better == "minimize" else -1.0
        self._rungs = list(_rungs(most, eta))
        self._asked: list[Assignments] = []
        self._values: dict[int, float | None] = {}

    def ask(self) -> Assignments | None:
        """The next trial; none while a rung has to finish first, and after the last one."""
        for rung in self._rungs:
            if rung.queue is None:
                rung.queue = self._filled(rung)
            if rung.queue:
                assignments = rung.queue.pop(0)
                rung.numbers.append(len(self._asked))
                self._asked.append(assignments)
                return dict(assignments)
            if not self._values.keys() >= set(rung.numbers):
                return None
        return None

    def tell(self, number: int, value: float | None) -> None:
        """Objective of the trial that call `number` of `ask` suggested; none where it failed."""
        self._values[number] = value

    def _filled(self, rung: Rung) -> list[Assignments]:
        if rung.before is None:
            chosen = [self._draw() for _ in range(rung.size)]
        else:
            reached = [(self._values[n], n) for n in rung.before.numbers]
            ranked = sorted((self._sign * value, n) for value, n in reached if value is not None)
            chosen = [self._asked[n] for _, n in ranked[: rung.size]]
        return [assignments | {self._name: str(rung.resource)} for assignments in chosen]


def _rungs(most: float, eta: float) -> list[Rung]:
    found = []
    for sizes in brackets(most, eta):
        before = None
        for index, size in enumerate(sizes):
            before = Rung(size, int(most / eta ** (len(sizes) - 1 - index)), before)
            found.append(before)
    return found
