"""What the engine on this machine needs of a study, with the values that Katib itself fills in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from precisionflow.config import digest
from precisionflow.search.medianstop import Better

Kind = Literal["double", "int", "categorical", "discrete"]
Strategy = Literal["min", "max", "latest"]
_PARALLEL = 3
"""Katib's parallelTrialCount where a study has none."""


@dataclass(frozen=True)
class Range:
    """Katib's feasibleSpace: texts, as it has them; empty ones are absent."""

    min: str = ""
    max: str = ""
    step: str = ""
    list: tuple[str, ...] = ()
    distribution: str = "uniform"


@dataclass(frozen=True)
class Parameter:
    """One searched parameter."""

    name: str
    kind: Kind
    space: Range


@dataclass(frozen=True)
class Plan:
    """A study, flat."""

    name: str
    metric: str
    better: Better
    goal: float | None
    strategies: Mapping[str, Strategy]
    """Of every collected metric: which of a trial's reports counts."""
    algorithm: str
    settings: Mapping[str, str]
    parameters: tuple[Parameter, ...]
    stopping: Mapping[str, str] | None
    """Settings of medianstop; none without early stopping."""
    trials: int | None
    failures: int | None
    """Failed trials at which the search fails."""
    parallel: int
    template: Mapping[str, Any]
    key: str
    """Digest of all that decides which trials are made: not how many, nor how many at once."""


def plan_of(tree: Mapping[str, Any]) -> Plan:
    """From a Katib Experiment that has been validated."""
    spec = tree["spec"]
    objective, algorithm = spec["objective"], spec["algorithm"]
    metric, better = objective["objectiveMetricName"], objective["type"]
    names = [metric, *(objective.get("additionalMetricNames") or ())]
    default = {"minimize": "min", "maximize": "max"}[better]
    given = {strategy["name"]: strategy["value"] for strategy in objective.get("metricStrategies") or ()}
    early = spec.get("earlyStopping")
    decisive = {k: spec.get(k) for k in ("parameters", "algorithm", "earlyStopping", "trialTemplate")}
    return Plan(
        name=tree["metadata"]["name"],
        metric=metric,
        better=better,
        goal=objective.get("goal"),
        strategies={name: given.get(name, default) for name in names},
        algorithm=algorithm["algorithmName"],
        settings=_settings(algorithm),
        parameters=tuple(_parameter(parameter) for parameter in spec["parameters"]),
        stopping=_settings(early) if early else None,
        trials=spec.get("maxTrialCount"),
        failures=spec.get("maxFailedTrialCount"),
        parallel=spec.get("parallelTrialCount") or _PARALLEL,
        template=spec["trialTemplate"],
        key=digest([tree["metadata"]["name"], metric, better, given, decisive]),
    )


def _settings(part: Mapping[str, Any]) -> dict[str, str]:
    return {setting["name"]: str(setting["value"]) for setting in part.get("algorithmSettings") or ()}


def _parameter(given: Mapping[str, Any]) -> Parameter:
    space = given["feasibleSpace"]
    return Parameter(
        given["name"],
        given["parameterType"],
        Range(
            min=_text(space.get("min")),
            max=_text(space.get("max")),
            step=_text(space.get("step")),
            list=tuple(str(value) for value in space.get("list") or ()),
            distribution=space.get("distribution") or "uniform",
        ),
    )


def _text(value: object) -> str:
    return "" if value is None else str(value)
