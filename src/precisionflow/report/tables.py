"""The tables of the report: what stands in them, for the page and for the terminal."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precisionflow.ablation.aggregate import by_dataset, by_name, contrasted, read_aggregate, unit_of
from precisionflow.ablation.design import Variant
from precisionflow.config import Experiment
from precisionflow.records.cards import ModelCard
from precisionflow.records.metrics import Metric, metric_named
from precisionflow.report import wording
from precisionflow.report.wording import Row

if TYPE_CHECKING:
    from rich.console import Console

LOSS_BAR, TIME_BAR = 1.02, 3.0
"""What predictive coding may cost over its backprop twin: validation loss and seconds a step, as ratios."""


@dataclass(frozen=True)
class Entry:
    """One cell: text, a note under or beside it, a kind that the style sheet knows."""

    text: str
    note: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """Columns by their headings; the first entry of a row is the row's heading."""

    caption: str
    columns: tuple[Entry, ...]
    rows: tuple[tuple[Entry, ...], ...]


def score_table(
    rows: Sequence[Row],
    metrics: Sequence[str],
    *,
    caption: str,
    best: Mapping[str, str],
    chance: Mapping[str, tuple[float, float]] | None = None,
) -> Table:
    """Variants by metrics: mean ± half the interval; `best` is metric -> the variant to mark.

    A last line says where chance puts a calibrated model, for the metrics of `chance`.
    """
    where = {(row["variant"], row["metric"]): row for row in rows}
    catalogue = [metric_named(name) for name in metrics]
    body = []
    for variant in dict.fromkeys(row["variant"] for row in rows):
        entries = [Entry(variant)]
        for name in metrics:
            marked = best.get(name) == variant
            text = wording.plus_minus(where[variant, name])
            entries.append(Entry(text, "best" if marked else "", "best" if marked else ""))
        body.append((*entries, Entry(str(where[variant, metrics[0]]["n"]))))
    if chance and any(name in chance for name in metrics):
        body.append(
            (Entry("calibrated", "by chance"), *(_band(chance.get(name)) for name in metrics), Entry(""))
        )
    headings = (Entry("variant"), *(Entry(m.name, _note(m)) for m in catalogue), Entry("n"))
    return Table(caption, headings, tuple(body))


def _band(ends: tuple[float, float] | None) -> Entry:
    if ends is None:
        return Entry("")
    places = wording.decimals(ends[1] - ends[0], ends[1])
    return Entry(" to ".join(wording.number(end, decimals=places) for end in ends), kind="chance")


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
            words = (before, wording.plus_minus(where[variant, before]), wording.plus_minus(row))
            body.append((Entry(variant), Entry(method.replace("_", " ")), *map(Entry, words)))
    body.sort(key=lambda entries: (entries[0].text, entries[1].text))
    headings = ("variant", "recalibration", "metric", "before", "after")
    return Table(caption, tuple(map(Entry, headings)), tuple(body)) if body else None


def contrast_table(rows: Sequence[Row], variants: Mapping[str, Variant], *, caption: str) -> Table:
    """One line for each contrast and metric."""
    body = [
        (
            Entry(wording.comparison(row, variants[row["variant"]].levels)),
            Entry(wording.quantity(metric_named(row["metric"]))),
            Entry(wording.effect(row)),
            Entry(wording.probability(row["p"])),
            Entry(wording.probability(row["p_adjusted"])),
            Entry(str(row["n"])),
            Entry(row["verdict"], kind=wording.verdict_kind(row["verdict"])),
        )
        for row in rows
    ]
    headings = ("contrast", "metric", "effect", "p", "p (Holm)", "n", "verdict")
    return Table(caption, tuple(Entry(text) for text in headings), tuple(body))


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


def cost_table(cards: Mapping[str, Sequence[ModelCard]], *, caption: str) -> Table:
    """What training took, by variant."""
    body = []
    for variant, runs in cards.items():
        steps = sorted(card.steps for card in runs)
        loss = statistics.fmean(card.validation_loss for card in runs)
        spread = max(card.validation_loss for card in runs) - min(card.validation_loss for card in runs)
        body.append(
            (
                Entry(variant),
                Entry(wording.number(loss, decimals=wording.decimals(spread, loss))),
                Entry(milliseconds(step_seconds(runs))),
                Entry(str(steps[0]) if steps[0] == steps[-1] else f"{steps[0]} to {steps[-1]}"),
                Entry(f"{runs[0].parameters:,}".replace(",", "\u202f")),
                Entry(str(len(runs))),
            )
        )
    headings = (
        Entry("variant"),
        Entry("validation loss", "nats, mean"),
        Entry("time per step", "ms, median"),
        Entry("steps"),
        Entry("parameters"),
        Entry("runs"),
    )
    return Table(caption, headings, tuple(body))


