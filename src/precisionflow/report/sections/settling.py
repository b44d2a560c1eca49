"""Settling: how the energy falls, where errors are large, what precisions are, how far learning is from backprop."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from precisionflow.report.digits import significant
from precisionflow.report.figures.learning import Curve, curve_figure, mean_and_range
from precisionflow.report.figures.settling import layer_map
from precisionflow.report.material import Group, Material
from precisionflow.report.pictures import MOST_FIGURES, Key, Picture, legend
from precisionflow.report.section import Section
from precisionflow.report.settling import CALIBRATION, Records, records
from precisionflow.report.tables import Entry, Table

MAPS = {"error_norm": "norm of the errors", "precision": "precision"}
"""Columns of records.schemas.SETTLING that are drawn as maps, and what they are."""
CURVES = (
    (
        "error_norm",
        "norm of the errors",
        "Settled errors of each layer: root of the mean squared norm.",
        "mean",
    ),
    ("precision", "precision", "Precision of each layer: geometric mean.", "mean"),
    (
        "quadratic_energy",
        "energy of the errors",
        "Energy of each layer's settled errors without its normaliser: precision times their square / 2.",
        "nats a target",
    ),
)
"""Quantity of each layer, title of its figure, caption, label of its axis."""
FLAT = 1.01
"""Largest over smallest precision of a layer up to which its positions are alike."""


@dataclass(frozen=True)
class Settling:
    """The records on one data set."""

    dataset: str
    table: Table
    calibration: Table
    legend: tuple[Key, ...]
    pictures: tuple[Picture, ...]
    maps: tuple[Picture, ...]


def section(material: Material) -> Section | None:
    """Table and figures of the last records; none where no variant has any (training.monitor_every)."""
    groups = []
    for group in material.groups:
        found = {
            index: of
            for index, variant in enumerate(group.variants)
            if (of := records(group, variant)) is not None
        }
        if found:
            groups.append(
                Settling(
                    group.dataset,
                    _table(group, found),
                    _calibration(group, found),
                    tuple(legend(group.names, name=f"{group.anchor}-settling-key")),
                    tuple(_pictures(group, found)),
                    tuple(_maps(group, found)),
                )
            )
    context = {"groups": groups, "several": material.several}
    return Section("Settling", "sections/settling.html.jinja", context) if groups else None


def _table(group: Group, found: Mapping[int, Records]) -> Table:
    body = []
    for index, of in found.items():
        counts = sorted(of.iterations)
        before, after = of.energies[:, 0].mean(), of.energies[:, -1].mean()
        cosines = of.cosines.mean(axis=0)
        lowest = int(cosines.argmin())
        where = _name(of, lowest)
        energies = of.by_layer("quadratic_energy").mean(axis=0)
        overall = group.histories(group.variants[index]).of("gradient_cosine").last
        body.append(
            (
                Entry(group.names[index]),
                Entry(str(counts[0]) if counts[0] == counts[-1] else f"{counts[0]} to {counts[-1]}"),
                Entry(significant(before, spread=abs(after - before))),
                Entry(significant(after, spread=abs(after - before))),
                Entry(_ratio(energies)),
                Entry(significant(float(overall.mean()))),
                Entry(significant(cosines[lowest]), where),
            )
        )
    headings = (
        Entry("variant"),
        Entry("iterations"),
        Entry("energy before", "nats a target"),
        Entry("energy after", "nats a target"),
        Entry("over layers", "largest energy of errors / smallest"),
        Entry("cosine with backprop", "gradient of all weights"),
        Entry("lowest cosine", "of one layer"),
    )
    return Table(f"Settling on {group.dataset} at the last record", headings, tuple(body))


def _calibration(group: Group, found: Mapping[int, Records]) -> Table:
    """A line for each layer of each variant; means over the runs."""
    body = []
    for index, of in found.items():
        for place, means in of.calibrated():
            errors, pit, *coverages, dispersion = (means[name] for name in CALIBRATION)
            body.append(
                (
                    Entry(group.names[index], _name(of, place)),
                    Entry(significant(means["precision"], digits=3)),
                    Entry(f"{errors:,.0f}"),
                    Entry(significant(pit, digits=2)),
                    *(Entry(f"{100 * coverage:.1f} %") for coverage in coverages),
                    Entry(significant(dispersion, digits=3)),
                )
            )
    headings = (
        Entry("layer"),
        Entry("precision", "geometric mean"),
        Entry("errors", "of a batch"),
        Entry("PIT error", "0 to 0.33; true: 0"),
        *(Entry(f"in the interval of {level} %", f"true: {level} %") for level in (50, 90, 95)),
        Entry("dispersion", "true: 1"),
    )
    return Table(
        f"Calibration of settled errors on {group.dataset} at the last record", headings, tuple(body)
    )


def _name(of: Records, place: int) -> str:
    return f"layer {of.layers[place]}" if place < len(of.layers) else "output"


def _ratio(energies: np.ndarray) -> str:
    """Largest over smallest; infinite where a layer has no error, undefined where none has."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return significant(float(energies.max() / energies.min()), digits=2)


