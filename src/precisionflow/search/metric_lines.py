"""The protocol `metric=value`: what a trial prints, read as Katib's text collector reads it."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from precisionflow.config import Experiment
import re
from collections.abc import Collection

SEARCHED = ("validation_loss", "seconds_per_step", "samples_per_second")
"""Metrics that a search may look at: none of them needs test rows."""


@contextlib.contextmanager
def metric_lines(
    experiment: "Experiment",
) -> Iterator[Callable[[int, int, int, dict[str, float]], None]]:
    """Like `training_progress`, with lines `metric=value` that Katib's collector reads, one metric on each."""
    yield lambda _seed, _split, _step, measured: print_metrics(measured, experiment)


def print_metrics(measured: Mapping[str, float], experiment: "Experiment") -> None:
    """The searched metrics of one validation; a value that is not finite is left out, since Katib cannot read it."""
    throughput = experiment.training.batch_size / measured["seconds_per_step"]
    for name, value in zip(SEARCHED, (measured[SEARCHED[0]], measured[SEARCHED[1]], throughput), strict=True):
        if math.isfinite(value):
            print(f"{name}={value:.9g}", flush=True)


_METRIC = re.compile(r"([\w|-]+)\s*=\s*([+-]?\d*(?:\.\d+)?(?:[Ee][+-]?\d+)?)", re.ASCII)
"""Katib's default filter for texts (file metrics collector 0.19): NAME = NUMBER, anywhere in a line, ASCII as Go's."""


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
