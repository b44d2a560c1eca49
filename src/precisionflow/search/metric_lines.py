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
_METRIC = re.compile(r"([\w|-]++)(?:\s*+=\s*+([+-]?\d*+(?:\.\d++)?+(?:[Ee][+-]?\d++)?+))?+", re.ASCII)
"""Katib's default filter for texts (file metrics collector 0.19): NAME = NUMBER, anywhere in a line, ASCII as Go's.

Its number is optional here and nothing is given back, so that no character is looked at more than twice: Go's
expressions are linear, Python's would begin anew within every long word.
"""


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

    A name ends at what is no word character, | or -, so that `val/nll=0.3` reports nll; a value that is no finite
    number, such as nan or 1e400, is left out; `nll: 0.3` reports nothing.
    """
    found = ((match[1], _finite(match[2] or "")) for match in _METRIC.finditer(line) if match[1] in names)
    return [(name, value) for name, value in found if value is not None]


def _finite(text: str) -> float | None:
    """The number that a text states; none where it states none that a float holds."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


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

    Lowest and highest are unavailable where a report is no number: then the latest counts, unless it is none itself.
    """
    return _finite(metric["latest"] if metric[strategy] == UNAVAILABLE else metric[strategy])
