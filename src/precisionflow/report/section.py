"""One experiment on the page: its answer, tables and figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup

from precisionflow.ablation.aggregate import Aggregate, by_dataset, contrasted, unit_of
from precisionflow.ablation.design import Variant
from precisionflow.ablation.gate import Judgement
from precisionflow.config import Experiment
from precisionflow.evaluation.calibration.bands import uniform_band
from precisionflow.evaluation.calibration.coverage import coverage_band, root_mean_squared_calibration_error
from precisionflow.evaluation.calibration.pit import pit_error
from precisionflow.evaluation.metrics import per_cent
from precisionflow.records.cards import ModelCard
from precisionflow.report import cells, figures, pictures, tables, wording
from precisionflow.report.cells import Predictions
from precisionflow.report.pictures import MOST_FIGURES, Picture
from precisionflow.report.svg import legend_sample
from precisionflow.report.wording import Row
from precisionflow.results.cells import Cell

CLASS_CALIBRATION = (
    "ece_equal_mass",
    "mce",
    "class_wise_ece",
    "brier_reliability",
    "brier_resolution",
    "brier_uncertainty",
    "aurc",
)
"""Metrics of a text that have a table of their own."""


@dataclass(frozen=True)
class Finding:
    """One measured contrast in words, and its verdict."""

    text: str
    verdict: str
    kind: wording.VerdictKind


@dataclass(frozen=True)
class Answer:
    """All findings about one pair of variants, or the means where nothing is contrasted."""

    title: str
    findings: tuple[Finding, ...]


@dataclass
class Group:
    """Everything about one dataset."""

    dataset: str
    calibration_legend: list[tuple[Markup, str]] = field(default_factory=list)
    """Sample line and variant, where one figure shows several variants."""
    learning_legend: list[tuple[Markup, str]] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    tally: str = ""
    scores: tables.Table | None = None
    intervals: list[tables.Table] = field(default_factory=list)
    recalibrated: tables.Table | None = None
    contrasts: tables.Table | None = None
    forests: list[Picture] = field(default_factory=list)
    fits: list[Picture] = field(default_factory=list)
    calibration: list[Picture] = field(default_factory=list)
    calibration_note: str = ""
    learning: list[Picture] = field(default_factory=list)
    cost: tables.Table | None = None
    twins: tables.Table | None = None


@dataclass(frozen=True)
class Section:
    """An experiment and its groups; `cards` are those of all its runs."""

    experiment: Experiment
    groups: tuple[Group, ...]
    gate: tuple[Judgement, ...]
    facts: tuple[str, ...]
    cards: tuple[ModelCard, ...]


def section(
    experiment: Experiment,
    *,
    trained: Mapping[Cell, Path],
    evaluated: Mapping[Cell, Path],
    results: Aggregate,
    gate: tuple[Judgement, ...],
    anchor: str,
) -> Section:
    """Read what the experiment's cells left and put it into words, tables and figures; ids start with `anchor`."""
    groups, cards = [], []
    for position, (dataset, variants) in enumerate(by_dataset(experiment).items()):
        rows = tables.select(results.table.to_pylist(), experiment, dataset)
        contrasts = tables.select(results.contrasts.to_pylist(), experiment, dataset)
        name = f"{anchor}-{position}"
        group = Group(dataset)
        group.learning_legend = _legend(variants, name=f"{name}-learning-key")
        pooled = _pooled(variants, experiment, evaluated)
        _add_scores(group, experiment, pooled, rows, contrasts)
        _add_contrasts(group, experiment, variants, contrasts, name=name)
        _add_calibration(group, experiment, variants, pooled, name=name)
        group.fits = list(pictures.fits(experiment, variants, evaluated, name=name))
        runs = {
            v.name: [cells.read_trained(f) for f in cells.of_variant(trained, v, experiment)]
            for v in variants
        }
        group.learning = list(pictures.learning(variants, runs, name=name))
        by_variant = {variant: [run.card for run in of] for variant, of in runs.items()}
        group.cost = tables.cost_table(by_variant, caption=f"Training cost on {dataset}")
        group.twins = tables.twin_table(variants, by_variant)
        groups.append(group)
        cards += [card for of in by_variant.values() for card in of]
    return Section(experiment, tuple(groups), gate, _facts(experiment), tuple(cards))


def _legend(variants: Sequence[Variant], *, name: str) -> list[tuple[Markup, str]]:
    return [(Markup(legend_sample(i, name=f"{name}-{i}")), v.name) for i, v in enumerate(variants)]


def _facts(experiment: Experiment) -> tuple[str, ...]:
    groups = by_dataset(experiment)
    variants = next(iter(groups.values()))
    unit = unit_of(experiment)
    n = len(experiment.splits if unit == "split" else experiment.seeds)
    return (
        ("dataset " if len(groups) == 1 else "datasets ") + ", ".join(groups),
        _count(len(variants), "variant"),
        f"{_count(len(experiment.seeds), 'seed')} × {_count(len(experiment.splits), 'split')}",
        f"n = {_count(n, unit)}",
        f"{tables.interval_name(experiment)}s",
    )


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("" if n == 1 else "s")


