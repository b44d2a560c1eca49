"""Checks of the experiment that trials train: every value of a parameter makes a valid one, and another one."""

from collections.abc import Sequence

from precisionflow.ablation.design import single
from precisionflow.config import Experiment, load
from precisionflow.config.base import ConfigError
from precisionflow.search.study import Study
from precisionflow.search.template import settings_of


def check_fields(study: Study) -> None:
    """ConfigError where an end of a range makes no valid experiment, or both ends make the same.

    One parameter is varied at a time; the others have their first values.
    """
    commands = study.spec.template.commands
    if not commands:
        raise ConfigError(
            "spec.trialTemplate.trialSpec: no container has a command; give one, such as [precisionflow, trial, NAME]"
        )
    words = commands[0]
    if "precisionflow" not in words:
        return
    name, settings = _trial_arguments(words)
    firsts = {parameter.name: parameter.ends[0] for parameter in study.spec.parameters}
    for parameter in study.spec.parameters:
        trials = [_trial(study, name, settings, firsts | {parameter.name: value}) for value in parameter.ends]
        first = trials[0][1]
        if len({filled for filled, _ in trials}) > 1 and all(one == first for _, one in trials):
            raise ConfigError(
                f"spec.parameters: {parameter.name} changes nothing in a trial, which trains variant "
                f"{first.variant!r}: a level of its ablation sets the same key; choose another variant, "
                "or none with --set ablation.axes={}"
            )


def _trial(
    study: Study, name: str, settings: Sequence[str], values: dict[str, str]
) -> tuple[tuple[str, ...], Experiment]:
    """Settings of a trial with these values, and the experiment that it trains."""
    template, trial = study.spec.template, f"{study.name}-0"
    filled = tuple(template.filled(setting, values, name=trial) for setting in settings)
    try:
        return filled, single(load(name, filled))
    except ConfigError as error:
        given = ", ".join(f"{parameter} = {value}" for parameter, value in values.items())
        raise ConfigError(f"spec.parameters: with {given} a trial is no valid experiment: {error}") from None


def _trial_arguments(words: Sequence[str]) -> tuple[str, list[str]]:
    """Experiment and `--set` settings of a trial's command; ConfigError for another command of ours."""
    ours = list(words[words.index("precisionflow") + 1 :])
    if ours[:1] != ["trial"] or len(ours) < 2:
        raise ConfigError(
            f"spec.trialTemplate.trialSpec: the command is `{' '.join(words)}`; "
            "it should be `precisionflow trial NAME ...`"
        )
    return ours[1], list(settings_of(ours))
