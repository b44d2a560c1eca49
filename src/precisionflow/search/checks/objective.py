"""Checks of the objective: its metrics are printed by a trial, its direction is theirs."""

from precisionflow.config.base import ConfigError
from precisionflow.records.metrics import metric_named
from precisionflow.search.metric_lines import SEARCHED
from precisionflow.search.study import Spec

_KEY = "spec.objective"


def check_objective(spec: Spec) -> None:
    """ConfigError for a metric that no trial prints, for the wrong direction, and for a strategy of another metric."""
    objective = spec.objective
    ours = any("precisionflow" in words for words in spec.template.commands)
    for index, name in enumerate(objective.metrics):
        key = "objectiveMetricName" if index == 0 else f"additionalMetricNames.{index - 1}"
        try:
            better = metric_named(name).better
        except ValueError as error:
            raise ConfigError(f"{_KEY}.{key}: {error}") from None
        if ours and name not in SEARCHED:
            raise ConfigError(
                f"{_KEY}.{key}: `precisionflow trial` does not print {name!r}, which needs test rows; "
                f"allowed: {', '.join(SEARCHED)}"
            )
        if index == 0 and (better, objective.better) in (("lower", "maximize"), ("higher", "minimize")):
            raise ConfigError(f"{_KEY}.type: given {objective.better!r}; of {name} {better} is better")
    if objective.metric in objective.additional:
        raise ConfigError(f"{_KEY}.additionalMetricNames: names the objective; leave it out")
    for index, given in enumerate(objective.given):
        if given.metric not in objective.metrics:
            raise ConfigError(
                f"{_KEY}.metricStrategies.{index}.name: {given.metric!r} is not collected; "
                f"allowed: {', '.join(objective.metrics)}"
            )