def _add_scores(
    group: Group,
    experiment: Experiment,
    pooled: Mapping[str, Predictions],
    rows: list[Row],
    contrasts: list[Row],
) -> None:
    every = list(dict.fromkeys(row["metric"] for row in rows))
    names = [name for name in every if "_after_" not in name]
    group.recalibrated = tables.recalibration_table(rows, caption=f"Before and after on {group.dataset}")
    best = {m: v for m in names if (v := tables.proven_best(contrasts, list(pooled), m))}
    wanted = [m.name for m in contrasted(experiment)]
    spreads = {
        family: [n for n in names if n.startswith(f"{family}_")]
        for family in ("coverage", "width", "interval_score")
    }
    finer = [name for name in CLASS_CALIBRATION if name in names]
    spread = [*finer, *(name for of in spreads.values() for name in of)]
    scores = [n for n in names if n in wanted or n not in spread]
    chance = chance_bands(experiment, pooled)
    group.scores = tables.score_table(
        rows, scores, caption=f"Scores on {group.dataset}", best=best, chance=chance
    )
    for family, of in spreads.items():
        if of:
            measure = family.replace("_", " ").capitalize()
            caption = f"{measure} of central intervals on {group.dataset}, by level in per cent"
            table = tables.score_table(rows, of, caption=caption, best={}, chance=chance)
            group.intervals.append(table)
    if finer:
        caption = f"Calibration of all classes, and errors by confidence, on {group.dataset}"
        group.intervals.append(tables.score_table(rows, finer, caption=caption, best={}))
    if not contrasts:
        where = {row["variant"]: [r for r in rows if r["variant"] == row["variant"]] for row in rows}
        for variant, of in where.items():
            means = [f"{r['metric']} {wording.plus_minus(r)}" for r in of if r["metric"] in wanted]
            group.answers.append(Answer(f"{variant}: {', '.join(means)}", ()))


def _add_contrasts(
    group: Group, experiment: Experiment, variants: Sequence[Variant], contrasts: list[Row], *, name: str
) -> None:
    if not contrasts:
        return
    unit, levels = unit_of(experiment), {v.name: v for v in variants}
    group.tally = wording.tally(contrasts)
    group.contrasts = tables.contrast_table(contrasts, levels, caption=f"Contrasts on {group.dataset}")
    pairs: dict[tuple[str, str], list[Row]] = {}
    for row in contrasts:
        pairs.setdefault((row["variant"], row["baseline_variant"]), []).append(row)
    for (variant, _), of in pairs.items():
        found = [
            Finding(wording.finding(row, unit=unit), row["verdict"], wording.verdict_kind(row["verdict"]))
            for row in of
        ]
        group.answers.append(Answer(wording.comparison(of[0], levels[variant].levels), tuple(found)))
    for metric in contrasted(experiment):
        of = [row for row in contrasts if row["metric"] == metric.name]
        settings = [wording.setting(row, levels[row["variant"]].levels) for row in of]
        caption = f"Differences in {metric.title} on {group.dataset}."
        svg = figures.forest(of, settings, metric, name=f"{name}-forest-{len(group.forests)}")
        group.forests.append(Picture(Markup(svg), caption))


def _pooled(
    variants: Sequence[Variant], experiment: Experiment, evaluated: Mapping[Cell, Path]
) -> dict[str, Predictions]:
    kind = variants[0].experiment.task.kind
    return {
        v.name: cells.read_predictions(cells.of_variant(evaluated, v, experiment), kind=kind)
        for v in variants
    }


def chance_bands(experiment: Experiment, pooled: Mapping[str, Predictions]) -> dict[str, tuple[float, float]]:
    """Metric -> where chance puts a calibrated mean, for measures whose law needs the number of rows alone.

    The rows that several cells predict count once: as many cells as there are independent rows.
    """
    if experiment.task.kind != "regression":
        return {}
    some = next(iter(pooled.values()))
    count = len(experiment.seeds) * len(experiment.splits)
    size = max(1, len(some.pit) // count)
    law = {"rows": size, "cells": max(1, round(some.rows / size))}
    confidence = experiment.ablation.confidence
    bands = {
        name: uniform_band(score, **law, confidence=confidence)
        for name, score in (
            ("pit_error", pit_error),
            ("rmsce", root_mean_squared_calibration_error),
        )
    }
    for level in experiment.evaluation.levels:
        low, high = coverage_band(some.rows, level=level, confidence=confidence)
        bands[f"coverage_{per_cent(level)}"] = (float(low), float(high))
    return bands


def _add_calibration(
    group: Group,
    experiment: Experiment,
    variants: Sequence[Variant],
    pooled: Mapping[str, Predictions],
    *,
    name: str,
) -> None:
    kind = variants[0].experiment.task.kind
    rows = min(p.rows for p in pooled.values())
    if kind == "regression":
        group.calibration_legend = _legend(variants, name=f"{name}-calibration-key")
        group.calibration = list(pictures.regression_calibration(experiment, pooled, name=name))
        group.calibration_note = (
            f"Band for {rows:,} independent rows. A reliability curve above the diagonal: intervals too wide; "
            "below: too narrow. A PIT histogram is flat where the stated distribution is true, U-shaped where "
            "it is too narrow, hump-shaped where it is too wide."
        )
        if len(variants) > MOST_FIGURES:
            group.calibration_note += (
                f" Figures of single variants: the first {MOST_FIGURES} of {len(variants)}."
            )
    else:
        group.calibration = list(pictures.language_calibration(experiment, variants, pooled, name=name))
        group.calibration_note = (
            f"Band for {rows:,} independent characters; neighbours depend on each other, so the true band is "
            "wider. Below the diagonal the most probable character is right less often than it is said to be: "
            "overconfident."
        )
