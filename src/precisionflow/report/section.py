"""One experiment on the page: its answer, tables and figures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup

from precisionflow import records
from precisionflow.ablation.aggregate import Aggregate, Cell, by_dataset, contrasted, unit_of
from precisionflow.ablation.gate import Judgement
from precisionflow.ablation.grid import Variant
from precisionflow.config import Experiment
from precisionflow.report import cells, figures, tables, uncertainty_figures, wording
from precisionflow.report.cells import Predictions, Trained
from precisionflow.report.svg import legend_sample
from precisionflow.report.wording import Row

CLASS_CALIBRATION = (
    "ece_equal_mass",
    "mce",
    "class_wise_ece",
    "brier_reliability",
    "brier_resolution",
    "brier_uncertainty",
    "aurc",
)
"""Metrics of a text that have a table of their own."""
MOST_FIGURES = 6
"""Variants that have figures of their own."""
CURVES = {
    "train_loss": "Loss on the training batches.",
    "validation_loss": "Loss on the validation part, which early stopping looks at.",
    "energy": "Energy a sample after settling, of the variants that learn by predictive coding.",
}
"""Metrics of history.parquet that are drawn, and what they are."""


@dataclass(frozen=True)
class Picture:
    """An SVG and the sentence under it."""

    svg: Markup
    caption: str


@dataclass(frozen=True)
class Finding:
    """One measured contrast in words, and its verdict."""

    text: str
    verdict: str
    kind: wording.VerdictKind


@dataclass(frozen=True)
class Answer:
    """All findings about one pair of variants, or the means where nothing is contrasted."""

    title: str
    findings: tuple[Finding, ...]


@dataclass
class Group:
    """Everything about one dataset."""

    dataset: str
    calibration_legend: list[tuple[Markup, str]] = field(default_factory=list)
    """Sample line and variant, where one figure shows several variants."""
    learning_legend: list[tuple[Markup, str]] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    tally: str = ""
    scores: tables.Table | None = None
    intervals: list[tables.Table] = field(default_factory=list)
    recalibrated: tables.Table | None = None
    contrasts: tables.Table | None = None
    forests: list[Picture] = field(default_factory=list)
    calibration: list[Picture] = field(default_factory=list)
    calibration_note: str = ""
    learning: list[Picture] = field(default_factory=list)
    cost: tables.Table | None = None
    twins: tables.Table | None = None


@dataclass(frozen=True)
class Section:
    """An experiment and its groups; `cards` are those of all its runs."""

    experiment: Experiment
    groups: tuple[Group, ...]
    gate: tuple[Judgement, ...]
    facts: tuple[str, ...]
    cards: tuple[records.ModelCard, ...]


def section(
    experiment: Experiment,
    *,
    trained: Mapping[Cell, Path],
    evaluated: Mapping[Cell, Path],
    results: Aggregate,
    gate: tuple[Judgement, ...],
    anchor: str,
) -> Section:
    """Read what the experiment's cells left and put it into words, tables and figures; ids start with `anchor`."""
    groups, cards = [], []
    for position, (dataset, variants) in enumerate(by_dataset(experiment).items()):
        rows = tables.select(results.table.to_pylist(), experiment, dataset)
        contrasts = tables.select(results.contrasts.to_pylist(), experiment, dataset)
        name = f"{anchor}-{position}"
        group = Group(dataset)
        group.learning_legend = _legend(variants, name=f"{name}-learning-key")
        _add_scores(group, experiment, variants, rows, contrasts)
        _add_contrasts(group, experiment, variants, contrasts, name=name)
        _add_calibration(group, experiment, variants, evaluated, name=name)
        runs = {
            v.name: [cells.read_trained(f) for f in cells.of_variant(trained, v, experiment)]
            for v in variants
        }
        group.learning = list(_learning(variants, runs, name=name))
        by_variant = {variant: [run.card for run in of] for variant, of in runs.items()}
        group.cost = tables.cost_table(by_variant, caption=f"Training cost on {dataset}")
        group.twins = tables.twin_table(variants, by_variant)
        groups.append(group)
        cards += [card for of in by_variant.values() for card in of]
    return Section(experiment, tuple(groups), gate, _facts(experiment), tuple(cards))


