"""What makes a study wrong although its fields are right: checks of Katib's webhook, of its services, and ours."""

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from precisionflow.ablation.design import single
from precisionflow.config import load
from precisionflow.config.base import ConfigError, nearest
from precisionflow.records.metrics import metric_named
from precisionflow.search.algorithms import MEDIANSTOP, check_algorithm, check_settings
from precisionflow.search.command import commands
from precisionflow.search.metric_lines import SEARCHED
from precisionflow.search.resource import AlgorithmSpec, ParameterSpec, Study
from precisionflow.search.template import check_template

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_PLACEHOLDER = re.compile(r"\$\{trialParameters\.([^}]+)\}")
_NUMERIC = ("double", "int")


def check_study(study: Study) -> None:
    """ConfigError with one line for the first thing that Katib would refuse, or that no trial could use."""
    _check_names_and_counts(study)
    _check_objective(study)
    settings = _settings(study.spec.algorithm)
    check_algorithm(study.spec.algorithm.algorithmName, settings)
    _check_stopping(study.spec.earlyStopping)
    for index, parameter in enumerate(study.spec.parameters):
        _check_space(parameter, f"spec.parameters.{index}")
    _check_algorithm_fits(study, settings)
    check_template(study.spec.trialTemplate)
    _check_placeholders(study)
    _check_fields(study)


def _check_names_and_counts(study: Study) -> None:
    spec, name = study.spec, study.metadata.name
    if not _NAME.fullmatch(name) or len(name) > 40:
        raise ConfigError(
            f"metadata.name: given {name!r}; should be at most 40 lower-case letters, digits and -, the first a letter"
        )
    if not spec.parameters:
        raise ConfigError("spec.parameters: names none; give at least one")
    for key, names in (
        ("spec.parameters", [p.name for p in spec.parameters]),
        ("spec.trialTemplate.trialParameters", [p.name for p in spec.trialTemplate.trialParameters]),
        ("spec.trialTemplate.trialParameters", [p.reference for p in spec.trialTemplate.trialParameters]),
    ):
        for one in names:
            if names.count(one) > 1:
                raise ConfigError(f"{key}: names {one!r} twice; name it once")
    most = spec.maxTrialCount
    for key, count in (
        ("parallelTrialCount", spec.parallelTrialCount),
        ("maxFailedTrialCount", spec.maxFailedTrialCount),
    ):
        if most is not None and count is not None and count > most:
            given = (
                f"given {count}"
                if key in spec.model_fields_set
                else f"Katib takes {count} where none is given"
            )
            raise ConfigError(f"spec.{key}: {given}; should be at most spec.maxTrialCount, {most}")


def _check_objective(study: Study) -> None:
    objective = study.spec.objective
    wanted = {"objectiveMetricName": objective.objectiveMetricName} | {
        f"additionalMetricNames.{i}": name for i, name in enumerate(objective.additionalMetricNames)
    }
    ours = any("precisionflow" in words for words in commands(study.spec.trialTemplate.trialSpec))
    for key, name in wanted.items():
        try:
            better = metric_named(name).better
        except ValueError as error:
            raise ConfigError(f"spec.objective.{key}: {error}") from None
        if ours and name not in SEARCHED:
            raise ConfigError(
                f"spec.objective.{key}: `precisionflow trial` does not print {name!r}, which needs test rows; "
                f"allowed: {', '.join(SEARCHED)}"
            )
        if key == "objectiveMetricName" and (better, objective.type) in (
            ("lower", "maximize"),
            ("higher", "minimize"),
        ):
            raise ConfigError(f"spec.objective.type: given {objective.type!r}; of {name} {better} is better")
    if objective.objectiveMetricName in objective.additionalMetricNames:
        raise ConfigError("spec.objective.additionalMetricNames: names the objective; leave it out")
    for index, strategy in enumerate(objective.metricStrategies):
        if strategy.name not in wanted.values():
            raise ConfigError(
                f"spec.objective.metricStrategies.{index}.name: {strategy.name!r} is not collected; "
                f"allowed: {', '.join(wanted.values())}"
            )


