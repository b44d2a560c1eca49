"""The JSON Schema of an experiment, for editors."""

from typing import Any

from precisionflow.config.base import Config, members_of
from precisionflow.config.experiment import Experiment


def json_schema() -> dict[str, Any]:
    """Every key, type and bound; a part may go without its `kind` only where it is of the default's kind."""
    schema = Experiment.model_json_schema()
    may_be_left_out = _default_kinds(Experiment)
    for part in schema["$defs"].values():
        kind = part["properties"].get("kind")
        if kind and kind["const"] not in may_be_left_out:
            part["required"] = ["kind", *part.get("required", [])]
    return schema


def _default_kinds(part: type[Config]) -> set[str]:
    """The kind of every default below a part."""
    kinds: set[str] = set()
    for field in part.model_fields.values():
        kinds |= {field.default.kind} if hasattr(field.default, "kind") else set()
        for member in members_of(field.annotation):
            kinds |= _default_kinds(member)
    return kinds
