"""Metrics of a server in Prometheus' text format 0.0.4: counters, gauges, histograms; never NaN."""

import math
import threading
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (
    0.0005,
    0.001,
    0.002,
    0.004,
    0.008,
    0.016,
    0.032,
    0.064,
    0.128,
    0.256,
    0.512,
    1.0,
    2.0,
    4.0,
    8.0,
    16.0,
)
"""Upper ends of the buckets of times, one at 16 ms: a frame at 60 Hz."""
COUNTS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0)
Labels = tuple[str, ...]


@dataclass
class Metric:
    """A family of series with one help line."""

    name: str
    told: str
    labels: Labels = ()
    kind: str = "counter"
    values: dict[Labels, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.labels:
            self.values[()] = 0.0

    def add(self, amount: float = 1.0, *labels: str) -> None:
        """Raise a series."""
        self.values[labels] = self.values.get(labels, 0.0) + amount

    def put(self, value: float, *labels: str) -> None:
        """Set a gauge; a value that is not finite leaves it as it is."""
        if math.isfinite(value):
            self.values[labels] = value

    def lines(self) -> Iterator[str]:
        """The family as it is read."""
        yield f"# HELP {self.name} {self.told}"
        yield f"# TYPE {self.name} {self.kind}"
        for labels, value in sorted(self.values.items()):
            yield f"{self.name}{_named(self.labels, labels)} {_number(value)}"


@dataclass
class Histogram:
    """Counts of values in buckets up to each end, their sum and their number."""

    name: str
    told: str
    labels: Labels = ()
    ends: Sequence[float] = SECONDS
    buckets: dict[Labels, list[int]] = field(default_factory=dict)
    sums: dict[Labels, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.labels:
            self.series(())

    def series(self, labels: Labels) -> list[int]:
        """Counts of a series; of a new one 0."""
        self.sums.setdefault(labels, 0.0)
        return self.buckets.setdefault(labels, [0] * (len(self.ends) + 1))

    def observe(self, value: float, *labels: str) -> None:
        """Count a value; one that is not finite is left out, so that no sum becomes NaN."""
        if math.isfinite(value):
            self.series(labels)[bisect_left(self.ends, value)] += 1
            self.sums[labels] += value

    def lines(self) -> Iterator[str]:
        """The family as it is read: cumulative counts."""
        yield f"# HELP {self.name} {self.told}"
        yield f"# TYPE {self.name} histogram"
        for labels, counts in sorted(self.buckets.items()):
            total = 0
            for end, count in zip((*map(_number, self.ends), "+Inf"), counts, strict=True):
                total += count
                yield f"{self.name}_bucket{_named((*self.labels, 'le'), (*labels, end))} {total}"
            yield f"{self.name}_sum{_named(self.labels, labels)} {_number(self.sums[labels])}"
            yield f"{self.name}_count{_named(self.labels, labels)} {total}"


class Measures:
    """All metrics of a server. The event loop reads and writes them; a worker writes under the lock."""

    def __init__(self) -> None:
        of = ("model", "endpoint")
        self.lock = threading.Lock()
        self.requests = Metric(
            "precisionflow_requests_total", "Answered requests by status.", (*of, "status")
        )
        self.in_flight = Metric(
            "precisionflow_requests_in_flight", "Requests that are not answered yet.", kind="gauge"
        )
        self.waiting = Metric(
            "precisionflow_rows_waiting", "Rows that are accepted and not answered yet.", of, kind="gauge"
        )
        self.ready = Metric("precisionflow_ready", "1 where /readyz answers 200.", kind="gauge")
        self.free_energy = Metric(
            "precisionflow_free_energy_nats",
            "Mean free energy of the rows of the last batch.",
            of,
            kind="gauge",
        )
        self.seconds = Histogram(
            "precisionflow_request_seconds",
            "From the headers of a request to its answer, queueing included.",
            of,
        )
        self.queued = Histogram(
            "precisionflow_queue_seconds", "From the arrival of a request to the start of its batch.", of
        )
        self.computing = Histogram(
            "elbo_computation_time_seconds",
            "Computation of a batch without queueing: a service level, no scale.",
            of,
        )
        self.rows = Histogram("precisionflow_batch_rows", "Rows of a batch.", of, COUNTS)
        self.iterations = Histogram(
            "precisionflow_iterations", "Iterations of message passing of a batch.", of, COUNTS
        )
        self.arithmetic = Metric(
            "precisionflow_arithmetic_total",
            "Batches by the arithmetic they were computed in.",
            (*of, "arithmetic"),
        )

    def begin(self, model: str, endpoint: str) -> None:
        """Begin the series of an endpoint at 0: an autoscaler that finds none knows of no load and does nothing."""
        self.waiting.add(0.0, model, endpoint)
        self.seconds.series((model, endpoint))

    def text(self) -> str:
        """Every family."""
        with self.lock:
            families = [each for each in vars(self).values() if isinstance(each, Metric | Histogram)]
            return "".join(f"{line}\n" for family in families for line in family.lines())


def _named(names: Labels, values: Labels) -> str:
    pairs = [f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)]
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
