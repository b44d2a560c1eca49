"""From a name, a file or text to a validated Experiment, with `--set` overlays merged first."""

import copy
import json
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from precisionflow.config.base import ConfigError, explain, nearest
from precisionflow.config.experiment import Experiment


def shipped() -> dict[str, str]:
    """The experiments inside the package: name -> YAML text."""
    folder = resources.files("precisionflow.experiments")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    return {f.name.removesuffix(".yaml"): f.read_text(encoding="utf-8") for f in files}


def load(name: str, settings: Iterable[str] = ()) -> Experiment:
    """The experiment called `name` (shipped) or in the file `name`, with `settings` such as "training.steps=10" merged in."""
    return resolve(overlay(tree(name), parse_settings(settings)))


def tree(name: str) -> dict[str, Any]:
    """The unvalidated mapping of an experiment: a file where the name is a path, else a shipped one."""
    if name.endswith((".yaml", ".yml", ".json")) or "/" in name:
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise ConfigError(
                f"{name}: cannot be read ({reason}); give a YAML file or a name from `precisionflow list`"
            ) from None
    else:
        known = shipped()
        if name not in known:
            raise ConfigError(
                f"unknown experiment {name!r}; allowed: {', '.join(known)}, or a YAML file{nearest(name, list(known))}"
            )
        text = known[name]
    return _mapping(text, name)


def parse(text: str) -> Experiment:
    """The experiment in a YAML or JSON text."""
    return resolve(_mapping(text, "experiment"))


def _mapping(text: str, origin: str) -> dict[str, Any]:
    try:
        content = json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
    except (yaml.YAMLError, json.JSONDecodeError) as error:
        line = " ".join(str(error).split())
        raise ConfigError(f"{origin}: not valid YAML: {line}") from None
    if not isinstance(content, dict):
        raise ConfigError(
            f"{origin}: is {type(content).__name__}; an experiment is a mapping with the keys {', '.join(Experiment.model_fields)}"
        )
    return content


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """["a.b=1"] -> {"a.b": 1}; values are read as YAML."""
    parsed: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key or not all(key.split(".")):
            raise ConfigError(
                f"--set {setting!r}: should be dotted.key=value, for instance training.steps=100"
            )
        try:
            parsed[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"--set {setting!r}: the value is not valid YAML; quote it") from None
    return parsed


def overlay(base: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `base` with every dotted key set; a new `kind` starts its part afresh."""
    result = copy.deepcopy(dict(base))
    for dotted, value in settings.items():
        *path, leaf = dotted.split(".")
        node = result
        for depth, step in enumerate(path):
            child = node.setdefault(step, {})
            if not isinstance(child, dict):
                raise ConfigError(
                    f"{dotted}: {'.'.join(path[: depth + 1])} is {child!r}, not a part with keys"
                )
            node = child
        if leaf == "kind" and node.get("kind") != value:
            node.clear()
        node[leaf] = copy.deepcopy(value)
    return result


def resolve(content: Mapping[str, Any]) -> Experiment:
    """Validate once; ConfigError with one line otherwise."""
    try:
        return Experiment.model_validate(content)
    except ValidationError as error:
        raise ConfigError(explain(error, Experiment)) from None


def to_yaml(experiment: Experiment) -> str:
    """The resolved experiment as YAML: every default written out."""
    return yaml.safe_dump(experiment.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110)
