"""Across data sets: effects with the set as their unit, and ranks of the variants."""

import math
from collections.abc import Iterator
from typing import Any

from precisionflow.ablation.ranks import FEWEST
from precisionflow.records.metrics import metric_named
from precisionflow.report import aggregates, grouping, tables, wording
from precisionflow.report.figures.contrasts import forest
from precisionflow.report.figures.profiles import performance_profiles
from precisionflow.report.figures.ranks import critical_differences
from precisionflow.report.material import Material
from precisionflow.report.pictures import Picture, legend
from precisionflow.report.section import Section
from precisionflow.report.tables import Table
from precisionflow.report.wording import Row


def section(material: Material) -> Section | None:
    """None for one data set, and where nothing is contrasted."""
    if not material.several or not material.across:
        return None
    levels = material.groups[0].levels
    caption = f"Contrasts over {wording.count(len(material.groups), 'data set')}"
    context = {
        "forests": list(_forests(material)),
        "table_of_contrasts": tables.across_table(material.across, levels, caption=caption),
        "ranks": list(_ranks(material)),
        "rank_table": _rank_table(material),
        "no_ranks": "" if material.ranks else _why_no_ranks(material),
        "ratios": any(wording.is_ratio(row) for row in material.across),
    }
    context |= _runs(material)
    return Section("Across data sets", "sections/across.html.jinja", context)


def _forests(material: Material) -> Iterator[Picture]:
    levels = material.groups[0].levels
    for index, (name, of_metric) in enumerate(grouping.by(material.across, "metric").items()):
        rows = [row for row in of_metric if not math.isnan(row["effect"])]
        if rows:
            settings = [wording.setting(row, levels) for row in rows]
            drawn = forest(rows, settings, name=f"{material.anchor}-across-{index}")
            yield Picture(drawn, f"Differences in {metric_named(name).title}, mean over the data sets.")


def _runs(material: Material) -> dict[str, Any]:
    """Interquartile means and profiles; empty where no metric has them."""
    names = list(dict.fromkeys(row["variant"] for row in material.iqm))
    reference = names[0] if names else ""
    caption = f"Interquartile mean of all runs, relative to {reference}"
    return {
        "interval": wording.interval_name(material.experiment.ablation.confidence),
        "reference": reference,
        "iqm": aggregates.iqm_table(material.iqm, caption=caption) if names else None,
        "profile_legend": legend(names, name=f"{material.anchor}-profiles-key"),
        "profiles": list(_profiles(material)),
    }


def _profiles(material: Material) -> Iterator[Picture]:
    shown = {row["metric"]: wording.compared(row) for row in material.iqm}
    for index, (name, rows) in enumerate(grouping.by(material.profiles, "metric").items()):
        x = shown[name] if "ratio" in shown[name] else f"difference in {shown[name]}"
        drawn = performance_profiles(
            grouping.by(rows, "variant"), x=x, name=f"{material.anchor}-profiles-{index}"
        )
        yield Picture(drawn, f"Runs that are at least as good, by {metric_named(name).title}.")


def _ranks(material: Material) -> Iterator[Picture]:
    confidence = material.experiment.ablation.confidence
    for index, rows in enumerate(grouping.by(material.ranks, "metric").values()):
        groups = tables.rank_groups(rows, confidence=confidence)
        drawn = critical_differences(rows, groups, name=f"{material.anchor}-ranks-{index}")
        test = _test(rows[0])
        yield Picture(drawn, f"{test}. Bars join variants that are not shown to differ.")


def _rank_table(material: Material) -> Table | None:
    if not material.ranks:
        return None
    caption = f"Mean ranks over {material.ranks[0]['sets']} data sets"
    return tables.rank_table(
        material.ranks, caption=caption, confidence=material.experiment.ablation.confidence
    )


def _test(row: Row) -> str:
    """ "Friedman's χ² 9.28 over 14 data sets, p 0.020 by permutations"."""
    told = f"Friedman's χ² {row['chi2']:.2f} over {wording.count(row['sets'], 'data set')}"
    return f"{told}, p {wording.probability(row['p'])} by permutations"


def _why_no_ranks(material: Material) -> str:
    variants, sets = len(material.groups[0].levels), len(material.groups)
    if min(variants, sets) < FEWEST:
        given = f"{wording.count(variants, 'variant')} on {wording.count(sets, 'data set')}"
        return f"No ranks: {given}; {FEWEST} of both are needed."
    return "No ranks: too few data sets are left without a failed cell."