def _check_stopping(stopping: AlgorithmSpec | None) -> None:
    if stopping is None:
        return
    if stopping.algorithmName != "medianstop":
        raise ConfigError(
            f"spec.earlyStopping.algorithmName: unknown value {stopping.algorithmName!r}; allowed: medianstop"
        )
    check_settings("medianstop", _settings(stopping), MEDIANSTOP, key="spec.earlyStopping")


def _check_space(parameter: ParameterSpec, key: str) -> None:
    space, where = parameter.feasibleSpace, f"{key}.feasibleSpace"
    if parameter.parameterType not in _NUMERIC:
        if space.min or space.max or space.step:
            raise ConfigError(
                f"{where}: a {parameter.parameterType} parameter has a list, no min, max or step"
            )
        if not space.list:
            raise ConfigError(f"{where}.list: is empty; give the values")
        if parameter.parameterType == "discrete":
            for index, text in enumerate(space.list):
                _number(text, f"{where}.list.{index}", whole=False)
        return
    if space.list:
        raise ConfigError(f"{where}.list: a {parameter.parameterType} parameter has min and max, no list")
    whole = parameter.parameterType == "int"
    low, high = (_number(getattr(space, end), f"{where}.{end}", whole=whole) for end in ("min", "max"))
    if low >= high:
        raise ConfigError(f"{where}.min: given {space.min}; should be below max, {space.max}")
    if space.distribution in ("logUniform", "logNormal") and low <= 0:
        raise ConfigError(f"{where}.min: given {space.min}; {space.distribution} needs one above 0")
    if space.step and _number(space.step, f"{where}.step", whole=whole) <= 0:
        raise ConfigError(f"{where}.step: given {space.step}; should be above 0")


def _number(text: str, where: str, *, whole: bool) -> float:
    if not text:
        raise ConfigError(f"{where}: missing; give a number in quotes")
    try:
        value = float(int(text)) if whole else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{where}: given {text!r}; should be a {'whole ' if whole else ''}number in quotes")
    return value


def _check_algorithm_fits(study: Study, settings: dict[str, str]) -> None:
    spec, name = study.spec, study.spec.algorithm.algorithmName
    numeric = [p for p in spec.parameters if p.parameterType in _NUMERIC]
    if name == "cmaes" and len(numeric) < 2:
        raise ConfigError("spec.algorithm.algorithmName: cmaes needs two double or int parameters; take tpe")
    for index, parameter in enumerate(spec.parameters):
        where, space = f"spec.parameters.{index}.feasibleSpace", parameter.feasibleSpace
        if name == "grid" and parameter.parameterType == "double" and not space.step:
            raise ConfigError(f"{where}.step: missing; a grid over a double needs one")
        if name == "bayesianoptimization" and parameter.parameterType == "double" and float(space.min) <= 0:
            raise ConfigError(
                f"{where}.min: given {space.min}; Katib's {name} takes logarithms, so it must be above 0"
            )
    if name == "hyperband":
        _check_hyperband(study, settings)


def _check_hyperband(study: Study, settings: dict[str, str]) -> None:
    key = "spec.algorithm.algorithmSettings"
    for wanted in ("r_l", "resource_name"):
        if wanted not in settings:
            raise ConfigError(f"{key}.{wanted}: missing; hyperband needs it")
    names = [parameter.name for parameter in study.spec.parameters]
    resource = settings["resource_name"]
    if resource not in names:
        raise ConfigError(
            f"{key}.resource_name: given {resource!r}; should be a parameter: "
            f"{', '.join(names)}{nearest(resource, names)}"
        )
    eta = int(float(settings.get("eta", 3)))
    fewest = eta ** int(math.log(float(settings["r_l"])) / math.log(eta))
    if study.spec.parallelTrialCount < fewest:
        raise ConfigError(
            f"spec.parallelTrialCount: given {study.spec.parallelTrialCount}; hyperband needs at least {fewest}"
        )


