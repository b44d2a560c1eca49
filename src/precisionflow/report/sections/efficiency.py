"""Effects by cost: what a contrast gains for each parameter and second of training that it adds."""

import math
import statistics as means
from collections.abc import Iterator, Sequence

from precisionflow.ablation.statistics import Interval, mean_interval
from precisionflow.records.cards import ModelCard
from precisionflow.records.metrics import metric_named
from precisionflow.report import digits, wording
from precisionflow.report.material import Group, Material
from precisionflow.report.section import Section
from precisionflow.report.tables import Entry, Table
from precisionflow.report.wording import Row

PARAMETERS_ALIKE, SECONDS_ALIKE = 0.01, 0.05
"""Shares of the baseline's parameters and seconds, within which a variant, or the interval of its seconds, is alike."""
PARAMETERS = 1000
"""Parameters that an effect is stated for."""


def section(material: Material) -> Section | None:
    """A table for each data set with contrasts of networks; none where no two are contrasted."""
    tables = [table for group in material.groups if (table := _table(group)) is not None]
    context = {"tables": tables, "interval": wording.interval_name(material.experiment.ablation.confidence)}
    return Section("Effects by cost", "sections/efficiency.html.jinja", context) if tables else None


def _table(group: Group) -> Table | None:
    body = tuple(_rows(group))
    headings = (
        Entry("contrast"),
        Entry("metric"),
        Entry("effect"),
        Entry("parameters", "baseline → variant"),
        Entry(f"effect per {digits.grouped(PARAMETERS)} parameters"),
        Entry("training", "s a run, baseline → variant"),
        Entry("effect per second"),
        Entry("matched in"),
    )
    return Table(f"Effects by cost on {group.dataset}", headings, body) if body else None


def _rows(group: Group) -> Iterator[tuple[Entry, ...]]:
    for row in group.contrasts:
        names = (row["baseline_variant"], row["variant"])
        if math.isnan(row["effect"]) or not all(name in group.cards for name in names):
            continue
        before, after = (group.cards[name] for name in names)
        theirs, ours = before[0].parameters, after[0].parameters
        if theirs is None or ours is None:
            continue
        added = ours - theirs
        longer = seconds_added(before, after, confidence=group.experiment.ablation.confidence)
        shown = longer.low > 0 or longer.high < 0
        yield (
            Entry(wording.comparison(row, group.levels)),
            Entry(wording.quantity(metric_named(row["metric"]))),
            Entry(wording.effect(row)),
            Entry(f"{digits.grouped(theirs)} → {digits.grouped(ours)}"),
            Entry(per_unit(row, added / PARAMETERS) if added else "—", "" if added else "none added"),
            Entry(" → ".join(digits.significant(_mean_seconds(of), digits=3) for of in (before, after))),
            Entry(per_unit(row, longer.mean) if shown else "—", "" if shown else "no difference shown"),
            _matched(row, group, alike=_alike(theirs, ours), longer=longer, seconds=_mean_seconds(before)),
        )


def _alike(theirs: int, ours: int) -> bool:
    """Whether parameters differ by 1 % of the baseline's at most; none and none are alike."""
    return abs(ours - theirs) <= PARAMETERS_ALIKE * theirs


def _matched(row: Row, group: Group, *, alike: bool, longer: Interval, seconds: float) -> Entry:
    """In what a variant and its baseline are alike, and in what they should be by `ablation.matched` and are not."""
    ablation = group.experiment.ablation
    tuned = ablation.tuned is not None and set(row["axis"].split("+")) <= set(ablation.tuned.axes)
    found = {
        "parameters": alike,
        "seconds": max(-longer.low, longer.high) <= SECONDS_ALIKE * seconds,
        "tuning": tuned,
    }
    lacking = [name for name in ablation.matched if not found[name]]
    text = ", ".join(name for name, holds in found.items() if holds) or "—"
    return Entry(text, f"not in {', '.join(lacking)}" if lacking else "")


def per_unit(row: Row, cost: float) -> str:
    """The effect and its interval, divided by what was added; the cost counts as known."""
    low, high = sorted((row["low"] / cost, row["high"] / cost))
    return digits.with_interval(row["effect"] / cost, low, high)


def seconds_added(before: Sequence[ModelCard], after: Sequence[ModelCard], *, confidence: float) -> Interval:
    """Mean of (seconds of a run of one variant - of the other), paired over seeds and splits; t interval."""
    theirs = {(card.seed, card.split): seconds(card) for card in before}
    pairs = [(seconds(card), theirs.get((card.seed, card.split))) for card in after]
    return mean_interval([a - b for a, b in pairs if b is not None], confidence=confidence)


def seconds(card: ModelCard) -> float:
    """Optimiser steps times the median time of one: without validation, checkpoints and start."""
    return card.steps * card.seconds_per_step


def _mean_seconds(cards: Sequence[ModelCard]) -> float:
    return means.fmean(map(seconds, cards))
