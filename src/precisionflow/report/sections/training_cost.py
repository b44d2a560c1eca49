"""Training cost: steps, time and loss of every variant, and predictive coding over its backprop twin."""

import math
import statistics
from collections.abc import Mapping, Sequence

from precisionflow.ablation.design import Variant
from precisionflow.records.cards import ModelCard
from precisionflow.report.digits import grouped, significant
from precisionflow.report.material import Material
from precisionflow.report.remarks import remarks
from precisionflow.report.section import Section
from precisionflow.report.tables import Entry, Table

LOSS_BAR, TIME_BAR = 1.02, 3.0
"""What predictive coding may cost over its backprop twin: validation loss and seconds a step, as ratios."""


def section(material: Material) -> Section:
    """The cost table of every data set, and the twins where there are any."""
    tables, said = [], []
    for group in material.groups:
        where = f"{group.dataset}, " if material.several else ""
        said += [where + remark for remark in remarks(group.cards)]
        tables.append(cost_table(group.cards, caption=f"Training cost on {group.dataset}"))
        if twins := twin_table(group.variants, group.cards):
            tables.append(twins)
    return Section("Training cost", "sections/training_cost.html.jinja", {"tables": tables, "remarks": said})


def cost_table(cards: Mapping[str, Sequence[ModelCard]], *, caption: str) -> Table:
    """What training took, by variant."""
    body = []
    for variant, runs in cards.items():
        steps = sorted(card.steps for card in runs)
        losses = [card.validation_loss for card in runs if card.validation_loss is not None]
        shown = significant(mean_loss(runs), spread=max(losses) - min(losses)) if losses else "—"
        parameters = runs[0].parameters
        body.append(
            (
                Entry(variant),
                Entry(shown),
                Entry(milliseconds(step_seconds(runs)) if steps[-1] else "—"),
                Entry(str(steps[0]) if steps[0] == steps[-1] else f"{steps[0]} to {steps[-1]}"),
                Entry("—" if parameters is None else grouped(parameters)),
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
        loss = _ratio(*(mean_loss(runs) for runs in (ours, theirs)))
        seconds = _ratio(step_seconds(ours), step_seconds(theirs))
        loss_entries = _held(loss, LOSS_BAR, digits=5)
        body.append((Entry(settings or "all"), *loss_entries, *_held(seconds, TIME_BAR, digits=3)))
    headings = (
        Entry("setting"),
        Entry("validation loss ratio"),
        Entry(f"at most {LOSS_BAR:g}?"),
        Entry("step time ratio"),
        Entry(f"at most {TIME_BAR:g}?"),
    )
    return Table("Predictive coding over its backprop twin", headings, tuple(body)) if body else None


def mean_loss(runs: Sequence[ModelCard]) -> float:
    """Mean validation loss of a variant; NaN where its runs have none."""
    losses = [card.validation_loss for card in runs if card.validation_loss is not None]
    return statistics.fmean(losses) if losses else math.nan


def step_seconds(runs: Sequence[ModelCard]) -> float:
    """Median over the runs of a variant."""
    return statistics.median(card.seconds_per_step for card in runs)


def milliseconds(seconds: float) -> str:
    """Three digits."""
    return significant(seconds * 1000, digits=3)


def _ratio(ours: float, theirs: float) -> float:
    """NaN where the denominator is not positive: a ratio of such losses says nothing."""
    return ours / theirs if theirs > 0 else math.nan


def _held(ratio: float, bar: float, *, digits: int) -> tuple[Entry, Entry]:
    if math.isnan(ratio):
        return Entry("—"), Entry("no ratio", "the twin's loss is not positive")
    held = ratio <= bar
    return Entry(significant(ratio, digits=digits)), Entry(
        "holds" if held else "does not hold", kind="better" if held else "worse"
    )
