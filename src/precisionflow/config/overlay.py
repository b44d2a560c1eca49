"""Dotted settings merged into the tree of an experiment."""

import typing
from collections.abc import Mapping, Sequence
from typing import Any

from precisionflow.config.base import Config, ConfigError, completed, keys_of, members_of
from precisionflow.config.experiment import Experiment


def overlay(base: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `base` in which the settings change what they name, and nothing beside it.

    A part that is given as a mapping changes its keys, as the dotted keys would; a list, or a mapping with free names
    (axes, gate, node selector), is replaced. A new `kind` starts its part afresh, a key one that is
    null. A part comes before its keys, and its
    `kind` before the others, whatever the order of `settings`.
    """
    result = completed(base, Experiment)
    for dotted in sorted(settings, key=_outermost_first):
        *path, leaf = dotted.split(".")
        node, annotations = result, [Experiment]
        for depth, step in enumerate(path):
            child = {} if node.get(step) is None else node[step]
            if not isinstance(child, Mapping):
                raise ConfigError(
                    f"{dotted}: {'.'.join(path[: depth + 1])} is {child!r}, not a part with keys"
                )
            node[step] = dict(child)
            node, annotations = node[step], _below(annotations, step)
        if leaf == "kind" and node.get("kind") != settings[dotted]:
            node.clear()
        _merge(node, leaf, settings[dotted], _below(annotations, leaf))
    return result


def _merge(node: dict[str, Any], key: str, value: Any, annotations: Sequence[Any]) -> None:
    """Set a key of a part; the keys of a part inside it one by one."""
    if not isinstance(value, Mapping) or not _members(annotations):
        node[key] = value
        return
    there = node.get(key)
    kept = isinstance(there, Mapping) and value.get("kind", there.get("kind")) == there.get("kind")
    node[key] = dict(there) if isinstance(there, Mapping) and kept else {}
    for name, inside in value.items():
        _merge(node[key], name, inside, _below(annotations, name))


def _members(annotations: Sequence[Any]) -> list[type[Config]]:
    return [member for annotation in annotations for member in members_of(annotation)]


def _below(annotations: Sequence[Any], key: str) -> list[Any]:
    """What a key of parts, or of mappings with free names, can hold."""
    fields = [keys_of(member) for member in _members(annotations)]
    free = [typing.get_args(a)[1] for a in annotations if typing.get_origin(a) is dict]
    return free + [known[key].annotation for known in fields if key in known]


def _outermost_first(dotted: str) -> tuple[int, bool]:
    path: Sequence[str] = dotted.split(".")
    return (len(path) - 1, True) if path[-1] == "kind" else (len(path), False)
