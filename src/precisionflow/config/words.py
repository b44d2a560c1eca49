"""Words of the command line that name an experiment: a shipped one with what was set, or a file."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from precisionflow.config.base import ConfigError
from precisionflow.config.experiment import Experiment
from precisionflow.config.load import load, shipped


def words_of(experiment: Experiment) -> tuple[str, ...] | None:
    """NAME --set KEY=VALUE ..., which `load` takes for this very experiment; none where it is no shipped one."""
    if experiment.name not in shipped():
        return None
    base = load(experiment.name).model_dump(mode="json")
    settings = [
        f"{key}={json.dumps(value)}" for key, value in _changed(base, experiment.model_dump(mode="json"))
    ]
    try:
        same = load(experiment.name, settings) == experiment
    except ConfigError:
        return None
    return (experiment.name, *(word for setting in settings for word in ("--set", setting))) if same else None


def _changed(base: Mapping[str, Any], there: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys whose values differ; a part of another kind whole."""
    for key, value in there.items():
        before, dotted = base.get(key), f"{above}{key}"
        if value == before:
            continue
        if (
            isinstance(value, dict)
            and isinstance(before, dict)
            and (value.keys(), value.get("kind")) == (before.keys(), before.get("kind"))
        ):
            yield from _changed(before, value, f"{dotted}.")
        else:
            yield dotted, value
