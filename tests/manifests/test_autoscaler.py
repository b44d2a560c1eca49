"""Autoscalers of served models: requests in flight settle where the load asks for; computation time runs away."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.manifests.autoscaler import SYNC, simulated

SPEC: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[2] / "manifests/serving/endpoint/scaling.yaml").read_text()
)["spec"]
(METRIC,) = SPEC["metrics"]
TARGET = float(METRIC["pods"]["target"]["averageValue"])
SERVICE, HOUR = 0.012, 3600.0
TEN_MINUTES = int(600 / SYNC)


def in_flight(_service: float, in_flight: float) -> float:
    return in_flight


def computation(service: float, _in_flight: float) -> float:
    return service


@pytest.mark.parametrize("rate", [100.0, 250.0, 400.0])
def test_requests_in_flight_settle(rate: float) -> None:
    history = simulated(
        SPEC, target=TARGET, service=SERVICE, load=lambda _now: rate, metric=in_flight, seconds=HOUR
    )
    settled = history[-TEN_MINUTES:]
    assert max(settled) - min(settled) == 0
    busy = rate * SERVICE / settled[-1]
    assert 0.35 < busy < 0.75
    assert settled[-1] < SPEC["maxReplicas"]


def test_replicas_follow_the_load_up_and_down_without_flapping() -> None:
    def load(now: float) -> float:
        return 400.0 if 600 <= now < 2400 else 20.0

    history = simulated(SPEC, target=TARGET, service=SERVICE, load=load, metric=in_flight, seconds=2 * HOUR)
    assert history[0] == history[-1] == history[int(590 / SYNC)] == SPEC["minReplicas"]
    reached = next(i for i, replicas in enumerate(history) if replicas * 0.75 > 400 * SERVICE)
    assert (reached * SYNC) - 600 <= 120
    turns = [b - a for a, b in itertools.pairwise(history) if a != b]
    signs = [turn > 0 for turn in turns]
    assert sum(a != b for a, b in itertools.pairwise(signs)) <= 1


def test_an_idle_service_keeps_its_least() -> None:
    history = simulated(
        SPEC, target=TARGET, service=SERVICE, load=lambda _: 0.0, metric=in_flight, seconds=HOUR
    )
    assert set(history) == {SPEC["minReplicas"]}


@pytest.mark.parametrize(
    ("target", "rate", "end"), [(0.010, 1.0, SPEC["maxReplicas"]), (0.016, 1000.0, SPEC["minReplicas"])]
)
def test_computation_time_runs_away(target: float, rate: float, end: int) -> None:
    """More replicas make no computation shorter: above the target they are the most, whatever the load; below it the
    fewest, whatever the queue.
    """
    history = simulated(
        SPEC, target=target, service=SERVICE, load=lambda _now: rate, metric=computation, seconds=HOUR
    )
    assert history[-1] == end
    needed = rate * SERVICE
    assert end > 10 * needed or end < needed / 10
