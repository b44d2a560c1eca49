"""The experiment that a study's trials train, where their command is `precisionflow trial`."""

from collections.abc import Mapping, Sequence

from precisionflow.ablation.design import single
from precisionflow.config import Experiment, digest, load
from precisionflow.config.base import ConfigError
from precisionflow.results.code import code_digest
from precisionflow.results.identity import training_identity
from precisionflow.search.study import Study
from precisionflow.search.template import settings_of


def first_values(study: Study) -> dict[str, str]:
    """Parameter -> low end of its range, or its first choice."""
    return {parameter.name: parameter.ends[0] for parameter in study.spec.parameters}


def trained_with(study: Study, values: Mapping[str, str]) -> tuple[tuple[str, ...], Experiment]:
    """Settings of a trial with these values, and the experiment that it trains; ConfigError where that is none."""
    template, trial = study.spec.template, f"{study.name}-0"
    name, settings = _arguments(template.commands[0])
    filled = tuple(template.filled(setting, values, name=trial) for setting in settings)
    try:
        return filled, single(load(name, filled))
    except ConfigError as error:
        given = ", ".join(f"{parameter} = {value}" for parameter, value in values.items())
        raise ConfigError(f"spec.parameters: with {given} a trial is no valid experiment: {error}") from None


def trained_key(study: Study) -> str:
    """Digest of the experiment that trials train and of the code that trains it; empty where the command is another."""
    commands = study.spec.template.commands
    if not commands or "precisionflow" not in commands[0]:
        return ""
    _, experiment = trained_with(study, first_values(study))
    cells, code = [experiment.seeds, experiment.splits], [code_digest("prepare"), code_digest("train")]
    return digest([training_identity(experiment), cells, code])


def _arguments(words: Sequence[str]) -> tuple[str, list[str]]:
    """Experiment and `--set` settings of a trial's command; ConfigError for another command of ours."""
    ours = list(words[words.index("precisionflow") + 1 :])
    if ours[:1] != ["trial"] or len(ours) < 2:
        raise ConfigError(
            f"spec.trialTemplate.trialSpec: the command is `{' '.join(words)}`; "
            "it should be `precisionflow trial NAME ...`"
        )
    return ours[1], list(settings_of(ours))
