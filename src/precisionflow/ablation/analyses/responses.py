"""Responses: which levels of a parameter are no worse than the best one, and which one to recommend."""

import math
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from precisionflow.ablation.statistics import Interval


class Judged(NamedTuple):
    """What is said of a level; `behind` is its distance from the best one, above 0 where it is worse."""

    behind: Interval
    own: bool
    robust: bool
    recommended: bool


def judged(
    means: Sequence[float],
    behind: Callable[[int, int], Interval],
    *,
    margin: float,
    ordered: bool,
    own: int | None,
    lost: Collection[int] = (),
) -> list[Judged]:
    """Levels in their order, by their means, of which a lower one is better.

    `behind` gives the difference between two levels with its interval. Robust: the best level, and those whose
    difference from it is shown to be below `margin`, or without one (NaN) is not shown to be above 0; in a range
    without a gap up to the best. Recommended: the `own` level, the index of the experiment's value, unless it is shown
    to be worse than the best by more than the margin; then the best. Neither is said of a level that is `lost`, whose
    every run has a failed unit that counts as the worst: nothing bounds how bad it is. Nothing is said where no
    difference has an interval.
    """
    known = [index for index, mean in enumerate(means) if not math.isnan(mean)]
    nothing = Interval(math.nan, math.nan, math.nan, math.nan, 0)
    best = min((index for index in known if index not in lost), key=means.__getitem__, default=None)
    if best is None:
        return [Judged(nothing, index == own, False, False) for index in range(len(means))]
    distances = [behind(index, best) if index in known else nothing for index in range(len(means))]
    if all(math.isnan(of.low) for index, of in enumerate(distances) if index != best):
        return [Judged(of, index == own, False, False) for index, of in enumerate(distances)]
    holds = [
        index == best or (index not in lost and _holds(of, margin)) for index, of in enumerate(distances)
    ]
    if ordered:
        holds = _around(holds, best)
    kept = own is not None and not distances[own].low > (0.0 if math.isnan(margin) else margin)
    chosen = own if kept and own in known and own not in lost else best
    return [Judged(of, index == own, holds[index], index == chosen) for index, of in enumerate(distances)]


def _holds(behind: Interval, margin: float) -> bool:
    return behind.low <= 0 if math.isnan(margin) else behind.high <= margin


def _around(holds: Sequence[bool], best: int) -> list[bool]:
    """The stretch without a gap that the best level is in."""
    found = [False] * len(holds)
    for step in (1, -1):
        index = best
        while 0 <= index < len(holds) and holds[index]:
            found[index] = True
            index += step
    return found
