"""The tables of scores and contrasts, for the page and for the terminal."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from precisionflow.ablation.ranks import alike
from precisionflow.config import Experiment
from precisionflow.records.metrics import Metric, metric_named
from precisionflow.report import digits, grouping, wording
from precisionflow.report.wording import Row


@dataclass(frozen=True)
class Entry:
    """One cell: text, a note under or beside it, a kind that the style sheet knows, where chance puts the value."""

    text: str
    note: str = ""
    kind: str = ""
    chance: str = ""


@dataclass(frozen=True)
class Table:
    """Columns by their headings; the first entry of a row is the row's heading."""

    caption: str
    columns: tuple[Entry, ...]
    rows: tuple[tuple[Entry, ...], ...]


def select(rows: Sequence[Row], experiment: Experiment, dataset: str) -> list[Row]:
    """The rows of one experiment on one data set."""
    return [row for row in rows if row["experiment"] == experiment.name and row["dataset"] == dataset]


def metric_names(rows: Sequence[Row]) -> list[str]:
    """Names of the metrics in the order of the rows, without those of recalibrated predictions."""
    return [name for name in dict.fromkeys(row["metric"] for row in rows) if "_after_" not in name]


def score_table(
    rows: Sequence[Row],
    metrics: Sequence[str],
    *,
    caption: str,
    best: Mapping[str, str],
) -> Table:
    """Variants by metrics: mean ± half the interval; `best` is metric -> the variant to mark.

    A metric that a variant has not is a dash. Where chance puts a calibrated model stands in a last line if all
    variants share it, else under each value.
    """
    where = {(row["variant"], row["metric"]): row for row in rows}
    variants = list(dict.fromkeys(row["variant"] for row in rows))
    catalogue = [metric_named(name) for name in metrics]
    bands = {
        name: {v: wording.chance(where[v, name]) for v in variants if (v, name) in where} for name in metrics
    }
    shared = {name: next(iter(of.values())) for name, of in bands.items() if len(set(of.values())) == 1}
    body = []
    for variant in variants:
        entries = [Entry(variant)]
        for name in metrics:
            if (variant, name) not in where:
                entries.append(Entry("—"))
                continue
            mark = "best" if best.get(name) == variant else ""
            own = "" if name in shared else bands[name][variant]
            entries.append(Entry(wording.plus_minus(where[variant, name]), mark, mark, own))
        units = next((str(where[variant, name]["n"]) for name in metrics if (variant, name) in where), "—")
        body.append((*entries, Entry(units)))
    if any(shared.values()):
        of_all = (Entry(shared.get(name, ""), kind="chance") for name in metrics)
        body.append((Entry("calibrated", "by chance"), *of_all, Entry("")))
    headings = (Entry("variant"), *(Entry(m.name, _note(m)) for m in catalogue), Entry("n"))
    return Table(caption, headings, tuple(body))


def _note(metric: Metric) -> str:
    unit = {"1": "", "target": "target's units, "}.get(metric.unit, f"{metric.unit}, ")
    return unit + wording.direction(metric)


def recalibration_table(rows: Sequence[Row], *, caption: str) -> Table | None:
    """The proper scores, ece, and coverage and width of the highest level, before and after each method.

    None without a method.
    """
    where = {(row["variant"], row["metric"]): row for row in rows}
    levels = [
        name.removeprefix("width_")
        for _, name in where
        if name.startswith("width_") and "_after_" not in name
    ]
    highest = max(levels, key=float, default="")
    compared = ("nll", "crps", "brier", "ece", f"coverage_{highest}", f"width_{highest}")
    body = []
    for (variant, name), row in where.items():
        before, after, method = name.partition("_after_")
        if after and before in compared:
            values = (
                Entry(wording.plus_minus(of), chance=wording.chance(of))
                for of in (where[variant, before], row)
            )
            body.append((Entry(variant), Entry(method.replace("_", " ")), Entry(before), *values))
    body.sort(key=lambda entries: (entries[0].text, entries[1].text))
    headings = ("variant", "recalibration", "metric", "before", "after")
    return Table(caption, tuple(map(Entry, headings)), tuple(body)) if body else None


def contrast_table(rows: Sequence[Row], levels: wording.Levels, *, caption: str) -> Table:
    """One line for each contrast and metric; margins and their p where any metric has one."""
    margins = any(not math.isnan(row["margin"]) for row in rows)
    headings = (
        Entry("contrast"),
        Entry("metric"),
        Entry("effect"),
        Entry("margin"),
        Entry("p", "after Holm, alone"),
        Entry("p equivalent", "after Holm, alone"),
        Entry("n"),
        Entry("verdict"),
    )
    body = []
    for row in rows:
        shown = (
            Entry(wording.comparison(row, levels)),
            Entry(wording.compared(row)),
            Entry(wording.effect(row)),
            Entry(wording.margin(row)),
            _p(row["p_adjusted"], row["p"]),
            _p(row["equivalence_adjusted"], row["equivalence"]),
            Entry(str(row["n"])),
            Entry(row["verdict"], wording.deciding(row), kind=wording.verdict_kind(row["verdict"])),
        )
        body.append(shown)
    table = Table(caption, headings, tuple(body))
    return table if margins else without(table, ("margin", "p equivalent"))


