"""A validation error in one line: the dotted key, what was given, what is allowed."""

import reprlib
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from precisionflow.config.base import NO_KIND, Config, keys_of, kind_of, members_of, nearest

_PATTERNS = {
    r"^[a-zA-Z0-9][a-zA-Z0-9_.+-]*$": "should be letters, digits and _ . + -, the first a letter or a digit",
    r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$": "should be lower-case letters, digits and - between them",
    r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$": "should be a Kubernetes quantity, such as 2, 500m or 4Gi",
    r"^[0-9]+(\.[0-9]+)?m?$": "should be a Kubernetes quantity of processors, such as 2 or 500m",
    r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[a-zA-Z0-9]([a-zA-Z0-9_.-]*[a-zA-Z0-9])?$": (
        "should be the name of a node's resource, such as nvidia.com/gpu"
    ),
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


def explain(error: ValidationError, root: type[Config]) -> str:
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
            without = "; or leave it out" if None in map(kind_of, parts) else ""
            return f"{_join(dotted, 'kind')}: unknown value {tag!r}; {_allowed(tag, _kinds(parts))}{without}"
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


def _expectation(kind: str, message: str, context: Mapping[str, Any], parts: Sequence[type[Config]]) -> str:
    """What should have stood there."""
    match kind:
        case "model_type" | "model_attributes_type" | "dict_type":
            keys = sorted({name for part in parts for name in keys_of(part)})
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


def _descend(location: Sequence[Any], root: type[Config]) -> tuple[list[str], list[type[Config]]]:
    """The dotted key of a pydantic error location (union tags removed), and the parts that may stand at its end.

    For an unknown key they are the parts that it stands in.
    """
    key: list[str] = []
    parts: list[type[Config]] = [root]
    inside: list[type[Config]] = []
    for step in location:
        tagged = [part for part in parts if (kind_of(part) or NO_KIND) == step]
        if tagged and not any(step in keys_of(part) for part in parts):
            parts = tagged
            continue
        key.append(str(step))
        known = [keys_of(part)[step] for part in parts if step in keys_of(part)]
        if inside and not known:
            parts, inside = inside, []
        elif known or step != location[-1]:
            parts = [member for field in known for member in members_of(field.annotation)]
            inside = [member for field in known for member in _members_of_values(field.annotation)]
    return key, parts


def _members_of_values(annotation: Any) -> list[type[Config]]:
    """The part classes that the values of a mapping, or the places of a list, can hold."""
    match get_origin(annotation):
        case origin if origin is dict:
            return members_of(get_args(annotation)[1])
        case origin if origin is tuple:
            return members_of(get_args(annotation)[0])
        case _:
            return []


def _allowed_keys(key: Sequence[str], parts: Sequence[type[Config]], root: type[Config]) -> str:
    """The keys that could stand where an unknown one is, and where its name would be right."""
    valid = sorted({name for part in parts for name in keys_of(part)})
    dotted = ".".join(key)
    elsewhere = [(path, kind) for path, kind in _paths(root) if path.split(".")[-1] == key[-1]]
    here = [kind for path, kind in elsewhere if path == dotted]
    kinds = list(dict.fromkeys(repr(kind) for kind in here if kind))
    if kinds:
        hint = f"; it is a key of kind {_listed(kinds)}"
    elif here:
        hint = "; it is a key where kind is null or left out"
    elif elsewhere:
        hint = f"; did you mean {_listed(list(dict.fromkeys(repr(path) for path, _ in elsewhere)))}?"
    else:
        hint = nearest(key[-1], valid)
    return f"allowed: {', '.join(valid)}{hint}"


def _listed(words: Sequence[str]) -> str:
    """All of the words: a, b or c."""
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _paths(part: type[Config], prefix: str = "") -> Iterator[tuple[str, str | None]]:
    """Every dotted key below a part, and the kind of the part that it stands in: once for each kind."""
    for name, field in keys_of(part).items():
        yield prefix + name, kind_of(part)
        for member in members_of(field.annotation):
            yield from _paths(member, f"{prefix}{name}.")


def _kinds(parts: Sequence[type[Config]]) -> list[str]:
    return [kind for kind in map(kind_of, parts) if kind is not None]


def _allowed(given: str, valid: Sequence[str]) -> str:
    return f"allowed: {', '.join(valid)}{nearest(given, valid)}"


def _join(dotted: str, leaf: str) -> str:
    return f"{dotted}.{leaf}" if dotted else leaf