def _check_placeholders(study: Study) -> None:
    template, key = study.spec.trialTemplate, "spec.trialTemplate"
    names = [parameter.name for parameter in study.spec.parameters]
    used = {found for text in _texts(template.trialSpec) for found in _PLACEHOLDER.findall(text)}
    for index, parameter in enumerate(template.trialParameters):
        where, reference = f"{key}.trialParameters.{index}", parameter.reference
        if not reference.startswith("${trialSpec.") and reference not in names:
            raise ConfigError(
                f"{where}.reference: {reference!r} is no parameter; allowed: "
                f"{', '.join(names)}{nearest(reference, names)}"
            )
        if parameter.name not in used:
            raise ConfigError(
                f"{where}.name: ${{trialParameters.{parameter.name}}} stands nowhere in trialSpec; use it"
            )
    declared = [parameter.name for parameter in template.trialParameters]
    for name in sorted(used - set(declared)):
        raise ConfigError(
            f"{key}.trialSpec: ${{trialParameters.{name}}} is not declared; allowed: {', '.join(declared)}"
            f"{nearest(name, declared)}"
        )
    references = {parameter.reference for parameter in template.trialParameters}
    for name in names:
        if name not in references:
            raise ConfigError(f"{key}.trialParameters: no trial gets the parameter {name!r}; refer to it")
    if bool(template.successCondition) != bool(template.failureCondition):
        raise ConfigError(
            f"{key}: give both successCondition and failureCondition, or none for Katib's defaults"
        )


def _check_fields(study: Study) -> None:
    """Every value at an end of a range makes a valid experiment, another one for each, the other parameters being at
    their first values."""
    words = next(iter(commands(study.spec.trialTemplate.trialSpec)), None)
    if not words:
        raise ConfigError(
            "spec.trialTemplate.trialSpec: no container has a command; give one, such as [precisionflow, trial, NAME]"
        )
    if "precisionflow" not in words:
        return
    experiment, settings = trial_arguments(words)
    ends = {parameter.name: _ends(parameter) for parameter in study.spec.parameters}
    placeholders = {p.name: p.reference for p in study.spec.trialTemplate.trialParameters}
    for parameter in study.spec.parameters:
        trials = []
        for value in ends[parameter.name]:
            values = {name: first for name, (first, *_) in ends.items()} | {parameter.name: value}
            filled = [
                _PLACEHOLDER.sub(lambda found, v=values: v.get(placeholders[found[1]], "1"), setting)  # type: ignore[misc]
                for setting in settings
            ]
            try:
                trials.append((filled, single(load(experiment, filled))))
            except ConfigError as error:
                given = ", ".join(f"{name} = {one}" for name, one in values.items())
                raise ConfigError(
                    f"spec.parameters: with {given} a trial is no valid experiment: {error}"
                ) from None
        if len({tuple(filled) for filled, _ in trials}) > 1 and all(one == trials[0][1] for _, one in trials):
            raise ConfigError(
                f"spec.parameters: {parameter.name} changes nothing in a trial, which trains variant "
                f"{trials[0][1].variant!r}: a level of its ablation sets the same key; choose another variant, "
                "or none with --set ablation.axes={}"
            )


def trial_arguments(words: Sequence[str]) -> tuple[str, list[str]]:
    """The experiment and the `--set` settings of a trial's command; ConfigError for another command of ours."""
    ours = list(words[words.index("precisionflow") + 1 :])
    if ours[:1] != ["trial"] or len(ours) < 2:
        raise ConfigError(
            f"spec.trialTemplate.trialSpec: the command is `{' '.join(words)}`; "
            "it should be `precisionflow trial NAME ...`"
        )
    settings = [value for option, value in itertools.pairwise(ours) if option == "--set"]
    return ours[1], settings


def _ends(parameter: ParameterSpec) -> tuple[str, ...]:
    space = parameter.feasibleSpace
    return (space.min, space.max) if parameter.parameterType in _NUMERIC else space.list


def _settings(part: AlgorithmSpec) -> dict[str, str]:
    return {setting.name: setting.value for setting in part.algorithmSettings}


def _texts(node: Any) -> Iterator[str]:
    match node:
        case str():
            yield node
        case dict():
            for value in node.values():
                yield from _texts(value)
        case list() | tuple():
            for value in node:
                yield from _texts(value)
        case _:
            pass
