"""Layout of a sensitivity analysis: its runs as places in the unit cube, and the variants that they are."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

from precisionflow.ablation.points import Point
from precisionflow.config import ConfigError, Experiment
from precisionflow.config.analyses import Choice, Morris, Parameter, Range, Sensitivity, Sobol, Sweep

if TYPE_CHECKING:
    from precisionflow.ablation.analyses.places import Places

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.+-]{0,99}")


@dataclass(frozen=True)
class Layout:
    """The runs of an analysis in the order that its method asks for."""

    parameters: tuple[str, ...]
    """Dotted keys."""
    places: "Places"
    """Of each run."""
    points: tuple[Point, ...]
    """The variants, each once."""
    point_of: tuple[int, ...]
    """Index into `points` of each run; runs of the same settings are one variant."""
    own: tuple[float, ...]
    """Place of the experiment's own value of each parameter; NaN where it lies outside."""

    @property
    def names(self) -> list[str]:
        """Name of the variant of each run."""
        return [self.points[index].name for index in self.point_of]

    def point_of_run(self, run: int) -> Point:
        """The variant that a run is."""
        return self.points[self.point_of[run]]


def layout(experiment: Experiment, analysis: Sensitivity) -> Layout:
    """The runs; ConfigError for a key that the experiment has not, and for levels that are one value."""
    from precisionflow.ablation.analyses.places import mixtures, swept, trajectories

    parameters = analysis.parameters
    tree = experiment.model_dump(mode="json")
    values = {key: value_at(tree, key) for key in parameters}
    own = [parameter.place(values[key]) for key, parameter in parameters.items()]
    match analysis.method:
        case Sweep() as method:
            _check_own(values, own, parameters)
            places = swept(own, _levels(parameters, method.levels))
        case Morris() as method:
            places = trajectories(method.trajectories, _levels(parameters, method.levels), seed=method.seed)
        case Sobol() as method:
            shares = mixtures(len(parameters), method.samples, seed=method.seed)
            places = _drawn(shares, parameters)
        case _:
            assert_never(analysis.method)
    settings = [_settings(parameters, row) for row in places.tolist()]
    if isinstance(analysis.method, Sweep):
        settings[0] = dict(values)
    return Layout(tuple(parameters), places, *distinct(settings), tuple(own))


def distinct(settings: Sequence[Mapping[str, Any]]) -> tuple[tuple[Point, ...], tuple[int, ...]]:
    """The variants of runs with these settings, each once, and the index of the variant of each run."""
    keys = [json.dumps(_plain(each), sort_keys=True) for each in settings]
    found = dict(zip(keys, settings, strict=True))
    position = {key: index for index, key in enumerate(found)}
    return tuple(_points([dict(each) for each in found.values()])), tuple(position[key] for key in keys)


def value_at(tree: Mapping[str, Any], dotted: str) -> Any:
    """What an experiment has under a dotted key; ConfigError where it has no such key."""
    node: Any = tree
    for step in dotted.split("."):
        if not isinstance(node, Mapping) or step not in node:
            there = f"; there are {', '.join(node)}" if isinstance(node, Mapping) else ""
            raise ConfigError(
                f"analysis: the experiment has no {dotted!r}{there}; name a key that `precisionflow show` writes"
            )
        node = node[step]
    return node


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Dotted key -> its last word, or the whole key where another ends alike."""
    last = {key: key.rpartition(".")[2] for key in keys}
    words = list(last.values())
    return {key: word if words.count(word) == 1 else key for key, word in last.items()}


def label(value: Any) -> str:
    """ "0.003", "cosine", "50-50": a value as part of a name."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return "-".join(label(inside) for inside in value.values())
    if isinstance(value, list | tuple):
        return "-".join(map(label, value))
    return re.sub(r"[^a-zA-Z0-9_.+-]+", "-", str(value))


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Whole numbers alike, whether written 50 or 50.0."""
    return {
        key: int(value) if isinstance(value, float) and value.is_integer() else value
        for key, value in settings.items()
    }


def _check_own(values: Mapping[str, Any], own: Sequence[float], parameters: Mapping[str, Parameter]) -> None:
    for (key, parameter), place in zip(parameters.items(), own, strict=True):
        if place != place:
            raise ConfigError(
                f"analysis.parameters.{key}: the experiment's own value {values[key]} is not among "
                f"{_among(parameter)}, and one at a time starts from it; take it in"
            )


def _among(parameter: Parameter) -> str:
    match parameter:
        case Range():
            return f"{parameter.low:g} to {parameter.high:g}"
        case Choice():
            return ", ".join(map(str, parameter.values))
        case _:
            assert_never(parameter)


def _levels(parameters: Mapping[str, Parameter], count: int) -> list[int]:
    """Levels of each parameter; ConfigError where two of them are one value."""
    found = []
    for key, parameter in parameters.items():
        many = len(parameter.values) if isinstance(parameter, Choice) else count
        values = [parameter.value(index / (many - 1)) for index in range(many)]
        if len({json.dumps(value, sort_keys=True) for value in values}) < many:
            raise ConfigError(
                f"analysis.parameters.{key}: its {many} levels are {', '.join(map(str, values))}, which repeat; "
                "give fewer levels, a wider range or other values"
            )
        found.append(many)
    return found


def _drawn(shares: "Places", parameters: Mapping[str, Parameter]) -> "Places":
    """Places of a sample whose shares of all runs are even between 0 and 1."""
    places = shares.copy()
    for index, parameter in enumerate(parameters.values()):
        places[:, index] = [parameter.drawn(share) for share in shares[:, index].tolist()]
    return places


def _settings(parameters: Mapping[str, Parameter], row: Sequence[float]) -> dict[str, Any]:
    return {key: of.value(place) for (key, of), place in zip(parameters.items(), row, strict=True)}


def _points(settings: Sequence[dict[str, Any]]) -> list[Point]:
    """Named by their values; by numbers where those are no names, or no different ones."""
    short = short_names(list(settings[0]))
    levels = [{short[key]: label(value) for key, value in each.items()} for each in settings]
    names = ["+".join(of.values()) for of in levels]
    if len(set(names)) < len(names) or not all(map(_NAME.fullmatch, names)):
        digits = len(str(len(names) - 1))
        names = [f"run-{index:0{digits}d}" for index in range(len(names))]
    return [Point(*each) for each in zip(names, levels, settings, strict=True)]
