"""Dotted settings merged into the tree of an experiment."""

from collections.abc import Mapping, Sequence
from typing import Any

from precisionflow.config.base import ConfigError


def overlay(base: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `base` with every dotted key set; a new `kind` starts its part afresh.

    A part comes before its keys, and its `kind` before the others, whatever the order of `settings`.
    """
    result = dict(base)
    for dotted in sorted(settings, key=_outermost_first):
        *path, leaf = dotted.split(".")
        node, value = result, settings[dotted]
        for depth, step in enumerate(path):
            child = node.get(step, {})
            if not isinstance(child, dict):
                raise ConfigError(
                    f"{dotted}: {'.'.join(path[: depth + 1])} is {child!r}, not a part with keys"
                )
            node[step] = dict(child)
            node = node[step]
        if leaf == "kind" and node.get("kind") != value:
            node.clear()
        node[leaf] = value
    return result


def _outermost_first(dotted: str) -> tuple[int, bool]:
    path: Sequence[str] = dotted.split(".")
    return (len(path) - 1, True) if path[-1] == "kind" else (len(path), False)
