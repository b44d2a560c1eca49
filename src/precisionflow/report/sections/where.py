"""Where it holds: scores in bins of what a model states and of each feature, of numbers and of classes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from precisionflow.config.evaluation import SetRecalibration
from precisionflow.evaluation.where import COVERAGE, LEVEL
from precisionflow.evaluation.where_classes import coverage_name, size_name
from precisionflow.records.schemas import SURENESS
from precisionflow.report import digits, wording
from precisionflow.report.figures.where import (
    Curves,
    accuracies_in_bins,
    coverage_in_bins,
    errors_in_bins,
)
from precisionflow.report.material import Group, Material
from precisionflow.report.pictures import Key, Picture, legend
from precisionflow.report.section import Section
from precisionflow.report.tables import Entry, Table
from precisionflow.report.wording import Row

MOST_FEATURES = 2
"""Features with figures, those by which the first metric that is judged is furthest from its band."""
SETS = {
    coverage_name(method): f"Coverage of 95 % sets by {method.upper()}"
    for method in get_args(SetRecalibration)
}
SIZES = {
    size_name(method): f"Classes in a 95 % set by {method.upper()}" for method in get_args(SetRecalibration)
}
TITLES = {
    COVERAGE: "Coverage of 95 % intervals",
    "rmse": "Root mean squared error",
    "std": "Stated std",
    "accuracy": "Accuracy",
    "confidence": "Mean confidence",
    **SETS,
    **SIZES,
    "nll": "Negative log-likelihood in nats",
}
"""Metrics of the tables, in their order."""
JUDGED = (COVERAGE, "accuracy", *SETS)
"""Metrics whose bins outside of their bands are counted; features are ranked by the first that is measured."""

Metrics = Mapping[str, Curves]
"""Metric -> variant -> its rows by bin, of one feature."""


@dataclass(frozen=True)
class Where:
    """Figures and tables on one data set."""

    dataset: str
    summaries: tuple[Table, ...]
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
    own = found[SURENESS]
    judged = [metric for metric in JUDGED if metric in own]
    stated = "stated std" if COVERAGE in own else "confidence"
    names = {feature: feature or stated for feature in found}
    ranked = sorted(
        found.keys() - {SURENESS}, key=lambda feature: (-_distance(found[feature][judged[0]]), feature)
    )
    shown = [SURENESS, *ranked[:MOST_FEATURES]]
    variants = list(own[judged[0]])
    anchor = f"{group.anchor}-where"
    return Where(
        group.dataset,
        tuple(
            _summary(metric, [(names[f], found[f][metric]) for f in (SURENESS, *ranked)], variants)
            for metric in judged
        ),
        tuple(legend(variants, name=f"{anchor}-key")),
        tuple(
            p
            for i, f in enumerate(shown)
            for p in _pictures(names[f], _of_all(found[f], variants), f"{anchor}-{i}")
        ),
        tuple(
            _numbers(names[f], metric, found[f][metric], own=f == SURENESS)
            for f in shown
            for metric in TITLES
            if metric in found[f]
        ),
    )


def _by_feature(rows: Sequence[Row]) -> dict[str, Metrics]:
    found: dict[str, dict[str, dict[str, list[Row]]]] = {}
    for row in sorted(rows, key=lambda row: row["bin"]):
        curves = found.setdefault(row["feature"], {}).setdefault(row["metric"], {})
        curves.setdefault(row["variant"], []).append(row)
    return {feature: dict(metrics) for feature, metrics in found.items()}


def _of_all(metrics: Metrics, variants: Sequence[str]) -> Metrics:
    """With every variant, in the order of the legend: one without the feature has no rows."""
    return {metric: {of: curves.get(of, ()) for of in variants} for metric, curves in metrics.items()}


def _outside(row: Row) -> float:
    """How far a value lies outside its band; 0 inside."""
    return max(row["chance_low"] - row["mean"], row["mean"] - row["chance_high"], 0.0)


def _distance(curves: Curves) -> float:
    """The largest distance of a variant's score from its band."""
    return max(_outside(row) for rows in curves.values() for row in rows)


def _pictures(key: str, metrics: Metrics, name: str) -> Iterator[Picture]:
    if COVERAGE in metrics:
        drawn = coverage_in_bins(
            metrics[COVERAGE], level=LEVEL, of="intervals", key=key, name=f"{name}-coverage"
        )
        yield Picture(drawn, f"Coverage of {100 * LEVEL:g} % intervals by {key}.")
        drawn = errors_in_bins(metrics["rmse"], metrics["std"], key=key, name=f"{name}-error")
        yield Picture(drawn, f"Error and stated std (thin) by {key}.")
        return
    drawn = accuracies_in_bins(metrics["accuracy"], metrics["confidence"], key=key, name=f"{name}-accuracy")
    yield Picture(drawn, f"Accuracy and mean confidence (thin) by {key}.")
    for place, (metric, title) in enumerate(SETS.items()):
        if metric in metrics:
            drawn = coverage_in_bins(
                metrics[metric], level=LEVEL, of="sets", key=key, name=f"{name}-sets-{place}"
            )
            yield Picture(drawn, f"{title}, by {key}.")


def _summary(metric: str, curves: Sequence[tuple[str, Curves]], variants: Sequence[str]) -> Table:
    """A line for each feature: how many of a variant's bins are outside of their bands, and the furthest of them."""

    def entry(rows: Sequence[Row]) -> Entry:
        if not rows:
            return Entry("—")
        outside = [row for row in rows if _outside(row)]
        text = f"{len(outside)} of {len(rows)}"
        if not outside:
            return Entry(text)
        worst = max(outside, key=_outside)
        return Entry(text, f"{worst['mean']:.3f} in {_range(worst)}", chance=wording.chance(worst))

    body = tuple((Entry(name), *(entry(of.get(variant, ())) for variant in variants)) for name, of in curves)
    title = TITLES[metric][0].lower() + TITLES[metric][1:]
    return Table(
        f"Bins whose {title} is outside of its band", (Entry("bins of"), *map(Entry, variants)), body
    )


def _range(row: Row) -> str:
    if row["label"]:
        return str(row["label"])
    if row["low"] == row["high"]:
        return digits.significant(row["low"])
    return digits.span(row["low"], row["high"])


def _numbers(key: str, metric: str, curves: Curves, *, own: bool) -> Table:
    """Bins by variants: the mean of one metric, and where chance puts it; each variant may have its `own` bins."""
    bins: dict[int, dict[str, Row]] = {}
    for variant, rows in curves.items():
        for row in rows:
            bins.setdefault(row["bin"], {})[variant] = row
    apart = own and len(curves) > 1
    body = []
    for index, of in sorted(bins.items()):
        first = next(iter(of.values()))
        heading = Entry(f"{index + 1}") if apart else Entry(_range(first), f"{first['n']:,} rows")
        shown = (of.get(variant) for variant in curves)
        body.append((heading, *(Entry("—") if row is None else _value(row) for row in shown)))
    headings = (Entry(f"bins of {key}"), *map(Entry, curves))
    return Table(f"{TITLES[metric]} by {key}", headings, tuple(body))


def _value(row: Row) -> Entry:
    return Entry(digits.significant(row["mean"], digits=3), chance=wording.chance(row))
