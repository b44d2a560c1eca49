"""Performance: a step by phase and layer, memory and speed, quality against compute."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from precisionflow.ablation.analyses.performance import front
from precisionflow.ablation.contrasts import contrasted
from precisionflow.config.analyses import Performance
from precisionflow.report import digits, grouping, tables, wording
from precisionflow.report.figures.performance import phase_bars, quality_figure
from precisionflow.report.material import Group, Material
from precisionflow.report.pictures import Key, Picture, legend
from precisionflow.report.section import Section
from precisionflow.report.tables import Entry, Table
from precisionflow.report.wording import Row

PHASES = ("forward", "settling", "backward", "optimiser", "other")
MEBIBYTE, GIGA = 2**20, 1e9
Found = Mapping[str, Mapping[str, Row]]
"""Variant -> measure -> row of PERFORMANCE."""


@dataclass(frozen=True)
class OfDataset:
    """What is shown on one data set."""

    dataset: str
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
    groups = [
        _of_group(group, found) for group in material.groups if (found := _found(group, material.performance))
    ]
    interval = wording.interval_name(material.experiment.ablation.confidence)
    context = {"groups": groups, "interval": interval, "steps": material.experiment.training.profile}
    return Section("Performance", "sections/performance.html.jinja", context) if groups else None


def _found(group: Group, rows: tuple[Row, ...]) -> Found:
    own = tables.select(rows, group.experiment, group.dataset)
    return {
        variant: {row["measure"]: row for row in of} for variant, of in grouping.by(own, "variant").items()
    }


def _of_group(group: Group, found: Found) -> OfDataset:
    anchor = f"{group.anchor}-performance"
    steps = {
        variant: {phase: of[phase]["value"] for phase in PHASES if phase in of}
        for variant, of in found.items()
    }
    phases = [phase for phase in PHASES if any(phase in of for of in steps.values())]
    drawn = phase_bars(steps, phases=phases, name=f"{anchor}-phases")
    fronts = list(_fronts(group, found, anchor=anchor))
    return OfDataset(
        group.dataset,
        tuple(legend(phases, name=f"{anchor}-phases-key")),
        Picture(drawn, "Seconds of a step, each phase without what is inside it."),
        _phase_table(found, phases, caption=f"Seconds of a step by phase on {group.dataset}"),
        _speed_table(found, caption=f"Speed and memory on {group.dataset}"),
        tuple(_layer_tables(found, dataset=group.dataset)),
        tuple(legend(list(found), name=f"{anchor}-variants-key")),
        tuple(picture for picture, _ in fronts),
        tuple(table for _, table in fronts),
    )


def _phase_table(found: Found, phases: list[str], *, caption: str) -> Table:
    """Variants by phases: seconds with half the interval, and the share of the step."""
    communicates = any("communication" in of for of in found.values())
    names = [*phases, *(["communication"] if communicates else [])]
    body = []
    for variant, of in found.items():
        whole = sum(of[phase]["value"] for phase in phases if phase in of)
        body.append(
            (
                Entry(variant),
                *(
                    Entry(_measured(of[name]), f"{of[name]['value'] / whole:.0%}" if whole else "")
                    if name in of
                    else Entry("—")
                    for name in names
                ),
                Entry(digits.significant(whole, digits=3)),
            )
        )
    headings = [
        Entry(name, "inside the others" if name == "communication" else "share of the step") for name in names
    ]
    return Table(caption, (Entry("variant"), *headings, Entry("all phases")), tuple(body))


def _speed_table(found: Found, *, caption: str) -> Table:
    measures = {
        "step": ("seconds a step", "median, not timed part by part", 1.0),
        "targets_per_second": ("targets a second", "tokens, rows", 1.0),
        "flops_per_second": ("GFLOP/s", "predicted operations", GIGA),
        "peak_bytes": ("peak memory", "MiB", MEBIBYTE),
        "parameters": ("parameters", "", 1.0),
    }
    body = [
        (
            Entry(variant),
            *(
                Entry(_measured(of[name], unit=unit) if name in of else "—")
                for name, (*_, unit) in measures.items()
            ),
        )
        for variant, of in found.items()
    ]
    headings = (Entry(title, note) for title, note, _ in measures.values())
    return Table(caption, (Entry("variant"), *headings), tuple(body))


def _layer_tables(found: Found, *, dataset: str) -> Iterator[Table]:
    """A table for each list of layers that some variants share."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for variant, of in found.items():
        layers = tuple(sorted((m for m in of if m.startswith("layer-")), key=_number))
        if layers:
            groups.setdefault(layers, []).append(variant)
    for layers, variants in groups.items():
        caption = f"Seconds of the forward calls of each layer on {dataset}"
        body = [
            tuple(map(Entry, (layer.removeprefix("layer-"), *(_measured(found[v][layer]) for v in variants))))
            for layer in layers
        ]
        yield Table(caption, tuple(map(Entry, ("layer", *variants))), tuple(body))


def _number(layer: str) -> int:
    return int(layer.split("-")[1])


def _fronts(group: Group, found: Found, *, anchor: str) -> Iterator[tuple[Picture, Table]]:
    """Quality against seconds of training in each contrasted metric that has a better end."""
    for number, metric in enumerate(contrasted(group.experiment)):
        if metric.better == "nominal":
            continue
        scores = {row["variant"]: row for row in group.scores if row["metric"] == metric.name}
        known = [v for v in found if v in scores and not math.isnan(scores[v]["mean"])]
        if not known:
            continue
        costs = [found[variant]["training"]["value"] for variant in known]
        values = [scores[variant]["mean"] for variant in known]
        best = front(costs, values, better=metric.better)
        points = dict(zip(known, zip(costs, values, strict=True), strict=True))
        drawn = quality_figure(points, best, metric=metric.name, name=f"{anchor}-front-{number}")
        caption = f"{metric.name} against seconds of training on {group.dataset}"
        body = [
            (
                Entry(variant),
                Entry(_measured(found[variant]["training"])),
                Entry(wording.plus_minus(scores[variant])),
                Entry("yes" if on else "no"),
            )
            for variant, on in zip(known, best, strict=True)
        ]
        headings = (
            Entry("variant"),
            Entry("training", "seconds"),
            Entry(metric.name, wording.direction(metric)),
            Entry("on the front"),
        )
        yield Picture(drawn, f"{caption}; the line joins the front."), Table(caption, headings, tuple(body))


def _measured(row: Row, *, unit: float = 1.0) -> str:
    return digits.plus_minus(row["value"] / unit, (row["high"] - row["value"]) / unit)