def across_table(rows: Sequence[Row], levels: wording.Levels, *, caption: str) -> Table:
    """The contrasts over data sets, the std of their effects between sets, and how likely a run is the better one."""
    table = contrast_table(rows, levels, caption=caption)
    more = (Entry("between sets", "std"), Entry("P(better)", "of a run"))
    body = tuple(
        (*line[:3], Entry(digits.significant(row["between"], digits=2)), Entry(_likely(row)), *line[3:])
        for line, row in zip(table.rows, rows, strict=True)
    )
    return Table(table.caption, (*table.columns[:3], *more, *table.columns[3:]), body)


def _likely(row: Row) -> str:
    value, low, high = (row[f"improvement{end}"] for end in ("", "_low", "_high"))
    if math.isnan(low) or low == high:
        return "—" if math.isnan(value) else f"{value:.2f}{'' if math.isnan(low) else f' {digits.ALL_EQUAL}'}"
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def unassumed_table(rows: Sequence[Row], levels: wording.Levels, *, caption: str) -> Table | None:
    """The interval of each effect by Student's t and by bootstrap, and its p by flips of signs where there is one.

    None where one unit leaves no interval.
    """
    kinds = {"": "Student's t", "percentile_": "percentile bootstrap", "bca_": "BCa bootstrap"}
    flipped = any(not math.isnan(row.get("sign_flip", math.nan)) for row in rows)
    body = []
    for row in rows:
        if not math.isnan(row["low"]):
            shown = (
                digits.with_interval(row["effect"], row[f"{kind}low"], row[f"{kind}high"]) for kind in kinds
            )
            about = (wording.comparison(row, levels), wording.compared(row))
            flips = [_p(row["sign_flip_adjusted"], row["sign_flip"])] if flipped else []
            body.append((*map(Entry, (*about, *shown)), *flips))
    headings = [Entry(name) for name in ("contrast", "metric", *kinds.values())]
    headings += [Entry("p by sign flips", "after Holm, alone")] if flipped else []
    return Table(caption, tuple(headings), tuple(body)) if body else None


def rank_table(rows: Sequence[Row], *, caption: str, confidence: float) -> Table:
    """Variants by metrics: mean rank, with the letters of its groups; by their ranks in the first metric."""
    by_metric = grouping.by(rows, "metric")
    letters = {name: rank_groups(of, confidence=confidence) for name, of in by_metric.items()}
    where = {(row["variant"], row["metric"]): f"{row['mean_rank']:.2f}" for row in rows}
    ordered = sorted(next(iter(by_metric.values())), key=lambda row: row["mean_rank"])
    body = [
        (
            Entry(row["variant"]),
            *(
                Entry(where[row["variant"], name], ", ".join(letters[name][row["variant"]]))
                for name in by_metric
            ),
        )
        for row in ordered
    ]
    headings = (Entry("variant"), *(Entry(name, "groups alike") for name in by_metric))
    return Table(caption, headings, tuple(body))


def rank_groups(rows: Sequence[Row], *, confidence: float) -> dict[str, list[str]]:
    """Variant -> letters of the groups in which no two are shown to rank differently.

    One group of all where Friedman's test shows nothing.
    """
    shown = rows[0]["p"] <= 1 - confidence
    groups = alike(
        [row["mean_rank"] for row in rows], difference=rows[0]["critical_difference"] if shown else math.inf
    )
    found: dict[str, list[str]] = {row["variant"]: [] for row in rows}
    for letter, group in zip(ascii_lowercase, groups, strict=False):
        for index in group:
            found[rows[index]["variant"]].append(letter)
    return found


def failure_table(rows: Sequence[Row], experiment: Experiment, dataset: str) -> Table:
    """One line for each failed cell, and how the statistics take it."""
    rule = {
        "refuse": "nothing is said of a variant with one",
        "drop_pair": "their units are left out of contrasts",
        "worst_rank": "their units count as the worst in contrasts",
    }[experiment.ablation.missing]
    headings = ("variant", "seed", "split", "stage", "cause")
    body = [tuple(Entry(str(row[name])) for name in headings) for row in rows]
    caption = f"{experiment.name} on {dataset}: {wording.count(len(rows), 'failed cell')}; {rule}"
    return Table(caption, tuple(map(Entry, headings)), tuple(body))


def _p(adjusted: float, alone: float) -> Entry:
    return Entry(wording.probability(adjusted), "" if math.isnan(alone) else wording.probability(alone))


def without(table: Table, headings: Collection[str]) -> Table:
    """The table with fewer columns."""
    kept = [index for index, heading in enumerate(table.columns) if heading.text not in headings]
    rows = tuple(tuple(row[index] for index in kept) for row in table.rows)
    return Table(table.caption, tuple(table.columns[index] for index in kept), rows)


def proven_bests(contrasts: Sequence[Row], variants: Sequence[str], metrics: Sequence[str]) -> dict[str, str]:
    """Metric -> its `proven_best`, for the metrics that have one."""
    return {metric: best for metric in metrics if (best := proven_best(contrasts, variants, metric))}


def proven_best(contrasts: Sequence[Row], variants: Sequence[str], metric: str) -> str | None:
    """The variant that is shown to beat every other one, directly or through others; none where none is."""
    beats: dict[str, set[str]] = {name: set() for name in variants}
    for row in contrasts:
        if row["metric"] == metric and row["verdict"] in ("better", "worse"):
            winner, loser = row["variant"], row["baseline_variant"]
            if row["verdict"] == "worse":
                winner, loser = loser, winner
            beats[winner].add(loser)
    for name in variants:
        reached, front = {name}, [name]
        while front:
            front = [worse for better in front for worse in beats[better] - reached]
            reached.update(front)
        if len(variants) > 1 and reached == set(variants):
            return name
    return None
