"""The base of every configuration part, and its errors in one line."""

import difflib
import functools
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.fields import FieldInfo


def _number(given: Any) -> Any:
    """Python counts True as 1 and reads 1_000 in a text; YAML 1.2 has neither for a number."""
    if isinstance(given, bool):
        raise ValueError("should be a number")
    if isinstance(given, str) and "_" in given:
        raise ValueError("should be a number, without _ between its digits")
    return given


def _truth(given: Any) -> Any:
    """`yes` and 1 are no truth values in YAML 1.2."""
    if not isinstance(given, bool):
        raise ValueError("should be true or false")
    return given


NO_KIND = "[no kind]"
"""Tag of a union's member that has no `kind`."""
NUMBER = BeforeValidator(_number)
Flag = Annotated[bool, BeforeValidator(_truth)]
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


def completed(content: Mapping[Any, Any], part: type[Config], usual: Config | None = None) -> dict[Any, Any]:
    """A copy in which a part that is given in part has the values, and the `kind`, of its field's default beside them.

    They may differ from the defaults of its class, which hold for every other kind. A kind that is null is left out
    where a part may have none. `usual` is the default of the field
    that holds `content`, where it is of the class `part`.
    """
    result = {} if usual is None else without_defaults(usual)
    result |= content
    for name, field in part.model_fields.items():
        given, default = content.get(name), _default(field, name, usual)
        if not isinstance(given, Mapping):
            continue
        kind = kind_of(type(default)) if isinstance(default, Config) else None
        given = given if kind is None else {"kind": kind, **given}
        members = members_of(field.annotation)
        if given.get("kind", "") is None and None in map(kind_of, members):
            given = {key: of for key, of in given.items() if key != "kind"}
        chosen = [m for m in members if len(members) == 1 or kind_of(m) == given.get("kind")]
        if chosen:
            same = default if isinstance(default, chosen[0]) else None
            result[name] = completed(given, chosen[0], same)
    return result


def without_defaults(config: Config, usual: Config | None = None) -> dict[str, Any]:
    """What has to be said of a configuration: every `kind`, and every field that is not at its default; JSON values.

    `completed` and validation give the whole configuration back. `usual` is the default of the field that holds it.
    """
    said: dict[str, Any] = {}
    whole = config.model_dump(mode="json")
    for name, field in type(config).model_fields.items():
        value, default = getattr(config, name), _default(field, name, usual)
        if name == "kind" or value != default:
            same = default if isinstance(value, Config) and type(default) is type(value) else None
            said[name] = without_defaults(value, same) if isinstance(value, Config) else whole[name]
    return said


def _default(field: FieldInfo, name: str, usual: Config | None) -> Any:
    """What a field holds where nothing is said; pydantic's mark of no default where something has to be."""
    if usual is not None:
        return getattr(usual, name)
    return field.get_default(call_default_factory=True) if field.default_factory else field.default


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


@functools.cache
def kind_of(part: type[Config]) -> str | None:
    """The `kind` of a union's member; none where a part is no member of a union."""
    return part.model_fields["kind"].default if "kind" in part.model_fields else None
