"""Sensitivity: how far each parameter moves the metrics, where they hold, which values to recommend."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from precisionflow.ablation.analyses.layout import short_names
from precisionflow.config.analyses import Morris, Range, Sensitivity, Sobol, Sweep
from precisionflow.report import grouping, sensitivity, tables, wording
from precisionflow.report.figures.sensitivity import index_bars, response
from precisionflow.report.material import Group, Material
from precisionflow.report.pictures import Picture
from precisionflow.report.section import Section
from precisionflow.report.tables import Table


@dataclass(frozen=True)
class OfMetric:
    """What is shown of one metric on a data set."""

    title: str
    finding: str
    indices: Table
    bars: Picture
    recommended: Table
    responses: tuple[Picture, ...]
    numbers: Table


def section(material: Material) -> Section | None:
    """None where the experiment is no sensitivity analysis."""
    analysis = material.experiment.analysis
    if not isinstance(analysis, Sensitivity):
        return None
    context = {
        "metrics": [of for group in material.groups for of in _of_group(group, analysis, material)],
        "method": analysis.method.kind,
        "interval": wording.interval_name(material.experiment.ablation.confidence),
        "margins": wording.margins(material.experiment.ablation.margins),
    }
    return Section("Sensitivity", "sections/sensitivity.html.jinja", context)


def _of_group(group: Group, analysis: Sensitivity, material: Material) -> Iterator[OfMetric]:
    names = short_names(list(analysis.parameters))
    shown = grouping.by(tables.select(material.sensitivity, group.experiment, group.dataset), "metric")
    answers = grouping.by(tables.select(material.response, group.experiment, group.dataset), "metric")
    for number, (metric, rows) in enumerate(shown.items()):
        quantity, of = sensitivity.quantity(metric), answers[metric]
        anchor, where = f"{group.anchor}-sensitivity-{number}", f"{quantity} on {group.dataset}"
        pictures = tuple(
            Picture(
                response(
                    levels,
                    parameter=names[key],
                    metric=quantity,
                    ordered=isinstance(analysis.parameters[key], Range),
                    name=f"{anchor}-{place}",
                ),
                f"{quantity} over {names[key]}.",
            )
            for place, (key, levels) in enumerate(grouping.by(of, "parameter").items())
        )
        yield OfMetric(
            where,
            sensitivity.finding(rows, names=names),
            sensitivity.index_table(rows, names=names, caption=f"Sensitivity of {where}"),
            _bars(rows, analysis, names=names, title=where, name=f"{anchor}-bars"),
            sensitivity.recommendation_table(
                of, group.experiment, caption=f"Robust and recommended values, by {where}"
            ),
            pictures,
            sensitivity.response_table(of, names=names, caption=f"Levels of the parameters, {where}"),
        )


def _bars(
    rows: list[wording.Row], analysis: Sensitivity, *, names: dict[str, str], title: str, name: str
) -> Picture:
    match analysis.method:
        case Sweep():
            beside, x, caption = "", "swing", "Bar: swing. Dotted: end of what noise gives."
        case Morris():
            beside, x = "sigma", "mean size of an effect, μ*"
            caption = "Bar: μ*, line: its interval, diamond: σ. Dotted: end of what noise gives."
        case Sobol():
            beside, x = "first_order", "share of the variance"
            caption = (
                "Bar: total share, line: its interval, diamond: first order. Dotted: end of what noise gives."
            )
        case _:
            assert_never(analysis.method)
    main = sensitivity.moving(rows)
    second = [row for row in rows if row["measure"] == beside]
    drawn = index_bars(
        main, second, names=[names[row["parameter"]] for row in main], x=x, title=title, name=name
    )
    return Picture(drawn, caption)
