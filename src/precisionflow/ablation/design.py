"""Axes to overlays: every combination of levels becomes a variant, for every dataset; what is compared with what."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from precisionflow.config import ConfigError, Experiment, overlay, resolve
from precisionflow.config.ablation import Ablation
from precisionflow.config.base import nearest


@dataclass(frozen=True)
class Variant:
    """One combination of levels on one dataset, and the resolved experiment that it is."""

    levels: dict[str, str]
    """axis -> level."""
    experiment: Experiment

    @property
    def name(self) -> str:
        return self.experiment.variant

    @property
    def dataset(self) -> str:
        return self.experiment.dataset


def expand(experiment: Experiment) -> tuple[Variant, ...]:
    """All variants, named by their levels ("pc+dot"), datasets outermost, the last axis fastest.

    ConfigError names the axis and level of a bad overlay.
    """
    base = experiment.model_dump(mode="json")
    del base["ablation"]
    datasets = experiment.ablation.datasets or {"": {}}
    axes = experiment.ablation.axes
    variants = []
    for dataset, task in datasets.items():
        for combination in itertools.product(*axes.values()):
            levels = dict(zip(axes, combination, strict=True))
            settings: dict[str, Any] = dict(task)
            for axis, level in levels.items():
                settings |= axes[axis][level]
            try:
                resolved = resolve(
                    overlay(base, settings | {"variant": "+".join(combination) or experiment.variant})
                )
            except ConfigError as error:
                raise ConfigError(f"ablation {_where(dataset, levels)}: {error}") from None
            variants.append(Variant(levels, resolved))
    seen = [(v.dataset, v.name) for v in variants]
    for pair in seen:
        if seen.count(pair) > 1:
            raise ConfigError(
                f"ablation: two variants are called {pair[1]!r} on dataset {pair[0]!r}; "
                "rename a level or a dataset's source"
            )
    return tuple(variants)


def _where(dataset: str, levels: dict[str, str]) -> str:
    words = ([f"dataset={dataset}"] if dataset else []) + [
        f"{axis}={level}" for axis, level in levels.items()
    ]
    return ", ".join(words)


class Pair(NamedTuple):
    """Two variants that differ in one axis only, where the baseline has its first level."""

    axis: str
    variant: Variant
    baseline: Variant


def pairs(experiment: Experiment, variants: Sequence[Variant]) -> list[Pair]:
    """What is contrasted among the variants of one dataset: every level but the first of every axis."""
    where = {tuple(v.levels.items()): v for v in variants}
    found = []
    for axis, levels in experiment.ablation.axes.items():
        first = next(iter(levels))
        for variant in variants:
            if variant.levels[axis] != first:
                baseline = where[tuple((variant.levels | {axis: first}).items())]
                found.append(Pair(axis, variant, baseline))
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


def single(experiment: Experiment) -> Experiment:
    """The one variant of an experiment, or of several the one that its `variant` names; ConfigError otherwise."""
    if experiment.ablation == Ablation():
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
