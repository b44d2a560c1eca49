"""The base of every configuration part, and its errors in one line."""

import difflib
import reprlib
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError


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

_PATTERNS = {
    r"^[a-zA-Z0-9][a-zA-Z0-9_.+-]*$": "should be letters, digits and _ . + -, the first a letter or a digit",
    r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$": "should be lower-case letters, digits and - between them",
    r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$": "should be a Kubernetes quantity, such as 2, 500m or 4Gi",
    r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[a-zA-Z0-9]([a-zA-Z0-9_.-]*[a-zA-Z0-9])?$": (
        "should be the key of a Kubernetes label, such as example.com/pool"
    ),
    r"^([a-zA-Z0-9]([a-zA-Z0-9_.-]*[a-zA-Z0-9])?)?$": (
        "should be the value of a Kubernetes label: letters, digits and _ . - between them"
    ),
}
"""Patterns in words."""

_shorten = reprlib.Repr()
_shorten.maxstring = _shorten.maxother = 80


class Part(BaseModel):
    """A frozen piece of an experiment; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, defer_build=True)


class ConfigError(ValueError):
    """A configuration that cannot be used; the message is one line for the user."""


def nearest(word: str, valid: Sequence[str]) -> str:
    """A hint that names the closest valid spelling, or nothing when none is close."""
    begun = [name for name in valid if word and name.startswith(word)]
    close = begun or difflib.get_close_matches(word, valid, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def default_kinds(content: Mapping[Any, Any], part: type[Part]) -> dict[Any, Any]:
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


def without_defaults(part: Part) -> dict[str, Any]:
    """What has to be said of a part: every `kind`, and every field that is not at its default; JSON values.

    `default_kinds` and validation give the whole part back.
    """
    said: dict[str, Any] = {}
    whole = part.model_dump(mode="json")
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        if name == "kind" or field.is_required() or value != field.get_default(call_default_factory=True):
            said[name] = without_defaults(value) if isinstance(value, Part) else whole[name]
    return said


def members_of(annotation: Any) -> list[type[Part]]:
    """The part classes that an annotation can hold."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return [annotation]
    if typing.get_origin(annotation) in (Annotated, typing.Union, types.UnionType):
        return [m for a in typing.get_args(annotation) for m in members_of(a)]
    return []


def kind_of(part: type[Part]) -> str | None:
    """The `kind` of a union's member; none where a part is no member of a union."""
    return part.model_fields["kind"].default if "kind" in part.model_fields else None


def explain(error: ValidationError, root: type[Part]) -> str:
    """One line for the first problem: the dotted key, what was given, what is allowed, the nearest spelling."""
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    key, parts = _descend([step for step in first["loc"] if step != "[key]"], root)
    dotted, given = ".".join(key), first["input"]
    shown = "a mapping" if isinstance(given, Mapping) else textwrap.shorten(_shorten.repr(given), 100)
    context: dict[str, Any] = first.get("ctx", {})
    match first["type"]:
        case "extra_forbidden":
            return f"{dotted}: unknown key (given {shown}); {_allowed_keys(key, parts, root)}"
        case "union_tag_invalid":
            tag = str(context["tag"])
            return f"{_join(dotted, 'kind')}: unknown value {tag!r}; {_allowed(tag, _kinds(parts))}"
        case "union_tag_not_found":
            return f"{_join(dotted, 'kind')}: missing; allowed: {', '.join(_kinds(parts))}"
        case "missing":
            kinds = _kinds(parts)
            return f"{dotted}: missing; " + (
                f"give a mapping with a kind, one of: {', '.join(kinds)}" if kinds else "give it a value"
            )
        case "literal_error":
            valid = [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]
            return f"{dotted}: unknown value {shown}; {_allowed(str(given), valid)}"
        case "value_error" if str(context["error"]).startswith("should "):
            return f"{dotted}: given {shown}; {context['error']}"
        case "value_error":
            return str(context["error"])
        case kind:
            return f"{dotted}: given {shown}; {_expectation(kind, first['msg'], context, parts)}"


def _expectation(kind: str, message: str, context: Mapping[str, Any], parts: Sequence[type[Part]]) -> str:
    """What should have stood there."""
    match kind:
        case "model_type" | "model_attributes_type" | "dict_type":
            keys = sorted({name for part in parts for name in part.model_fields})
            return (
                f"should be a mapping with keys such as {', '.join(keys)}" if keys else "should be a mapping"
            )
        case "tuple_type":
            return "should be a list, such as [0, 1]"
        case "too_short":
            return f"should have at least {context['min_length']}"
        case "string_type" | "invalid_key":
            return "should be text; quote it"
        case "string_pattern_mismatch":
            return _PATTERNS[context["pattern"]]
        case _:
            return message.replace("Input should", "should").replace("String should", "should")


def _descend(location: Sequence[Any], root: type[Part]) -> tuple[list[str], list[type[Part]]]:
    """The dotted key of a pydantic error location (union tags removed), and the parts that may stand at its end.

    For an unknown key they are the parts that it stands in.
    """
    key: list[str] = []
    parts: list[type[Part]] = [root]
    for step in location:
        tagged = [part for part in parts if kind_of(part) == step]
        if tagged and not any(step in part.model_fields for part in parts):
            parts = tagged
            continue
        key.append(str(step))
        known = [part.model_fields[step] for part in parts if step in part.model_fields]
        if known or step != location[-1]:
            parts = [member for field in known for member in members_of(field.annotation)]
    return key, parts


def _allowed_keys(key: Sequence[str], parts: Sequence[type[Part]], root: type[Part]) -> str:
    """The keys that could stand where an unknown one is, and where its name would be right."""
    valid = sorted({name for part in parts for name in part.model_fields})
    elsewhere = {path: kind for path, kind in _paths(root) if path.split(".")[-1] == key[-1]}
    if ".".join(key) in elsewhere:
        hint = f"; it is a key of kind {elsewhere['.'.join(key)]!r}"
    elif elsewhere:
        hint = f"; did you mean {next(iter(elsewhere))!r}?"
    else:
        hint = nearest(key[-1], valid)
    return f"allowed: {', '.join(valid)}{hint}"


def _paths(part: type[Part], prefix: str = "") -> Iterator[tuple[str, str | None]]:
    """Every dotted key below a part, and the kind of the part that it stands in."""
    for name, field in part.model_fields.items():
        yield prefix + name, kind_of(part)
        for member in members_of(field.annotation):
            yield from _paths(member, f"{prefix}{name}.")


def _kinds(parts: Sequence[type[Part]]) -> list[str]:
    return [kind for kind in map(kind_of, parts) if kind is not None]


def _allowed(given: str, valid: Sequence[str]) -> str:
    return f"allowed: {', '.join(valid)}{nearest(given, valid)}"


def _join(dotted: str, leaf: str) -> str:
    return f"{dotted}.{leaf}" if dotted else leaf
