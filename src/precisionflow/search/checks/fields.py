"""Checks of the experiment that trials train: every value of a parameter makes a valid one, and another one."""

from precisionflow.config.base import ConfigError
from precisionflow.search.study import Study
from precisionflow.search.trained import first_values, trained_with


def check_fields(study: Study) -> None:
    """ConfigError where an end of a range makes no valid experiment, or both ends make the same.

    One parameter is varied at a time; the others have their first values.
    """
    commands = study.spec.template.commands
    if not commands:
        raise ConfigError(
            "spec.trialTemplate.trialSpec: no container has a command; give one, such as [precisionflow, trial, NAME]"
        )
    if "precisionflow" not in commands[0]:
        return
    firsts = first_values(study)
    for parameter in study.spec.parameters:
        trials = [trained_with(study, firsts | {parameter.name: value}) for value in parameter.ends]
        first = trials[0][1]
        if len({filled for filled, _ in trials}) > 1 and all(one == first for _, one in trials):
            raise ConfigError(
                f"spec.parameters: {parameter.name} changes nothing in a trial, which trains variant "
                f"{first.variant!r}: a level of its ablation sets the same key; choose another variant, "
                "or none with --set ablation.axes={}"
            )
