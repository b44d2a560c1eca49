"""Scaling: laws of loss and cost with sizes, where cost departs from its law, the best use of a budget."""

from collections.abc import Iterator
from dataclasses import dataclass

from precisionflow.ablation.analyses.layout import short_names
from precisionflow.ablation.analyses.scaling import FEWEST_EACH, FEWEST_RUNS, FLOPS, SECONDS
from precisionflow.config.analyses import Scaling
from precisionflow.report import grouping, scaling, tables, wording
from precisionflow.report.figures.scaling import law_figure
from precisionflow.report.material import Group, Material
from precisionflow.report.pictures import Picture
from precisionflow.report.section import Section
from precisionflow.report.tables import Table


@dataclass(frozen=True)
class OfDataset:
    """What is shown on one data set."""

    dataset: str
    findings: tuple[str, ...]
    pictures: tuple[Picture, ...]
    laws: Table
    points: Table
    budgets: tuple[Table, ...]


def section(material: Material) -> Section | None:
    """None where the experiment is no scaling analysis."""
    analysis = material.experiment.analysis
    if not isinstance(analysis, Scaling):
        return None
    names = short_names(list(analysis.sizes))
    context = {
        "groups": [_of_group(group, material, names) for group in material.groups],
        "several": material.several,
        "interval": wording.interval_name(material.experiment.ablation.confidence),
        "departs": f"{100 * scaling.DEPARTS:g} %",
        "fewest": f"{FEWEST_RUNS} runs with {FEWEST_EACH} numbers of parameters and of targets",
    }
    return Section("Scaling", "sections/scaling.html.jinja", context)


def _of_group(group: Group, material: Material, names: dict[str, str]) -> OfDataset:
    laws, points, budgets = (
        tables.select(of, group.experiment, group.dataset)
        for of in (material.laws, material.sizes, material.isoflop)
    )
    return OfDataset(
        group.dataset,
        tuple(scaling.finding(law, names=names) for law in laws if law["quantity"] != FLOPS),
        tuple(_pictures(laws, points, names, anchor=f"{group.anchor}-scaling")),
        scaling.law_table(laws, names=names, caption=f"Laws of one size on {group.dataset}"),
        scaling.point_table(points, names=names, caption=f"Sizes on {group.dataset}"),
        tuple(
            scaling.isoflop_table(
                rows,
                metric=scaling.quantity(metric),
                caption=f"Best use of a budget on {group.dataset}, by {metric}",
            )
            for metric, rows in grouping.by(budgets, "metric").items()
        ),
    )


def _pictures(
    laws: list[wording.Row], points: list[wording.Row], names: dict[str, str], *, anchor: str
) -> Iterator[Picture]:
    for number, law in enumerate(laws):
        if law["quantity"] == FLOPS:
            continue
        of = [p for p in points if (p["size"], p["quantity"]) == (law["size"], law["quantity"])]
        size, what = names[law["size"]], scaling.quantity(law["quantity"])
        cost = law["quantity"] == SECONDS
        drawn = law_figure(of, law, size=size, y=what, logarithmic=cost, name=f"{anchor}-{number}")
        predicted = ", dashed what the operations predict from the largest size" if cost else ""
        yield Picture(drawn, f"{what} over {size}, and its law{predicted}.")
