"""YAML 1.2: scalars of its core schema, each key of a mapping once; JSON is a part of it."""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

_TAG = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_NULL = re.compile(r"null|Null|NULL|~|")
_SCALARS = (
    ("null", _NULL, ["~", "n", "N", ""]),
    ("bool", _BOOL, list("tTfF")),
    ("int", _INT, list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
    ("merge", re.compile("<<"), ["<"]),
)
"""(tag, whole scalar, its first characters); every other plain scalar is text, dates too (YAML 1.2.2, 10.3.2)."""


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """First character -> (tag, pattern) as PyYAML resolves plain scalars."""
    found: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for tag, pattern, firsts in _SCALARS:
        for first in firsts:
            found.setdefault(first, []).append((_TAG + tag, re.compile(rf"(?:{pattern.pattern})\Z")))
    return found


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    yaml_implicit_resolvers = _resolvers()
    yaml_constructors: dict[str | None, Any] = {}

    def number(self, node: yaml.ScalarNode) -> int | float:
        """A whole number or a float; an explicit tag takes no other text than the schema does."""
        kind, text = node.tag.removeprefix(_TAG), str(self.construct_scalar(node))
        if kind == "int" and _INT.fullmatch(text):
            return int(text, 0 if text[:2] in ("0o", "0x") else 10)
        if kind == "float" and _FLOAT.fullmatch(text):
            return float(text.replace(".", "", 1) if text[-1] in "fFnN" else text)
        raise _refusal(node, f"{text!r} is no {kind}")

    def truth(self, node: yaml.ScalarNode) -> bool:
        """True or false."""
        text = str(self.construct_scalar(node))
        if not _BOOL.fullmatch(text):
            raise _refusal(node, f"{text!r} is no bool")
        return text.lower() == "true"


_Loader.yaml_constructors = {
    f"{_TAG}int": _Loader.number,
    f"{_TAG}float": _Loader.number,
    f"{_TAG}bool": _Loader.truth,
    f"{_TAG}null": yaml.SafeLoader.construct_yaml_null,
    f"{_TAG}str": yaml.SafeLoader.construct_yaml_str,
    f"{_TAG}merge": yaml.SafeLoader.construct_yaml_str,
    f"{_TAG}seq": yaml.SafeLoader.construct_yaml_seq,
    f"{_TAG}map": yaml.SafeLoader.construct_yaml_map,
    None: yaml.SafeLoader.construct_undefined,
}


class _Dumper(yaml.SafeDumper):
    """Quotes every text that YAML 1.1 or 1.2 would read as something else."""

    yaml_implicit_resolvers = {
        first: [*yaml.SafeDumper.yaml_implicit_resolvers.get(first, []), *_resolvers().get(first, [])]
        for first in {*yaml.SafeDumper.yaml_implicit_resolvers, *_resolvers()}
    }


def read_yaml(text: str) -> Any:
    """What a text holds; ValueError of one line, with line and column, where it is no YAML or a key stands twice."""
    try:
        if text.lstrip().startswith("{"):
            try:
                return json.loads(text, object_pairs_hook=_once, parse_constant=str)
            except json.JSONDecodeError:
                pass
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _check_keys(node, loader)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except yaml.YAMLError as error:
        raise ValueError(_problem(error)) from None


def write_yaml(content: Any) -> str:
    """YAML that reads back the same, as 1.1 and as 1.2."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {twice!r} stands twice")
    return content


def _check_keys(root: yaml.Node, loader: Any) -> None:
    """Refuse a mapping in which two keys are equal, before `<<` brings in the keys of others."""
    for node in _nodes(root):
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode):
                name = loader.construct_object(key)
                if name in seen:
                    raise _refusal(key, f"key {key.value!r} stands twice")
                seen.add(name)


def _nodes(root: yaml.Node) -> Iterator[yaml.Node]:
    """Every node once, however often aliases name it."""
    waiting, seen = [root], {id(root)}
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, yaml.ScalarNode):
            continue
        inside = (
            node.value if isinstance(node, yaml.SequenceNode) else [n for pair in node.value for n in pair]
        )
        for child in reversed(inside):
            if id(child) not in seen:
                seen.add(id(child))
                waiting.append(child)


def _refusal(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _problem(error: yaml.YAMLError) -> str:
    """What is wrong in a YAML text, and in which line."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None or problem is None:
        return " ".join(str(error).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {' '.join(problem.split())}"
