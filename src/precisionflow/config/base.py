"""The base of every configuration part, and its errors in one line."""

import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.fields import FieldInfo


def _number(given: Any) -> Any:
    """Python counts True as 1; YAML's `yes` is no number."""
    if isinstance(given, bool):
        raise ValueError("should be a number")
    return given


NUMBER = BeforeValidator(_number)
Whole = Annotated[int, Field(ge=0), NUMBER]
Count = Annotated[int, Field(ge=1), NUMBER]
Seed = Annotated[int, Field(ge=0, lt=2**32), NUMBER]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), NUMBER]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), NUMBER]
Fraction = Annotated[float, Field(gt=0, lt=1), NUMBER]
Label = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.+-]*$", max_length=100)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=50)]


class Config(BaseModel):
    """A frozen piece of an experiment; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, defer_build=True)


class ConfigError(ValueError):
    """A configuration that cannot be used; the message is one line for the user."""


def nearest(word: str, valid: Sequence[str]) -> str:
    """A hint that names the closest valid spelling, or nothing when none is close."""
    begun = [name for name in valid if word and name.startswith(word)]
    close = begun or difflib.get_close_matches(word, valid, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def default_kinds(content: Mapping[Any, Any], part: type[Config]) -> dict[Any, Any]:
    """A copy in which every part that is given without its `kind` has the kind of the default."""
    completed = dict(content)
    for name, field in part.model_fields.items():
        given = content.get(name)
        if not isinstance(given, Mapping):
            continue
        kind = getattr(field.default, "kind", None)
        given = given if kind is None else {"kind": kind, **given}
        members = members_of(field.annotation)
        chosen = [m for m in members if len(members) == 1 or kind_of(m) == given.get("kind")]
        completed[name] = default_kinds(given, chosen[0]) if chosen else given
    return completed


def without_defaults(config: Config) -> dict[str, Any]:
    """What has to be said of a configuration: every `kind`, and every field that is not at its default; JSON values.

    `default_kinds` and validation give the whole configuration back.
    """
    said: dict[str, Any] = {}
    whole = config.model_dump(mode="json")
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if name == "kind" or field.is_required() or value != field.get_default(call_default_factory=True):
            said[name] = without_defaults(value) if isinstance(value, Config) else whole[name]
    return said


def keys_of(part: type[Config]) -> dict[str, FieldInfo]:
    """Key under which a file gives a field -> the field; a resource of others keeps its own names as aliases."""
    return {field.alias or name: field for name, field in part.model_fields.items()}


def members_of(annotation: Any) -> list[type[Config]]:
    """The part classes that an annotation can hold."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return [annotation]
    if typing.get_origin(annotation) in (Annotated, typing.Union, types.UnionType):
        return [m for a in typing.get_args(annotation) for m in members_of(a)]
    return []


def kind_of(part: type[Config]) -> str | None:
    """The `kind` of a union's member; none where a part is no member of a union."""
    return part.model_fields["kind"].default if "kind" in part.model_fields else None