def _legend(variants: Sequence[Variant], *, name: str) -> list[tuple[Markup, str]]:
    return [(Markup(legend_sample(i, name=f"{name}-{i}")), v.name) for i, v in enumerate(variants)]


def _facts(experiment: Experiment) -> tuple[str, ...]:
    groups = by_dataset(experiment)
    variants = next(iter(groups.values()))
    unit = unit_of(experiment)
    n = len(experiment.splits if unit == "split" else experiment.seeds)
    return (
        ("dataset " if len(groups) == 1 else "datasets ") + ", ".join(groups),
        _count(len(variants), "variant"),
        f"{_count(len(experiment.seeds), 'seed')} × {_count(len(experiment.splits), 'split')}",
        f"n = {_count(n, unit)}",
        f"{tables.interval_name(experiment)}s",
    )


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("" if n == 1 else "s")


def _add_scores(
    group: Group, experiment: Experiment, variants: Sequence[Variant], rows: list[Row], contrasts: list[Row]
) -> None:
    every = list(dict.fromkeys(row["metric"] for row in rows))
    names = [name for name in every if "_after_" not in name]
    group.recalibrated = tables.recalibration_table(rows, caption=f"Before and after on {group.dataset}")
    best = {m: v for m in names if (v := tables.proven_best(contrasts, [v.name for v in variants], m))}
    wanted = [m.name for m in contrasted(experiment)]
    spreads = {
        family: [n for n in names if n.startswith(f"{family}_")]
        for family in ("coverage", "width", "interval_score")
    }
    finer = [name for name in CLASS_CALIBRATION if name in names]
    spread = [*finer, *(name for of in spreads.values() for name in of)]
    scores = [n for n in names if n in wanted or n not in spread]
    group.scores = tables.score_table(rows, scores, caption=f"Scores on {group.dataset}", best=best)
    for family, of in spreads.items():
        if of:
            measure = family.replace("_", " ").capitalize()
            caption = f"{measure} of central intervals on {group.dataset}, by level in per cent"
            group.intervals.append(tables.score_table(rows, of, caption=caption, best={}))
    if finer:
        caption = f"Calibration of all classes, and errors by confidence, on {group.dataset}"
        group.intervals.append(tables.score_table(rows, finer, caption=caption, best={}))
    if not contrasts:
        where = {row["variant"]: [r for r in rows if r["variant"] == row["variant"]] for row in rows}
        for variant, of in where.items():
            means = [f"{r['metric']} {wording.plus_minus(r)}" for r in of if r["metric"] in wanted]
            group.answers.append(Answer(f"{variant}: {', '.join(means)}", ()))


def _add_contrasts(
    group: Group, experiment: Experiment, variants: Sequence[Variant], contrasts: list[Row], *, name: str
) -> None:
    if not contrasts:
        return
    unit, levels = unit_of(experiment), {v.name: v for v in variants}
    group.tally = wording.tally(contrasts)
    group.contrasts = tables.contrast_table(contrasts, levels, caption=f"Contrasts on {group.dataset}")
    pairs: dict[tuple[str, str], list[Row]] = {}
    for row in contrasts:
        pairs.setdefault((row["variant"], row["baseline_variant"]), []).append(row)
    for (variant, _), of in pairs.items():
        found = [
            Finding(wording.finding(row, unit=unit), row["verdict"], wording.verdict_kind(row["verdict"]))
            for row in of
        ]
        group.answers.append(Answer(wording.comparison(of[0], levels[variant].levels), tuple(found)))
    for metric in contrasted(experiment):
        of = [row for row in contrasts if row["metric"] == metric.name]
        settings = [wording.setting(row, levels[row["variant"]].levels) for row in of]
        caption = f"Differences in {metric.title} on {group.dataset}."
        svg = figures.forest(of, settings, metric, name=f"{name}-forest-{len(group.forests)}")
        group.forests.append(Picture(Markup(svg), caption))


