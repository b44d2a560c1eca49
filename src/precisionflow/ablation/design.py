"""Variants of an experiment: combinations of levels, or the runs of an analysis, for every dataset; what is compared
with what."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, assert_never

from precisionflow.ablation.analyses.layout import layout
from precisionflow.ablation.analyses.sizes import sized
from precisionflow.ablation.combinations import Levels, combinations, factors
from precisionflow.ablation.points import Point
from precisionflow.ablation.studies import found_for
from precisionflow.config import ConfigError, Experiment, overlay, resolve
from precisionflow.config.ablation import Ablation
from precisionflow.config.analyses import Performance, Scaling, Sensitivity
from precisionflow.config.base import nearest


@dataclass(frozen=True)
class Variant:
    """One combination of levels on one dataset, and the resolved experiment that it is."""

    levels: Levels
    experiment: Experiment

    @property
    def name(self) -> str:
        return self.experiment.variant

    @property
    def dataset(self) -> str:
        return self.experiment.dataset


def expand(experiment: Experiment) -> tuple[Variant, ...]:
    """All variants, named by their levels ("pc+dot"), datasets outermost, in the order of the design.

    ConfigError names the axis and level of a bad overlay, an axis that changes nothing, two variants that are one, and
    a metric that one of them does not measure.
    """
    base = experiment.model_dump(mode="json", exclude={"ablation", "analysis"})
    places = list(itertools.product(experiment.ablation.datasets or ("",), points(experiment)))
    labels = [dataset for dataset, _ in places]
    variants = _told_apart(
        labels,
        [Variant(point.levels, _resolved(base, experiment, dataset, point)) for dataset, point in places],
    )
    for axis, levels_of_axis in experiment.ablation.axes.items():
        if len(levels_of_axis) == 1 and all(
            _changes_nothing(base, experiment, axis, variant=variant, dataset=dataset)
            for (dataset, _), variant in zip(places, variants, strict=True)
        ):
            raise ConfigError(
                f"ablation.axes.{axis}: its only level changes nothing; add a level or leave the axis out"
            )
    _check_distinct(variants)
    _check_measured(experiment, variants)
    return tuple(variants)


def places_of(experiment: Experiment) -> list[tuple[str, Levels]]:
    """Data set of the ablation, "" where it names none, and levels of each variant, in the order of `expand`."""
    datasets = experiment.ablation.datasets or ("",)
    return [(dataset, point.levels) for dataset, point in itertools.product(datasets, points(experiment))]


def points(experiment: Experiment) -> list[Point]:
    """The variants before they are resolved on a data set."""
    match experiment.analysis:
        case None | Performance():
            return [_combined(experiment.ablation, levels) for levels in combinations(experiment.ablation)]
        case Sensitivity() as analysis:
            return list(layout(experiment, analysis).points)
        case Scaling() as analysis:
            return list(sized(experiment, analysis).points)
        case _:
            assert_never(experiment.analysis)


def _combined(ablation: Ablation, levels: Levels, *, without: str = "") -> Point:
    """A combination of levels; `without` is an axis whose overlay is left out."""
    settings: dict[str, Any] = {}
    for axis, level in levels.items():
        if axis != without:
            settings |= ablation.axes[axis][level]
    return Point("+".join(levels.values()), levels, settings)


def _resolved(base: dict[str, Any], experiment: Experiment, dataset: str, point: Point) -> Experiment:
    """A point on a data set."""
    settings = experiment.ablation.datasets.get(dataset, {}) | point.settings
    settings |= found_for(experiment, dataset, point.levels)
    try:
        return resolve(overlay(base, settings | {"variant": point.name or experiment.variant}))
    except ConfigError as error:
        room = "ablation" if experiment.analysis is None else "analysis"
        raise ConfigError(f"{room} {_where(dataset, point.levels)}: {error}") from None


def _where(dataset: str, levels: Levels) -> str:
    words = ([f"dataset={dataset}"] if dataset else []) + [
        f"{axis}={level}" for axis, level in levels.items()
    ]
    return ", ".join(words)


def _changes_nothing(
    base: dict[str, Any], experiment: Experiment, axis: str, *, variant: Variant, dataset: str
) -> bool:
    """Whether a variant is the same experiment without its level of an axis."""
    try:
        bare = _resolved(
            base, experiment, dataset, _combined(experiment.ablation, variant.levels, without=axis)
        )
    except ConfigError:
        return False
    return bare == variant.experiment


def _told_apart(labels: Sequence[str], variants: Sequence[Variant]) -> list[Variant]:
    """The variants; those of data sets whose sources have one name are called by the labels of the ablation."""
    sources: dict[str, set[str]] = {}
    for label, variant in zip(labels, variants, strict=True):
        sources.setdefault(variant.dataset, set()).add(label)
    shared = {label for of in sources.values() if len(of) > 1 for label in of}
    return [
        Variant(variant.levels, variant.experiment.model_copy(update={"called": label}))
        if label in shared
        else variant
        for label, variant in zip(labels, variants, strict=True)
    ]


def _check_distinct(variants: Sequence[Variant]) -> None:
    """ConfigError for two variants of one name, and for two that are the same experiment."""
    named: set[tuple[str, str]] = set()
    same: dict[str, Variant] = {}
    for variant in variants:
        if (variant.dataset, variant.name) in named:
            raise ConfigError(
                f"ablation: two variants are called {variant.name!r} on dataset {variant.dataset!r}; "
                "rename a level, or a data set in ablation.datasets"
            )
        named.add((variant.dataset, variant.name))
        other = same.setdefault(variant.experiment.model_dump_json(exclude={"variant", "called"}), variant)
        if other is variant:
            continue
        if other.dataset != variant.dataset:
            raise ConfigError(
                f"ablation.datasets: {other.dataset!r} and {variant.dataset!r} are the same; leave out one of them"
            )
        differ = [axis for axis, level in variant.levels.items() if level != other.levels[axis]]
        if len(differ) == 1:
            (axis,) = differ
            one, two = other.levels[axis], variant.levels[axis]
            raise ConfigError(
                f"ablation.axes.{axis}: changes nothing between {one!r} and {two!r}; change or leave out one of them"
            )
        raise ConfigError(
            f"ablation: the variants {other.name!r} and {variant.name!r} are the same experiment; leave out one of them"
        )


def _check_measured(experiment: Experiment, variants: Sequence[Variant]) -> None:
    """ConfigError for a metric that is contrasted or gated, and that a variant does not measure."""
    asked = dict.fromkeys(experiment.gate, "gate")
    asked |= dict.fromkeys(experiment.ablation.metrics, "ablation.metrics")
    for variant in variants:
        measured = variant.experiment.metrics
        for name, key in asked.items():
            if name not in measured:
                raise ConfigError(
                    f"{key}: the variant {variant.name!r} on dataset {variant.dataset!r} has no metric {name!r}; "
                    "name metrics that all variants have"
                )


@dataclass(frozen=True)
class Pair:
    """Two variants that differ in one axis only, or in axes that move together; the baseline has their first levels."""

    axes: tuple[str, ...]
    """Where they differ."""
    variant: Variant
    baseline: Variant

    @property
    def axis(self) -> str:
        """Names of the axes, "width+depth"."""
        return "+".join(self.axes)

    def level(self, of: Variant) -> str:
        """Levels of one of the two, "wide+deep"."""
        return "+".join(of.levels[axis] for axis in self.axes)


def pairs(experiment: Experiment, variants: Sequence[Variant]) -> list[Pair]:
    """What is contrasted among the variants of one dataset: every level but the first of every contrasted axis.

    Axes that move together are contrasted where one of them is. A pair whose baseline is not in the design is left out.
    """
    where = {tuple(v.levels.items()): v for v in variants}
    found = []
    asked = experiment.ablation.contrasted or tuple(experiment.ablation.axes)
    for factor in (of for of in factors(experiment.ablation) if not set(asked).isdisjoint(of)):
        first = {axis: next(iter(experiment.ablation.axes[axis])) for axis in factor}
        for variant in variants:
            baseline = where.get(tuple((variant.levels | first).items()))
            if baseline is not None and baseline is not variant:
                differ = tuple(axis for axis in factor if variant.levels[axis] != first[axis])
                found.append(Pair(differ, variant, baseline))
    return found


def unit_of(experiment: Experiment) -> Literal["seed", "split"]:
    """Unit of the statistics: a split where there are several (seeds of one split share its data), else a seed."""
    return "split" if len(experiment.splits) > 1 else "seed"


def fewest_units(family: int, *, confidence: float) -> int:
    """The smallest n, 2 or more, with family * 2 / 2^n <= 1 - confidence.

    Below it no data could show a difference without the assumption that differences are normal: 2 / 2^n is the
    smallest p of n differences that are only known to be symmetric (all signs alike), times the `family` of contrasts.
    """
    n = 2
    while family * 2.0 ** (1 - n) > 1 - confidence:
        n += 1
    return n


def shortfall(experiment: Experiment) -> str | None:
    """Why no contrast can have a verdict: "3 seeds, 4 contrasts: 8 needed"; none where one can, or none is made."""
    unit = unit_of(experiment)
    n = len(experiment.splits if unit == "split" else experiment.seeds)
    variants = expand(experiment)
    family = len(pairs(experiment, [v for v in variants if v.dataset == variants[0].dataset]))
    needed = fewest_units(family, confidence=experiment.ablation.confidence)
    if not family or n >= needed:
        return None
    contrasts = "1 contrast" if family == 1 else f"{family} contrasts"
    return f"{n} {unit if n == 1 else f'{unit}s'}, {contrasts}: {needed} needed"


def at_looks(experiment: Experiment) -> list[Experiment]:
    """The experiment at each look up to all its seeds: with its first seeds alone. Itself where it has no looks."""
    looks = [look for look in experiment.ablation.looks if look < len(experiment.seeds)]
    return [
        *(experiment.model_copy(update={"seeds": experiment.seeds[:look]}) for look in looks),
        experiment,
    ]


def single(experiment: Experiment) -> Experiment:
    """The one variant of an experiment, or of several the one that its `variant` names; ConfigError otherwise."""
    if experiment.ablation == Ablation() and experiment.analysis is None:
        return experiment
    variants = [variant.experiment for variant in expand(experiment)]
    names = list(dict.fromkeys(variant.variant for variant in variants))
    given = names[0] if len(names) == 1 and experiment.variant == "default" else experiment.variant
    chosen = [variant for variant in variants if variant.variant == given]
    if not chosen:
        problem = f"unknown value {given!r}" if given != "default" else f"the experiment has {len(names)}"
        allowed = f"allowed: {', '.join(names)}{nearest(given, names)}"
        raise ConfigError(f"variant: {problem}; choose with --set variant=NAME, {allowed}")
    if len(chosen) > 1:
        datasets = ", ".join(variant.dataset for variant in chosen)
        raise ConfigError(
            f"variant: {given!r} is on the data sets {datasets}; give one line of `precisionflow expand` as a file"
        )
    return chosen[0]
