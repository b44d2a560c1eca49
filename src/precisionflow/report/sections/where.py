"""Where it holds: coverage, error and score in bins of the stated std and of each feature."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from precisionflow.evaluation.where import COVERAGE, LEVEL
from precisionflow.records.schemas import STATED_STD
from precisionflow.report import digits, wording
from precisionflow.report.figures.where import Curves, coverage_in_bins, errors_in_bins
from precisionflow.report.material import Group, Material
from precisionflow.report.pictures import Key, Picture, legend
from precisionflow.report.section import Section
from precisionflow.report.tables import Entry, Table
from precisionflow.report.wording import Row

MOST_FEATURES = 2
"""Features with figures, those by which coverage is furthest from its band."""
TITLES = {
    COVERAGE: "Coverage of 95 % intervals",
    "rmse": "Root mean squared error",
    "std": "Stated std",
    "nll": "Negative log-likelihood in nats",
}
"""Metrics of the tables of numbers, in their order."""


Metrics = Mapping[str, Curves]
"""Metric -> variant -> its rows by bin, of one feature."""


@dataclass(frozen=True)
class Where:
    """Figures and tables on one data set."""

    dataset: str
    summary: Table
    legend: tuple[Key, ...]
    pictures: tuple[Picture, ...]
    tables: tuple[Table, ...]


def section(material: Material) -> Section | None:
    """None where no data set has bins."""
    groups = [_group(group) for group in material.groups if group.where]
    if not groups:
        return None
    context = {
        "groups": groups,
        "several": material.several,
        "confidence": material.experiment.ablation.confidence,
    }
    return Section("Where it holds", "sections/where.html.jinja", context)


def _group(group: Group) -> Where:
    found = _by_feature(group.where)
    ranked = sorted(found.keys() - {STATED_STD}, key=lambda name: (-_distance(found[name]), name))
    shown = [STATED_STD, *ranked[:MOST_FEATURES]]
    variants = list(found[STATED_STD][COVERAGE])
    anchor = f"{group.anchor}-where"
    return Where(
        group.dataset,
        _summary({name: found[name][COVERAGE] for name in (STATED_STD, *ranked)}, variants),
        tuple(legend(variants, name=f"{anchor}-key")),
        tuple(p for i, name in enumerate(shown) for p in _pictures(name, found[name], f"{anchor}-{i}")),
        tuple(_numbers(name, metric, found[name][metric]) for name in shown for metric in TITLES),
    )


def _by_feature(rows: Sequence[Row]) -> dict[str, Metrics]:
    found: dict[str, dict[str, dict[str, list[Row]]]] = {}
    for row in sorted(rows, key=lambda row: row["bin"]):
        curves = found.setdefault(row["feature"], {}).setdefault(row["metric"], {})
        curves.setdefault(row["variant"], []).append(row)
    return {feature: dict(metrics) for feature, metrics in found.items()}


def _called(feature: str) -> str:
    return "stated std" if feature == STATED_STD else feature


def _outside(row: Row) -> float:
    """How far a value lies outside its band; 0 inside."""
    return max(row["chance_low"] - row["mean"], row["mean"] - row["chance_high"], 0.0)


def _distance(metrics: Metrics) -> float:
    """The largest distance of a variant's coverage from its band."""
    return max(_outside(row) for rows in metrics[COVERAGE].values() for row in rows)


def _pictures(feature: str, metrics: Metrics, name: str) -> Iterator[Picture]:
    key = _called(feature)
    svg = coverage_in_bins(metrics[COVERAGE], level=LEVEL, key=key, name=f"{name}-coverage")
    yield Picture(svg, f"Coverage of {100 * LEVEL:g} % intervals by {key}.")
    svg = errors_in_bins(metrics["rmse"], metrics["std"], key=key, name=f"{name}-error")
    yield Picture(svg, f"Error and stated std (thin) by {key}.")


def _summary(coverages: dict[str, Curves], variants: Sequence[str]) -> Table:
    """A line for each feature: how many of a variant's bins are outside of their bands, and the furthest of them."""

    def entry(rows: Sequence[Row]) -> Entry:
        outside = [row for row in rows if _outside(row)]
        text = f"{len(outside)} of {len(rows)}"
        if not outside:
            return Entry(text)
        worst = max(outside, key=_outside)
        return Entry(text, f"{worst['mean']:.3f} in {_range(worst)}", chance=wording.chance(worst))

    body = tuple(
        (Entry(_called(name)), *(entry(curves[variant]) for variant in variants))
        for name, curves in coverages.items()
    )
    headings = (Entry("bins of"), *map(Entry, variants))
    return Table(f"Bins whose {TITLES[COVERAGE].lower()} is outside of its band", headings, body)


def _range(row: Row) -> str:
    if row["low"] == row["high"]:
        return digits.significant(row["low"])
    return digits.span(row["low"], row["high"])


def _numbers(feature: str, metric: str, curves: Curves) -> Table:
    """Bins by variants: the mean of one metric, and where chance puts it."""
    bins: dict[int, dict[str, Row]] = {}
    for variant, rows in curves.items():
        for row in rows:
            bins.setdefault(row["bin"], {})[variant] = row
    own = feature == STATED_STD and len(curves) > 1
    body = []
    for index, of in sorted(bins.items()):
        first = next(iter(of.values()))
        heading = Entry(f"{index + 1}") if own else Entry(_range(first), f"{first['n']:,} rows")
        shown = (of.get(variant) for variant in curves)
        body.append((heading, *(Entry("—") if row is None else _value(row) for row in shown)))
    headings = (Entry(f"bins of {_called(feature)}"), *map(Entry, curves))
    return Table(f"{TITLES[metric]} by {_called(feature)}", headings, tuple(body))


def _value(row: Row) -> Entry:
    return Entry(digits.significant(row["mean"], digits=3), chance=wording.chance(row))