def _add_calibration(
    group: Group,
    experiment: Experiment,
    variants: Sequence[Variant],
    evaluated: Mapping[Cell, Path],
    *,
    name: str,
) -> None:
    kind = variants[0].experiment.task.kind
    pooled = {
        v.name: cells.read_predictions(cells.of_variant(evaluated, v, experiment), kind=kind)
        for v in variants
    }
    rows = min(p.rows for p in pooled.values())
    if kind == "regression":
        group.calibration_legend = _legend(variants, name=f"{name}-calibration-key")
        group.calibration = list(_regression_calibration(experiment, pooled, name=name))
        group.calibration_note = (
            f"Band for {rows:,} independent rows. A reliability curve above the diagonal: intervals too wide; "
            "below: too narrow. A PIT histogram is flat where the stated distribution is true, U-shaped where "
            "it is too narrow, hump-shaped where it is too wide."
        )
        if len(variants) > MOST_FIGURES:
            group.calibration_note += (
                f" Figures of single variants: the first {MOST_FIGURES} of {len(variants)}."
            )
    else:
        group.calibration = list(_language_calibration(experiment, variants, pooled, name=name))
        group.calibration_note = (
            f"Band for {rows:,} independent characters; neighbours depend on each other, so the true band is "
            "wider. Below the diagonal the most probable character is right less often than it is said to be: "
            "overconfident."
        )


def _regression_calibration(
    experiment: Experiment, pooled: Mapping[str, Predictions], *, name: str
) -> Iterator[Picture]:
    confidence = experiment.ablation.confidence
    svg = figures.reliability_curves(pooled, confidence=confidence, name=f"{name}-reliability")
    yield Picture(Markup(svg), "Share of test targets inside the central interval of each nominal level.")
    svg = uncertainty_figures.error_against_scale(pooled, name=f"{name}-scale")
    yield Picture(
        Markup(svg), "Groups of rows by predicted std: on the diagonal the stated std is the error."
    )
    svg = uncertainty_figures.sparsification_curves(pooled, name=f"{name}-sparsification")
    yield Picture(
        Markup(svg),
        "Thin: an oracle that removes the largest errors first. The gap is the AUSE of the table.",
    )
    for index, (variant, predictions) in enumerate(list(pooled.items())[:MOST_FIGURES]):
        figure_name = f"{name}-intervals-{index}"
        svg = uncertainty_figures.ordered_intervals(variant, predictions, index, name=figure_name)
        yield Picture(Markup(svg), f"95 % intervals of {variant}, narrowest first; crosses: targets outside.")
        figure_name = f"{name}-pit-{index}"
        svg = figures.pit_histogram(variant, predictions, index, confidence=confidence, name=figure_name)
        yield Picture(Markup(svg), f"Probability integral transform of {variant}.")


def _language_calibration(
    experiment: Experiment, variants: Sequence[Variant], pooled: Mapping[str, Predictions], *, name: str
) -> Iterator[Picture]:
    for index, variant in enumerate(variants):
        svg = figures.confidence_diagram(
            variant.name,
            pooled[variant.name],
            index,
            bins=variant.experiment.evaluation.bins,
            confidence=experiment.ablation.confidence,
            name=f"{name}-confidence-{index}",
        )
        yield Picture(
            Markup(svg), f"Accuracy against confidence of {variant.name}; bars: share of characters."
        )


def _learning(
    variants: Sequence[Variant], runs: Mapping[str, Sequence[Trained]], *, name: str
) -> Iterator[Picture]:
    names = [v.name for v in variants]
    for metric, caption in CURVES.items():
        curves = {}
        for index, variant in enumerate(variants):
            if metric == "energy" and variant.experiment.learning.kind != "predictive_coding":
                continue
            drawn = figures.curve([run.history.get(metric, {}) for run in runs[variant.name]])
            if len(drawn[0]):
                curves[index] = drawn
        if curves:
            svg = figures.learning_curve(
                metric, curves, variants=names, name=f"{name}-{metric.replace('_', '-')}"
            )
            yield Picture(Markup(svg), caption)
