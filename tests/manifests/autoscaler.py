"""The horizontal pod autoscaler in discrete time, before a queue that its pods serve."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

SYNC = 15
"""Seconds between two decisions."""
TOLERANCE = 0.1
START = 30
"""Seconds until a new pod is ready."""


@dataclass
class Pods:
    """Pods that answer requests one at a time, each in `service` seconds; requests that wait are kept."""

    service: float
    backlog: float = 0.0

    def in_flight(self, rate: float, ready: int, seconds: float) -> float:
        """Mean number of requests in flight in a pod over the next `seconds`, at `rate` requests a second.

        While more come than are served the backlog grows; a queue in balance is M/D/1: u + u^2 / (2 (1 - u)).
        """
        capacity, before = ready / self.service, self.backlog
        self.backlog = max(0.0, before + (rate - capacity) * seconds)
        if self.backlog > 0:
            return (before + self.backlog) / 2 / ready + 1
        busy = min(rate / capacity, 0.99)
        return before / 2 / ready + busy + busy**2 / (2 * (1 - busy))


@dataclass
class Autoscaler:
    """Kubernetes' algorithm with the limits and policies of a HorizontalPodAutoscaler's spec."""

    spec: dict[str, Any]
    target: float
    replicas: int = 1
    wanted: list[tuple[float, int]] = field(default_factory=list)
    changes: list[tuple[float, int]] = field(default_factory=list)

    def decide(self, now: float, ready: int, value: float) -> int:
        """Replicas from now on, where the metric has `value` on average over ready pods."""
        ratio = value / self.target
        desired = self.replicas if abs(ratio - 1) <= TOLERANCE else math.ceil(ready * ratio)
        desired = min(max(desired, self.spec["minReplicas"]), self.spec["maxReplicas"])
        up, down = self.spec["behavior"]["scaleUp"], self.spec["behavior"]["scaleDown"]
        self.wanted.append((now, desired))
        steady = max(n for time, n in self.wanted if time >= now - down["stabilizationWindowSeconds"])
        if desired > self.replicas:
            (policy,) = up["policies"]
            before = self.replicas - self._moved(now, policy["periodSeconds"], sign=1)
            desired = min(desired, math.ceil(before * (1 + policy["value"] / 100)))
            desired = max(desired, self.replicas)
        elif steady < self.replicas:
            (policy,) = down["policies"]
            room = policy["value"] + self._moved(now, policy["periodSeconds"], sign=-1)
            desired = max(steady, self.replicas - max(0, room))
        else:
            desired = self.replicas
        if desired != self.replicas:
            self.changes.append((now, desired - self.replicas))
            self.replicas = desired
        return desired

    def _moved(self, now: float, seconds: float, *, sign: int) -> int:
        return sum(change for time, change in self.changes if time > now - seconds and change * sign > 0)


def simulated(
    spec: dict[str, Any],
    *,
    target: float,
    service: float,
    load: Callable[[float], float],
    metric: Callable[[float, float], float],
    seconds: float,
) -> list[int]:
    """Replicas at each decision; `metric(service, requests in flight in a pod)` is what is scaled on."""
    scaler, pods = Autoscaler(spec, target, spec["minReplicas"]), Pods(service)
    history, begun = [scaler.replicas], [-float(START)] * scaler.replicas
    last: list[float] = []
    for step in range(1, int(seconds / SYNC)):
        now = step * float(SYNC)
        ready = max(1, sum(now >= start + START for start in begun))
        last = [*last, pods.in_flight(load(now), ready, SYNC)][-4:]
        replicas = scaler.decide(now, ready, metric(service, sum(last) / len(last)))
        begun = [*begun, *[now] * (replicas - len(begun))][:replicas]
        history.append(replicas)
    return history
