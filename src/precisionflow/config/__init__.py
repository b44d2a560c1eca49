"""The configuration of an experiment: frozen pydantic parts, free of torch."""

from precisionflow.config.base import ConfigError, Part
from precisionflow.config.experiment import Experiment, digest
from precisionflow.config.load import as_argument, load, overlay, parse, resolve, shipped, to_yaml, tuned

__all__ = [
    "ConfigError",
    "Experiment",
    "Part",
    "as_argument",
    "digest",
    "load",
    "overlay",
    "parse",
    "resolve",
    "shipped",
    "to_yaml",
    "tuned",
]