def _pictures(group: Group, found: Mapping[int, Records]) -> Iterator[Picture]:
    name = f"{group.anchor}-settling"
    descents = {index: _curve(of.energies - of.energies[:, :1]) for index, of in found.items()}
    figure = curve_figure(
        "energy less that at the start",
        descents,
        variants=group.names,
        name=f"{name}-energy",
        x="iteration",
        y="nats a target",
    )
    yield Picture(
        figure, "Energy a target less that before the first iteration: where it rises a step was too long."
    )
    for column, title, caption, unit in CURVES:
        curves = {index: _curve(of.by_layer(column), of.layers) for index, of in found.items()}
        above = {index: _above_zero(curve) for index, curve in curves.items() if (curve.mean > 0).any()}
        if not above:
            continue
        figure = curve_figure(
            title,
            above,
            variants=group.names,
            name=f"{name}-{column.replace('_', '-')}",
            x="layer",
            y=unit,
            logarithmic=True,
        )
        yield Picture(figure, caption)
    histories = {index: group.histories(group.variants[index]) for index in found}
    cosines = {
        index: mean_and_range(of.of("gradient_cosine"), runs=of.runs) for index, of in histories.items()
    }
    figure = curve_figure(
        "cosine with backprop",
        cosines,
        variants=group.names,
        name=f"{name}-cosine",
        x="optimiser step",
        y="cosine",
    )
    yield Picture(figure, "Cosine between the gradient that the weights learn from and backprop's.")


def _curve(values: np.ndarray, at: list[int] | None = None) -> Curve:
    """Mean and range over the runs, along the second axis."""
    steps = np.arange(values.shape[1]) if at is None else np.array(at)
    return Curve(steps, values.mean(axis=0), values.min(axis=0), values.max(axis=0))


def _above_zero(curve: Curve) -> Curve:
    """The curve where every run lies above 0: a logarithm shows no other."""
    return Curve(curve.steps, *(np.where(curve.low > 0, of, np.nan) for of in curve[1:]))


def _maps(group: Group, found: Mapping[int, Records]) -> Iterator[Picture]:
    """Of the first variants: by iteration, by position if there are any, precisions where a layer's differ, by head."""
    for index, of in list(found.items())[:MOST_FIGURES]:
        rows = [_name(of, place) for place in range(len(of.layers) + 1)]
        if (of.exchanged > 0).any():
            variant = group.names[index]
            yield Picture(
                layer_map(
                    of.exchanged,
                    rows,
                    quantity="energy, nats a target",
                    alt=f"energy by layer and iteration, {variant}",
                    across="iteration",
                ),
                f"{variant}: energy that each layer's errors have gained at each iteration, and the output's loss "
                "has lost; blank where it is the other way round.",
            )
        for column, quantity in MAPS.items():
            values = of.by_place(column)
            alike = column == "precision" and (values.max(axis=1) <= FLAT * values.min(axis=1)).all()
            if values.shape[1] > 1 and not alike:
                variant = group.names[index]
                alt = f"{quantity} by layer and position, {variant}"
                yield Picture(
                    layer_map(values, rows[:-1], quantity=quantity, alt=alt),
                    f"{variant}: {quantity} of each layer at each position.",
                )
        layers, precisions = of.by_head()
        if layers:
            variant = group.names[index]
            alt = f"precision by layer and head, {variant}"
            yield Picture(
                layer_map(
                    precisions,
                    [f"layer {layer}" for layer in layers],
                    quantity="precision",
                    alt=alt,
                    across="head",
                ),
                f"{variant}: precision of each head of attention.",
            )
