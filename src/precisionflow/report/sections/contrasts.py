"""Contrasts: the paired difference of every level from its baseline, drawn and as a table."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from precisionflow.ablation.contrasts import contrasted
from precisionflow.report import tables, wording
from precisionflow.report.figures.contrasts import forest
from precisionflow.report.material import Group, Material
from precisionflow.report.pictures import Picture
from precisionflow.report.section import Section
from precisionflow.report.tables import Table


@dataclass(frozen=True)
class Contrasts:
    """One forest for each metric, and all contrasts on one data set."""

    forests: tuple[Picture, ...]
    table: Table
    unassumed: Table | None
    """Intervals and p without the assumption that differences are normal."""
    hinges: str
    """Differences that are shown under it alone; empty where there are none."""


def section(material: Material) -> Section | None:
    """Forests and table of every data set; none where no axis is varied."""
    groups = [group for group in material.groups if group.contrasts]
    if not groups:
        return None
    context = {
        "groups": [_contrasts(group) for group in groups],
        "several_splits": len(material.experiment.splits) > 1,
        "looks": material.experiment.ablation.looks,
    }
    return Section("Contrasts", "sections/contrasts.html.jinja", context)


def _contrasts(group: Group) -> Contrasts:
    where = f"on {group.dataset}"
    table = tables.contrast_table(group.contrasts, group.levels, caption=f"Contrasts {where}")
    unassumed = tables.unassumed_table(group.contrasts, group.levels, caption=f"Intervals and p {where}")
    hinges = wording.hinges(group.contrasts, group.levels, confidence=group.experiment.ablation.confidence)
    return Contrasts(tuple(_forests(group)), table, unassumed, hinges)


def _forests(group: Group) -> Iterator[Picture]:
    for index, metric in enumerate(contrasted(group.experiment)):
        of_metric = [row for row in group.contrasts if row["metric"] == metric.name]
        rows = [row for row in of_metric if not math.isnan(row["effect"])]
        if not rows:
            continue
        settings = [wording.setting(row, group.levels) for row in rows]
        drawn = forest(rows, settings, name=f"{group.anchor}-forest-{index}")
        yield Picture(drawn, f"Differences in {metric.title} on {group.dataset}.")
