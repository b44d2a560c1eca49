"""The plan of an experiment on the screen, before and while it runs."""

import math
from collections.abc import Sequence
from pathlib import Path

from precisionflow.ablation.design import shortfall, unit_of
from precisionflow.ablation.plan import Detectable, Plan, Row, plan
from precisionflow.ablation.power import POWER
from precisionflow.config import Experiment
from precisionflow.console import command, duration
from precisionflow.report.wording import count
from precisionflow.results.layout import Results
from precisionflow.results.reuse import check_source

MOST_LINES = 100
"""Variants that each have a line; of more, each data set has one."""


def print_plan(experiments: Sequence[Experiment], *, folder: Path, reused: Sequence[Path] = ()) -> None:
    """Say what a run of the experiments into `folder` has to do, and what it can show.

    Cells count as done that it would copy from the results folders `reused`. ValueError where one is none.
    """
    from precisionflow.report.tables import Entry, Table
    from precisionflow.report.terminal import print_table, terminal

    console, sources = terminal(), [Results(source) for source in reused]
    for source in sources:
        check_source(source)
    for experiment in experiments:
        studies = list[str]()
        if experiment.ablation.tuned:
            experiment, studies = _tuned(experiment, Results(folder))
        made = plan(experiment, Results(folder), reused=sources)
        lines = _lines(made.rows)
        if not _failed(made.rows):
            lines = [
                {heading: text for heading, text in line.items() if heading != "failed"} for line in lines
            ]
        table = Table(
            _caption(made),
            tuple(map(Entry, lines[0])),
            tuple(tuple(map(Entry, line.values())) for line in lines),
        )
        print_table(table, console)
        for line in [*studies, *_failures(made, folder), *_effects(made)]:
            console.print(line, soft_wrap=True)


def _caption(made: Plan) -> str:
    cells, failed, still = sum(row.cells for row in made.rows), _failed(made.rows), _open(made.rows)
    counts = f"{cells - failed - still} done, {f'{failed} failed, ' if failed else ''}{still} open"
    return f"{made.experiment.name}: {count(cells, 'cell')}, {counts}; {_left(made.rows)}"


def _failed(rows: Sequence[Row]) -> int:
    return sum(row.failed for row in rows)


def _open(rows: Sequence[Row]) -> int:
    return sum(row.open for row in rows)


def _left(rows: Sequence[Row]) -> str:
    if not any(row.open for row in rows):
        return "nothing is left"
    left = math.fsum(row.left for row in rows)
    return "no cell is measured yet" if math.isnan(left) else f"{duration(left)} of work are left"


def _lines(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Heading -> text, of each variant or data set."""
    if len(rows) <= MOST_LINES:
        return [_line(row.dataset, row.variant, [row]) for row in rows]
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.dataset, []).append(row)
    return [_line(dataset, f"{len(of)} variants", of) for dataset, of in groups.items()]


def _line(dataset: str, variant: str, rows: Sequence[Row]) -> dict[str, str]:
    cells, failed, still = sum(row.cells for row in rows), _failed(rows), _open(rows)
    each, left = math.fsum(row.each for row in rows) / len(rows), math.fsum(row.left for row in rows)
    return {
        "data set": dataset,
        "variant": variant,
        "cells": str(cells),
        "done": str(cells - failed - still),
        "failed": str(failed),
        "open": str(still),
        "seconds each": "—" if math.isnan(each) else f"{each:.3g}",
        "work left": "—" if math.isnan(left) else duration(left),
    }


def _failures(made: Plan, folder: Path) -> list[str]:
    """How failed cells are tried again, where there are some."""
    failed = _failed(made.rows)
    again = command("run", *Results(folder).experiments, "--out", folder, "--retry-failed")
    return [f"{count(failed, 'cell')} failed; `{again}` tries again"] if failed else []


def _tuned(experiment: Experiment, results: Results) -> tuple[Experiment, list[str]]:
    """The experiment as far as its studies have found something, and how many trials come before the cells."""
    from precisionflow.search.tuning import as_far_as_found, budget

    asked = budget(experiment, results)
    if asked is None:
        return experiment, []
    each = asked.trials // asked.studies
    studies = "1 study" if asked.studies == 1 else f"{asked.studies} studies"
    told = f"tuning before them: {studies} of {each} trials, {asked.done} of {asked.trials} trials done"
    return as_far_as_found(experiment, results), [told]


def _effects(made: Plan) -> list[str]:
    """What the units can show, a line for each metric."""
    if not made.contrasts:
        return ["nothing is contrasted"]
    short, unit = shortfall(made.experiment), unit_of(made.experiment)
    if short:
        return [f"no verdict: {short}"]
    shown = f"{made.units} {unit}s, {count(made.contrasts, 'contrast')}: {100 * POWER:g} % power for"
    return [f"{shown} {_effect(made, each)}" for each in made.detectable]


def _effect(made: Plan, each: Detectable) -> str:
    unit = unit_of(made.experiment)
    if not each.measured:
        return f"a difference of {each.effect:.3g} standard deviations of what a {unit} differs by"
    shown = f"a difference in {each.metric} of {each.effect:.3g}"
    if math.isnan(each.equivalent):
        return shown
    enough = f"no number of {unit}s" if math.isnan(each.enough) else f"{each.enough:,.0f} {unit}s"
    return (
        f"{shown}; at least {100 * each.equivalent:.0f} % for equivalence within ±{each.margin:.3g} where nothing "
        f"differs, {enough} for {100 * POWER:g} %"
    )
