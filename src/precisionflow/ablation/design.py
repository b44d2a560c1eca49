"""Axes to overlays: every combination of levels becomes a variant, for every dataset."""

import itertools
from dataclasses import dataclass
from typing import Any

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
