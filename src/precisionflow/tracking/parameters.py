"""An experiment as the parameters of an MLflow run: names that MLflow allows, values as text."""

import re
from collections.abc import Sequence
from typing import Any

from precisionflow.config import Experiment

_LONGEST_KEY, _LONGEST_PARAMETER = 250, 6000
_FORBIDDEN = re.compile(r"[^\w.\- :/]")


def parameters(experiment: Experiment, *, on_cluster: bool) -> dict[str, str]:
    """The resolved configuration as `cfg.` and the dotted key -> text: "true", "none", "0, 1, 2".

    Part `cluster`, which never changes a result, is left out where the run was on no cluster.
    """
    tree = experiment.model_dump(mode="json")
    if not on_cluster:
        del tree["cluster"]
    return {
        allowed_name(f"cfg.{dotted}"): _text(value)[:_LONGEST_PARAMETER] for dotted, value in _leaves(tree)
    }


def _leaves(tree: dict[str, Any], path: str = "") -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for name, value in tree.items():
        leaves += _leaves(value, f"{path}{name}.") if isinstance(value, dict) else [(f"{path}{name}", value)]
    return leaves


def _text(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case str():
            return value
        case Sequence():
            return ", ".join(_text(item) for item in value)
        case _:
            return str(value)


def allowed_name(text: str) -> str:
    """A name that MLflow allows: a "+" between levels becomes a blank."""
    return _FORBIDDEN.sub(" ", text)[:_LONGEST_KEY]
