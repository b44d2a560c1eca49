"""The protocol `metric=value`: what a trial prints, how it is read as Katib's text collector reads it, what counts."""

import contextlib
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from precisionflow.config import Experiment

SEARCHED = ("validation_loss", "seconds_per_step", "samples_per_second")
"""Metrics that a search may look at: none of them needs test rows."""
Strategy = Literal["min", "max", "latest"]
"""Which of a trial's reports of a metric counts."""
UNAVAILABLE = "unavailable"
"""What Katib writes where a trial did not print a metric."""
_METRIC = re.compile(r"([\w|-]+)\s*=\s*([+-]?\d*(?:\.\d+)?(?:[Ee][+-]?\d+)?)", re.ASCII)
"""Katib's default filter for texts (file metrics collector 0.19): NAME = NUMBER, anywhere in a line, ASCII as Go's."""


@contextlib.contextmanager
def metric_lines(
    experiment: "Experiment",
) -> Iterator[Callable[[int, int, int, dict[str, float]], None]]:
    """Like `training_progress`, with lines `metric=value` that Katib's collector reads, one metric on each."""
    yield lambda _seed, _split, _step, measured: print_metrics(measured, experiment)


def print_metrics(measured: Mapping[str, float], experiment: "Experiment") -> None:
    """Print the searched metrics of one validation; one that is not finite is left out, since Katib cannot read it."""
    throughput = experiment.training.batch_size / measured["seconds_per_step"]
    for name, value in zip(SEARCHED, (measured[SEARCHED[0]], measured[SEARCHED[1]], throughput), strict=True):
        if math.isfinite(value):
            print(f"{name}={value:.9g}", flush=True)


def parse_line(line: str, names: Collection[str]) -> list[tuple[str, float]]:
    """The (metric, value) pairs of a line whose metric is one of `names`, in their order.

    A name ends at what is no word character, | or -, so that `val/nll=0.3` reports nll; a value that is no number, such
    as nan, is left out; `nll: 0.3` reports nothing.
    """
    return [(name, float(value)) for name, value in _METRIC.findall(line) if name in names and _number(value)]


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def chosen(values: Sequence[float], strategy: Strategy) -> float:
    """The report that counts."""
    match strategy:
        case "min":
            return min(values)
        case "max":
            return max(values)
        case "latest":
            return values[-1]


def observed(metric: Mapping[str, str], strategy: Strategy) -> float | None:
    """The report that counts in Katib's observation, which has `min`, `max` and `latest` of a metric; none without one.

    Lowest and highest are unavailable where a report is no number: then the latest counts.
    """
    value = metric["latest"] if metric[strategy] == UNAVAILABLE else metric[strategy]
    return None if value == UNAVAILABLE else float(value)
