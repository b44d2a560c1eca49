"""Checks of the algorithm and of early stopping: Katib knows their settings, and they fit the parameters."""

import math

from precisionflow.config.base import ConfigError, nearest
from precisionflow.search.algorithms.settings import MEDIANSTOP, REFUSED, SETTINGS, Allowed
from precisionflow.search.study import Algorithm, Spec

_KEY = "spec.algorithm"


def check_algorithm(algorithm: Algorithm) -> None:
    """ConfigError for an algorithm or a setting that Katib does not know."""
    name = algorithm.name
    if name in REFUSED:
        raise ConfigError(f"{_KEY}.algorithmName: {name} {REFUSED[name]}; allowed: {', '.join(SETTINGS)}")
    if name not in SETTINGS:
        raise ConfigError(
            f"{_KEY}.algorithmName: unknown value {name!r}; allowed: "
            f"{', '.join(SETTINGS)}{nearest(name, list(SETTINGS))}"
        )
    _check_settings(algorithm, SETTINGS[name], key=_KEY)


def check_stopping(stopping: Algorithm) -> None:
    """ConfigError for an early stopping other than medianstop, or a setting that it does not know."""
    if stopping.name != "medianstop":
        raise ConfigError(
            f"spec.earlyStopping.algorithmName: unknown value {stopping.name!r}; allowed: medianstop"
        )
    _check_settings(stopping, MEDIANSTOP, key="spec.earlyStopping")


def _check_settings(algorithm: Algorithm, known: Allowed, *, key: str) -> None:
    """ConfigError for the first setting that is unknown or has a wrong value."""
    for name, value in algorithm.settings.items():
        where = f"{key}.algorithmSettings.{name}"
        if name not in known:
            allowed = ", ".join(known) or "none"
            raise ConfigError(
                f"{where}: {algorithm.name} has no such setting; allowed: {allowed}{nearest(name, list(known))}"
            )
        fits, wanted = known[name]
        try:
            good = fits(value)
        except ValueError:
            good = False
        if not good:
            raise ConfigError(f"{where}: given {value!r}; should be {wanted}")


def check_algorithm_fits(spec: Spec) -> None:
    """ConfigError where the algorithm cannot draw the parameters."""
    name = spec.algorithm.name
    if name == "cmaes" and sum(parameter.numeric for parameter in spec.parameters) < 2:
        raise ConfigError(f"{_KEY}.algorithmName: cmaes needs two double or int parameters; take tpe")
    for index, parameter in enumerate(spec.parameters):
        key, space = f"spec.parameters.{index}.feasibleSpace", parameter.space
        if name == "grid" and parameter.kind == "double" and not space.step:
            raise ConfigError(f"{key}.step: missing; a grid over a double needs one")
        if name == "bayesianoptimization" and parameter.kind == "double" and float(space.low) <= 0:
            raise ConfigError(
                f"{key}.min: given {space.low}; Katib's {name} takes logarithms, so it must be above 0"
            )
    if name == "hyperband":
        _check_hyperband(spec)


def _check_hyperband(spec: Spec) -> None:
    key, settings = f"{_KEY}.algorithmSettings", spec.algorithm.settings
    for wanted in ("r_l", "resource_name"):
        if wanted not in settings:
            raise ConfigError(f"{key}.{wanted}: missing; hyperband needs it")
    names = [parameter.name for parameter in spec.parameters]
    resource = settings["resource_name"]
    if resource not in names:
        raise ConfigError(
            f"{key}.resource_name: given {resource!r}; should be a parameter: "
            f"{', '.join(names)}{nearest(resource, names)}"
        )
    eta = int(float(settings.get("eta", 3)))
    fewest = eta ** int(math.log(float(settings["r_l"])) / math.log(eta))
    if spec.parallel < fewest:
        raise ConfigError(
            f"spec.parallelTrialCount: given {spec.parallel}; hyperband needs at least {fewest}"
        )
