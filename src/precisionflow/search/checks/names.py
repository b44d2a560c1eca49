"""Checks of names, which are there and unlike each other, and of the counts of trials."""

import re

from precisionflow.config.base import ConfigError
from precisionflow.search.study import Spec, Study

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_LONGEST = 40
"""Characters of a study's name: names of its trials' pods get longer."""


def check_names(study: Study) -> None:
    """ConfigError for a study without a good name or without parameters, and for a name that stands twice."""
    spec, name = study.spec, study.name
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise ConfigError(
            f"metadata.name: given {name!r}; should be at most 40 lower-case letters, digits and -, the first a letter"
        )
    if not spec.parameters:
        raise ConfigError("spec.parameters: names none; give at least one")
    for key, names in (
        ("spec.parameters", [p.name for p in spec.parameters]),
        ("spec.trialTemplate.trialParameters", [p.name for p in spec.template.parameters]),
        ("spec.trialTemplate.trialParameters", [p.reference for p in spec.template.parameters]),
    ):
        for one in names:
            if names.count(one) > 1:
                raise ConfigError(f"{key}: names {one!r} twice; name it once")


def check_counts(spec: Spec) -> None:
    """ConfigError where more trials may run at once, or fail, than there are."""
    if spec.trials is None:
        return
    for key, count, is_given in (
        ("parallelTrialCount", spec.parallel, "parallel" in spec.model_fields_set),
        ("maxFailedTrialCount", spec.failures, True),
    ):
        if count is not None and count > spec.trials:
            given = f"given {count}" if is_given else f"Katib takes {count} where none is given"
            raise ConfigError(f"spec.{key}: {given}; should be at most spec.maxTrialCount, {spec.trials}")
