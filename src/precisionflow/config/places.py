"""Places of raw files: relative to an experiment's file, or found by name in a cluster's workspace."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from precisionflow.config.base import ConfigError

SOURCE = ("task", "source")
FILES = ("path", "valid", "test")
"""The keys of a source that name files."""
PLACES = (*((*SOURCE, name) for name in FILES), ("model", "path"))
"""The keys of an experiment that name files."""
Change = Callable[[str], str]


def beside(folder: Path) -> Change:
    """A path that is there from `folder` on becomes absolute; any other stays, for PRECISIONFLOW_DATA to be looked in.

    `~` is the home folder.
    """

    def found(path: str) -> str:
        if PurePosixPath(path).name in ("", ".."):
            return path
        place = folder / os.path.expanduser(path)
        return os.path.abspath(place) if place.exists() else path

    return found


def by_name(tree: Mapping[str, Any], *, workspace: str) -> dict[str, Any]:
    """The tree with every absolute path outside a cluster's workspace as the name of the file alone.

    ConfigError where two files have one name.
    """
    known: dict[str, str] = {}

    def name(path: str) -> str:
        if not PurePosixPath(path).is_absolute() or PurePosixPath(path).is_relative_to(workspace):
            return path
        found = PurePosixPath(path).name
        if known.setdefault(found, path) != path:
            raise ConfigError(
                f"{known[found]} and {path}: have one name, and a cluster finds a file by its name; rename one of them"
            )
        return found

    return changed(tree, name)


def changed(tree: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """The tree of an experiment with its paths changed, those in the overlays of its ablation too."""
    return {key: _changed(value, (key,), change) for key, value in tree.items()}


def changed_settings(settings: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """Dotted settings with their paths changed."""
    return {key: _changed(value, tuple(str(key).split(".")), change) for key, value in settings.items()}


def _changed(value: Any, at: tuple[Any, ...], change: Change) -> Any:
    if at in PLACES:
        return change(value) if isinstance(value, str) else value
    if not isinstance(value, Mapping):
        return value
    if (at[:2] == ("ablation", "datasets") and len(at) == 3) or (
        at[:2] == ("ablation", "axes") and len(at) == 4
    ):
        return changed_settings(value, change)
    if any(at == place[: len(at)] for place in PLACES) or (at[0] == "ablation" and len(at) < 4):
        return {key: _changed(inside, (*at, key), change) for key, inside in value.items()}
    return value
