"""The configuration of an experiment: frozen pydantic parts, free of torch."""

from precisionflow.config.base import Config, ConfigError
from precisionflow.config.experiment import Experiment, digest
from precisionflow.config.load import load, parse, resolve, shipped, to_yaml, tuned
from precisionflow.config.overlay import overlay

__all__ = [
    "Config",
    "ConfigError",
    "Experiment",
    "digest",
    "load",
    "overlay",
    "parse",
    "resolve",
    "shipped",
    "to_yaml",
    "tuned",
]
