"""Performance: a step by phase and layer, memory and speed, quality against compute."""

from collections.abc import Iterator
from dataclasses import dataclass

from precisionflow.config.analyses import Performance
from precisionflow.report import performance, tables, wording
from precisionflow.report.figures.performance import phase_bars, quality_figure
from precisionflow.report.material import Group, Material
from precisionflow.report.performance import Found
from precisionflow.report.pictures import Key, Picture, legend
from precisionflow.report.section import Section
from precisionflow.report.tables import Table


@dataclass(frozen=True)
class OfDataset:
    """What is shown on one data set."""

    dataset: str
    finding: str
    phase_legend: tuple[Key, ...]
    bars: Picture
    phases: Table
    speed: Table
    layers: tuple[Table, ...]
    variant_legend: tuple[Key, ...]
    quality: tuple[Picture, ...]
    fronts: tuple[Table, ...]


def section(material: Material) -> Section | None:
    """None where the experiment is no performance analysis, or nothing was timed."""
    if not isinstance(material.experiment.analysis, Performance):
        return None
    groups = [_of_group(group, found) for group in material.groups if (found := _found(group, material))]
    interval = wording.interval_name(material.experiment.ablation.confidence)
    context = {
        "groups": groups,
        "interval": interval,
        "steps": material.experiment.training.profile,
        "several": material.several,
    }
    return Section("Performance", "sections/performance.html.jinja", context) if groups else None


def _found(group: Group, material: Material) -> Found:
    return performance.found_in(tables.select(material.performance, group.experiment, group.dataset))


def _of_group(group: Group, found: Found) -> OfDataset:
    anchor = f"{group.anchor}-performance"
    steps = {
        variant: {phase: of[phase]["value"] for phase in performance.PHASES if phase in of}
        for variant, of in found.items()
    }
    phases = performance.phases_of(found)
    drawn = phase_bars(steps, phases=phases, name=f"{anchor}-phases")
    fronts = list(_fronts(group, found, anchor=anchor))
    return OfDataset(
        group.dataset,
        performance.finding(found, group.experiment, group.scores),
        tuple(legend(phases, name=f"{anchor}-phases-key")),
        Picture(drawn, "Seconds of a step, each phase without what is inside it."),
        performance.phase_table(found, phases, caption=f"Seconds of a step by phase on {group.dataset}"),
        performance.speed_table(found, caption=f"Speed and memory on {group.dataset}"),
        tuple(performance.layer_tables(found, dataset=group.dataset)),
        tuple(legend(list(found), name=f"{anchor}-variants-key")),
        tuple(picture for picture, _ in fronts),
        tuple(table for _, table in fronts),
    )


def _fronts(group: Group, found: Found, *, anchor: str) -> Iterator[tuple[Picture, Table]]:
    """Quality against seconds of training in each contrasted metric that has a better end."""
    every = performance.fronts(found, group.experiment, group.scores)
    for number, (metric, known, best, of) in enumerate(every):
        points = {v: (found[v]["training"]["value"], of[v]["mean"]) for v in known}
        drawn = quality_figure(points, best, metric=metric.name, name=f"{anchor}-front-{number}")
        caption = f"{metric.name} against seconds of training on {group.dataset}"
        table = performance.front_table(found, metric, known, best, of, caption=caption)
        yield Picture(drawn, f"{caption}; the line joins the front."), table
