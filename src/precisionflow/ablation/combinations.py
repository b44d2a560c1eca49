"""Combinations of the axes' levels that a design asks for, and which axes move together in it."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import assert_never

from precisionflow.config import ConfigError
from precisionflow.config.ablation import Ablation
from precisionflow.config.base import nearest
from precisionflow.config.designs import (
    Chain,
    LeaveOneOut,
    OneAtATime,
    Part,
    Product,
    RandomSubset,
    Zip,
)

Levels = dict[str, str]
"""axis -> level."""
AXES = "ablation.axes"
DESIGN = "ablation.design"


def combinations(ablation: Ablation) -> list[Levels]:
    """One level of every axis for each variant, each combination once, in the order of the design.

    ConfigError names an axis that no part of the design uses, and a design without a combination.
    """
    axes = {axis: tuple(levels) for axis, levels in ablation.axes.items()}
    first = {axis: levels[0] for axis, levels in axes.items()}
    found = [first | chosen for chosen in _of_part(ablation.design, axes)]
    for axis in axes:
        if axis not in _named(ablation.design, axes):
            raise ConfigError(
                f"{AXES}.{axis}: changes nothing, {DESIGN} does not name it; name it there or leave it out"
            )
    if not found:
        raise ConfigError(f"{DESIGN}: {ablation.design.kind} has no combination, so no cell; give {AXES}")
    return list({tuple(levels.items()): levels for levels in found}.values())


def factors(ablation: Ablation) -> list[tuple[str, ...]]:
    """What is contrasted: single axes, and the axes of each zip together; in the order of the axes."""
    groups = [{axis} for axis in ablation.axes]
    for together in _zipped(ablation.design, tuple(ablation.axes)):
        joined = set().union(*(group for group in groups if group & together))
        groups = [group for group in groups if not group & together] + [joined]
    order = {axis: place for place, axis in enumerate(ablation.axes)}
    ordered = (tuple(sorted(group, key=order.__getitem__)) for group in groups)
    return sorted(ordered, key=lambda group: order[group[0]])


Axes = Mapping[str, Sequence[str]]
"""axis -> its levels."""


def _of_part(part: Part, axes: Axes) -> list[Levels]:
    match part:
        case str():
            if part not in axes:
                allowed = f"allowed: {', '.join(axes)}{nearest(part, list(axes))}"
                raise ConfigError(f"{DESIGN}: unknown axis {part!r}; {allowed}")
            return [{part: level} for level in axes[part]]
        case Product():
            return [_merged(chosen) for chosen in itertools.product(*_parts(part, axes))]
        case Zip():
            return _zip(_parts(part, axes))
        case Chain():
            return [chosen for each in part.of for chosen in _of_part(each, axes)]
        case OneAtATime():
            return _around(_parts(part, axes), base=0)
        case LeaveOneOut():
            return _around(_parts(part, axes), base=-1)
        case RandomSubset():
            return _subset(part, _parts(part, axes))
        case _:
            assert_never(part)


def _parts(design: Product | Zip | OneAtATime | LeaveOneOut | RandomSubset, axes: Axes) -> list[list[Levels]]:
    """The combinations of every part of a design."""
    return [_of_part(part, axes) for part in design.of or axes]


def _zip(parts: list[list[Levels]]) -> list[Levels]:
    counts = [len(part) for part in parts]
    if len(set(counts)) > 1:
        raise ConfigError(
            f"{DESIGN}: zip has parts of {', '.join(map(str, counts))} combinations; make them equally many"
        )
    return [_merged(chosen) for chosen in zip(*parts, strict=True)]


def _around(parts: list[list[Levels]], *, base: int) -> list[Levels]:
    """The combination at the place `base` of all parts, then every other one of each part alone."""
    centre = [part[base] for part in parts]
    found = [_merged(centre)]
    for place, part in enumerate(parts):
        others = (chosen for chosen in part if chosen != centre[place])
        found += [_merged([*centre[:place], chosen, *centre[place + 1 :]]) for chosen in others]
    return found


def _subset(design: RandomSubset, parts: list[list[Levels]]) -> list[Levels]:
    """Drawn by `numpy.random.default_rng(seed).choice` from the places in the product."""
    import numpy as np

    sizes = [len(part) for part in parts]
    count = math.prod(sizes)
    if design.size > count:
        raise ConfigError(
            f"{DESIGN}.size: given {design.size}; there are {count} combinations, take fewer or say kind: product"
        )
    places = np.random.default_rng(design.seed).choice(count, design.size, replace=False)
    found = []
    for place in sorted(map(int, places)):
        where = np.unravel_index(place, sizes) if sizes else ()
        found.append(_merged([part[int(index)] for part, index in zip(parts, where, strict=True)]))
    return found


def _merged(chosen: Sequence[Levels]) -> Levels:
    """One combination out of those of several parts; ConfigError where two of them set one axis."""
    merged: Levels = {}
    for levels in chosen:
        for axis in levels:
            if axis in merged:
                raise ConfigError(
                    f"{DESIGN}: names the axis {axis!r} twice in what is combined; name it once there"
                )
        merged |= levels
    return merged


def _named(part: Part, axes: Axes) -> set[str]:
    """The axes that a design uses."""
    if isinstance(part, str):
        return {part}
    return set().union(*(_named(each, axes) for each in part.of or tuple(axes)))


def _zipped(part: Part, axes: tuple[str, ...]) -> list[set[str]]:
    """The axes of each zip."""
    if isinstance(part, str):
        return []
    inside = [group for each in part.of or axes for group in _zipped(each, axes)]
    together = _named(part, dict.fromkeys(axes, ()))
    return [*inside, together] if isinstance(part, Zip) else inside
