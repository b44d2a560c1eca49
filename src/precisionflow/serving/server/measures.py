"""Metrics of a server in Prometheus' text format: counters, gauges, histograms; never NaN."""

import math
from collections.abc import Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE

__all__ = ["CONTENT_TYPE", "Measures", "observe"]

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
OF = ("model", "endpoint")
"""Labels of every series of an endpoint."""

disable_created_metrics()  # a second family for each, of the times at which its series began


class Measures:
    """All metrics of a server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "precisionflow_requests",
            "Answered requests by status.",
            (*OF, "status"),
            registry=self.registry,
        )
        self.in_flight = self._gauge(
            "precisionflow_requests_in_flight", "Requests that are not answered yet.", ()
        )
        self.waiting = self._gauge(
            "precisionflow_rows_waiting", "Rows that are accepted and not answered yet.", OF
        )
        self.ready = self._gauge("precisionflow_ready", "1 where /readyz answers 200.", ())
        self.free_energy = self._gauge(
            "precisionflow_free_energy_nats", "Mean free energy of the rows of the last batch.", OF
        )
        self.seconds = self._histogram(
            "precisionflow_request_seconds",
            "From the last byte of a request to the first of its answer, queueing included.",
        )
        self.queued = self._histogram(
            "precisionflow_queue_seconds", "From the arrival of a request to the start of its batch."
        )
        self.computing = self._histogram(
            "elbo_computation_time_seconds",
            "Computation of a batch without queueing: a service level, no scale.",
        )
        self.rows = self._histogram("precisionflow_batch_rows", "Rows of a batch.", COUNTS)
        self.iterations = self._histogram(
            "precisionflow_iterations", "Iterations of message passing of a batch.", COUNTS
        )
        self.arithmetic = Counter(
            "precisionflow_arithmetic",
            "Batches by the arithmetic they were computed in.",
            (*OF, "arithmetic"),
            registry=self.registry,
        )

    def _gauge(self, name: str, told: str, labels: tuple[str, ...]) -> Gauge:
        return Gauge(name, told, labels, registry=self.registry)

    def _histogram(self, name: str, told: str, ends: Sequence[float] = SECONDS) -> Histogram:
        return Histogram(name, told, OF, buckets=ends, registry=self.registry)

    def begin(self, model: str, endpoint: str) -> None:
        """Begin the series of an endpoint at 0: an autoscaler that finds none knows of no load and does nothing."""
        self.waiting.labels(model, endpoint)
        self.seconds.labels(model, endpoint)

    def text(self) -> bytes:
        """Every family."""
        return generate_latest(self.registry)


def observe(of: Gauge | Histogram, value: float) -> None:
    """Put the value of a gauge, count one of a histogram; one that is not finite is left out: no sum becomes NaN."""
    if not math.isfinite(value):
        return
    if isinstance(of, Gauge):
        of.set(value)
    else:
        of.observe(value)
