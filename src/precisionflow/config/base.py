"""The base of every configuration part, and its errors in one line."""

import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Label = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.+-]*$", max_length=100)]


class Part(BaseModel):
    """A frozen piece of an experiment; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _kind_of_the_default(cls, content: Any) -> Any:
        """A part that is given without its `kind` is of the default's kind."""
        if not isinstance(content, Mapping):
            return content
        completed = dict(content)
        for name, field in cls.model_fields.items():
            given = content.get(name)
            if isinstance(given, Mapping) and "kind" not in given and hasattr(field.default, "kind"):
                completed[name] = {"kind": field.default.kind, **given}
        return completed


class ConfigError(ValueError):
    """A configuration that cannot be used; the message is one line for the user."""


def nearest(word: str, valid: Sequence[str]) -> str:
    """A hint that names the closest valid spelling, or nothing when none is close."""
    close = difflib.get_close_matches(word, valid, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def _members(annotation: Any) -> list[type[Part]]:
    """The part classes that an annotation can hold."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return [annotation]
    if typing.get_origin(annotation) in (Annotated, typing.Union, types.UnionType):
        return [m for a in typing.get_args(annotation) for m in _members(a)]
    return []


def _descend(location: Sequence[Any], root: type[Part]) -> tuple[list[str], list[type[Part]]]:
    """The dotted key of a pydantic error location (union tags removed) and the parts that stand around its end."""
    key: list[str] = []
    parts: list[type[Part]] = [root]
    for step in location[:-1] if location else ():
        tagged = [p for p in parts if "kind" in p.model_fields and step == p.model_fields["kind"].default]
        if tagged:
            parts = tagged
            continue
        key.append(str(step))
        parts = [
            m for p in parts if step in p.model_fields for m in _members(p.model_fields[step].annotation)
        ]
    if location:
        last = location[-1]
        known = any("kind" in p.model_fields and last == p.model_fields["kind"].default for p in parts)
        if not known or any(last in p.model_fields for p in parts):
            key.append(str(last))
    return key, parts


def explain(error: ValidationError, root: type[Part]) -> str:
    """One line for the first problem: the dotted key, what was given, what is allowed, the nearest spelling."""
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    key, parts = _descend(first["loc"], root)
    dotted = ".".join(key)
    given = first["input"]
    shown = "a mapping" if isinstance(given, Mapping) else repr(given)
    match first["type"]:
        case "extra_forbidden":
            valid = sorted({name for p in parts for name in p.model_fields})
            return (
                f"{dotted}: unknown key (given {shown}); allowed: {', '.join(valid)}{nearest(key[-1], valid)}"
            )
        case "union_tag_invalid":
            valid = [tag.strip().strip("'") for tag in str(first["ctx"]["expected_tags"]).split(",")]
            tag = str(first["ctx"]["tag"])
            return f"{_join(dotted, 'kind')}: unknown value {tag!r}; allowed: {', '.join(valid)}{nearest(tag, valid)}"
        case "union_tag_not_found":
            return f"{_join(dotted, 'kind')}: missing; the part needs a 'kind' (given {shown})"
        case "missing":
            return f"{dotted}: missing; give it a value"
        case "literal_error":
            valid = [
                word.strip("'") for word in str(first["ctx"]["expected"]).replace(" or ", ", ").split(", ")
            ]
            return f"{dotted}: unknown value {shown}; allowed: {', '.join(valid)}{nearest(str(given), valid)}"
        case "value_error":
            return f"{dotted}: {first['ctx']['error']}" if dotted else str(first["ctx"]["error"])
        case _:
            allowed = first["msg"].replace("Input should be", "should be").removeprefix("Value error, ")
            return f"{dotted}: given {shown}; {allowed}"


def _join(dotted: str, leaf: str) -> str:
    return f"{dotted}.{leaf}" if dotted else leaf