def twin_table(variants: Sequence[Variant], cards: Mapping[str, Sequence[ModelCard]]) -> Table | None:
    """Predictive coding over backprop, other axes equal; none for experiments that do not vary `learning` so."""
    body = []
    for variant in variants:
        if variant.levels.get("learning") != "predictive_coding":
            continue
        wanted = variant.levels | {"learning": "backprop"}
        twins = [v.name for v in variants if v.levels == wanted]
        if not twins:
            continue
        settings = ", ".join(f"{a}={level}" for a, level in variant.levels.items() if a != "learning")
        ours, theirs = cards[variant.name], cards[twins[0]]
        loss = _ratio(*(statistics.fmean(c.validation_loss for c in runs) for runs in (ours, theirs)))
        seconds = _ratio(step_seconds(ours), step_seconds(theirs))
        loss_entries = _held(loss, LOSS_BAR, decimals=4)
        body.append((Entry(settings or "all"), *loss_entries, *_held(seconds, TIME_BAR, decimals=2)))
    headings = (
        Entry("setting"),
        Entry("validation loss ratio"),
        Entry(f"at most {LOSS_BAR:g}?"),
        Entry("step time ratio"),
        Entry(f"at most {TIME_BAR:g}?"),
    )
    return Table("Predictive coding over its backprop twin", headings, tuple(body)) if body else None


def step_seconds(runs: Sequence[ModelCard]) -> float:
    """Median over the runs of a variant."""
    return statistics.median(card.seconds_per_step for card in runs)


def milliseconds(seconds: float) -> str:
    """Three digits."""
    places = max(0, 2 - math.floor(math.log10(seconds * 1000))) if seconds > 0 else 0
    return wording.number(seconds * 1000, decimals=min(places, 4))


def _ratio(ours: float, theirs: float) -> float:
    """NaN where the denominator is not positive: a ratio of such losses says nothing."""
    return ours / theirs if theirs > 0 else math.nan


def _held(ratio: float, bar: float, *, decimals: int) -> tuple[Entry, Entry]:
    if math.isnan(ratio):
        return Entry("—"), Entry("no ratio", "the twin's loss is not positive")
    held = ratio <= bar
    return Entry(wording.number(ratio, decimals=decimals)), Entry(
        "holds" if held else "does not hold", kind="better" if held else "worse"
    )


def _note(metric: Metric) -> str:
    unit = {"1": "", "target": "target's units, "}.get(metric.unit, f"{metric.unit}, ")
    return unit + wording.direction(metric)


def terminal_tables(experiments: Sequence[Experiment], aggregate: Path) -> list[Any]:
    """rich tables: for each experiment and dataset the contrasted metrics by variant, then the contrasts."""
    tables = read_aggregate(aggregate)
    shown = []
    for experiment in by_name(experiments):
        metrics = [m.name for m in contrasted(experiment)]
        for dataset, variants in by_dataset(experiment).items():
            rows = select(tables.table.to_pylist(), experiment, dataset)
            contrasts = select(tables.contrasts.to_pylist(), experiment, dataset)
            caption = f"{experiment.name} on {dataset}: mean ± half of the {interval_name(experiment)}"
            caption += f", n {unit_of(experiment)}s"
            names = [v.name for v in variants]
            best = {m: name for m in metrics if (name := proven_best(contrasts, names, m))}
            shown.append(_rich(score_table(rows, metrics, caption=caption, best=best)))
            if contrasts:
                by_variant = {v.name: v for v in variants}
                caption = f"{experiment.name} on {dataset}: {wording.tally(contrasts)}"
                table = contrast_table(contrasts, by_variant, caption=caption)
                shown.append(_rich(_without(table, ("p", "p (Holm)"))))
    return shown


def print_tables(experiments: Sequence[Experiment], aggregate: Path, console: "Console") -> None:
    """Show the tables of an aggregate folder at the end of a run."""
    for table in terminal_tables(experiments, aggregate):
        console.print()
        console.print(table)


def select(rows: Sequence[Row], experiment: Experiment, dataset: str) -> list[Row]:
    """The rows of one experiment on one dataset."""
    return [row for row in rows if row["experiment"] == experiment.name and row["dataset"] == dataset]


def interval_name(experiment: Experiment) -> str:
    """ "95 % interval"."""
    return f"{100 * experiment.ablation.confidence:g} % interval"


def _without(table: Table, headings: Sequence[str]) -> Table:
    """Fewer columns, for a terminal of 80 characters."""
    kept = [index for index, heading in enumerate(table.columns) if heading.text not in headings]
    rows = tuple(tuple(row[index] for index in kept) for row in table.rows)
    return Table(table.caption, tuple(table.columns[index] for index in kept), rows)


_NAME_WIDTH = 18
"""Of the first column, so that common names are not broken."""


def _rich(table: Table) -> Any:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    styles = {"better": "green", "worse": "red", "best": "bold", "too-few": "dim"}
    made = RichTable(
        title=table.caption, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for index, heading in enumerate(table.columns):
        text = Text(heading.text if not heading.note else f"{heading.text}\n{heading.note}")
        outer = index in (0, len(table.columns) - 1)
        made.add_column(
            text,
            justify="left" if outer else "right",
            no_wrap=not outer and not heading.note,
            overflow="fold",
            min_width=_NAME_WIDTH if index == 0 else None,
        )
    for row in table.rows:
        made.add_row(*(Text(f"{e.text} {e.note}".strip(), style=styles.get(e.kind, "")) for e in row))
    return made
